"""Scores of keypoint depths, beside controls that learn nothing."""
