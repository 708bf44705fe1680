"""The loop, checkpoints, logging and configuration; knows nothing of faces."""
