"""3D face models: loaders, the embedded head, fitting, light, texture."""
