"""Regression of 3DMM parameters from a face crop: 3DDFA, 3DDFA_V2 and RADAN."""
