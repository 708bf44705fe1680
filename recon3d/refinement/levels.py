"""From a mesh pyramid (numpy, scipy) to the constants that graph networks hold (torch)."""

import torch
from scipy import sparse

from geometry.mesh.sparse import SparseMatrix
from networks.graph import GraphLevels
from recon3d.refinement.pyramid import MeshPyramid


def graph_levels(pyramid: MeshPyramid, dtype: torch.dtype = torch.float32) -> GraphLevels:
    """Laplacians minus 1 (λ_max taken as 2, as upstream), selectors and up-sampling matrices of a pyramid."""
    shifted = [(laplacian - sparse.identity(laplacian.shape[0])).tocsr() for laplacian in pyramid.laplacians]
    for matrix in shifted:
        matrix.data[abs(matrix.data) < 1e-12] = 0  # the diagonal of L is 1
        matrix.eliminate_zeros()
    return GraphLevels(
        tuple(SparseMatrix.from_scipy(matrix, dtype) for matrix in shifted),
        tuple(torch.from_numpy(ids) for ids in pyramid.kept),
        tuple(SparseMatrix.from_scipy(matrix, dtype) for matrix in pyramid.up),
    )
