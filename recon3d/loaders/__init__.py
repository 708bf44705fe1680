"""Readers of other people's face models: one file per format, each with `load(path, part) -> FaceModel`."""
