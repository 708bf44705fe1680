"""Faces warped and rotated by keypoints and their depth."""
