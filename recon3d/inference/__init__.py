"""Photos to reconstructed faces with the trained networks of reconstruction and refinement."""
