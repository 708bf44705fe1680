"""Triangles to pixels: rasterisers, interpolation, light, silhouettes."""
