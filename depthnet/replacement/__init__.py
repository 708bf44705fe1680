"""Face replacement: domains of a CycleGAN, its training, its use on photos."""
