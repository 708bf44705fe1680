"""Videos of faces: read, track, smooth over time, write."""
