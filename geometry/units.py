"""Units of length: face models are in decimetres, scores in millimetres."""

MM_PER_DM = 100.0
