"""Face detectors and the calibration of their boxes."""
