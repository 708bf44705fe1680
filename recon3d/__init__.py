"""3D faces: the face model, its loaders and its outputs (depth, codes, textures, meshes)."""
