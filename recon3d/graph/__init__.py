"""Graph networks on the mesh of a face model: the pyramid of meshes, refinement of shapes and albedo, an autoencoder."""
