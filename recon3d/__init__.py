"""3D faces: the face model, its loaders and outputs, fitting, 3DMM regression and weakly-supervised reconstruction."""
