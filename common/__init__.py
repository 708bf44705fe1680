"""What every program needs and no face knows: errors, settings, checkpoints, devices, files."""
