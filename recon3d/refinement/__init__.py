"""Graph networks on the mesh of a face model: refinement of R-Net's shapes and albedo, autoencoders of shapes."""
