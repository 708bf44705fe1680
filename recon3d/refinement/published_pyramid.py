"""Read the mesh pyramid of GCN_ResNet and of Lin et al.: one `.npz` of scipy per matrix.

    pyramid = read_published_pyramid(folder, model.mean, model.triangles)   # laplacians0.npz …, {down,up}samp_trans0 …

Its matrices differ from ours: edges count once per triangle, and U drifts from barycentric weights.
"""

import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse
from torch import Tensor

from recon3d.refinement.meshes import MeshGraphError, adjacency, normalised_laplacian
from recon3d.refinement.pyramid import LEVELS, MeshPyramid, mesh_digest

EDGE_WEIGHTS = "faces"
_TOLERANCE = 1e-4  # of the stored Laplacian against that of the face model


def read_published_pyramid(folder: Path, vertices: Tensor | np.ndarray, triangles: Tensor | np.ndarray) -> MeshPyramid:
    """The stored pyramid of a face model's mesh, (N, 3) dm and (F, 3); coarser levels have no triangles.

    Raises: MeshGraphError for files that are missing, damaged, do not fit together, or belong to another mesh.
    """
    folder = Path(folder)
    points, faces = np.asarray(vertices, np.float32), np.asarray(triangles, np.int64)
    laplacians = [_read(folder / f"laplacians{i}.npz") for i in range(LEVELS)]
    up = [_read(folder / f"upsamp_trans{i}.npz") for i in range(LEVELS - 1)]
    down = [_read(folder / f"downsamp_trans{i}.npz") for i in range(LEVELS - 1)]
    sizes = [matrix.shape[0] for matrix in laplacians]
    if sizes[0] != len(points):
        raise MeshGraphError(f"{folder}: a pyramid of {sizes[0]} vertices; the face model has {len(points)}.")
    for i in range(LEVELS - 1):
        if up[i].shape != (sizes[i], sizes[i + 1]) or down[i].shape != (sizes[i + 1], sizes[i]):
            raise MeshGraphError(
                f"{folder}: the matrices of step {i} do not fit {sizes[i]} and {sizes[i + 1]} vertices."
            )
    own = normalised_laplacian(adjacency(faces, len(points), EDGE_WEIGHTS))
    if abs(own - laplacians[0]).max() > _TOLERANCE:
        raise MeshGraphError(
            f"{folder}: the Laplacian is not that of the face model's triangles, so it is of another mesh."
        )
    kept = [_kept(matrix, folder / f"downsamp_trans{i}.npz") for i, matrix in enumerate(down)]
    levels = [points]
    for ids in kept:
        levels.append(levels[-1][ids])
    unknown = np.zeros((0, 3), np.int64)
    digest = mesh_digest(points, faces, LEVELS, f"{EDGE_WEIGHTS} of {folder.name}")
    return MeshPyramid(
        digest, tuple(levels), (faces, *[unknown] * (LEVELS - 1)), tuple(kept), tuple(up), tuple(laplacians)
    )


def _read(path: Path) -> sparse.csr_matrix:
    try:
        matrix = sparse.csr_matrix(sparse.load_npz(path), dtype=np.float64)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise MeshGraphError(f"{path}: cannot be read as a sparse matrix of scipy ({error}); copy it again.") from None
    if not np.isfinite(matrix.data).all():
        raise MeshGraphError(f"{path}: holds values that are not finite; copy it again.")
    return matrix


def _kept(matrix: sparse.csr_matrix, path: Path) -> np.ndarray:
    """(m,) ids that a selector picks."""
    matrix.eliminate_zeros()
    if not np.array_equal(np.diff(matrix.indptr), np.ones(matrix.shape[0])) or not np.allclose(matrix.data, 1):
        raise MeshGraphError(f"{path}: not a selector, one 1 in each row; copy it again.")
    return matrix.indices.astype(np.int64)
