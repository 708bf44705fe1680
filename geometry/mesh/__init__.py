"""Triangle meshes: normals, nearest points, sparse operators, warping, contours."""
