"""The mesh pyramid of a face model: ever coarser meshes, and the matrices that take signals from one to the next.

    pyramid = cached_pyramid(model.mean, model.triangles, folder)      # built once per mesh and kept on disk
    coarse = fine[pyramid.kept[0]]                                     # D: coarse vertices are a subset of the fine
    ones fine = pyramid.up[0] @ coarse                                      # U: barycentric, rows sum to 1, exact where
    kept

Ranjan et al. 2018 (CoMA), §3. Unlike in the published pyramids, U holds true barycentric weights of the same
part of the mesh: a lid never hangs on the eyeball under it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from scipy import sparse
from torch import Tensor

from common.files.atomic import write_file
from geometry.mesh.closest_points import closest_points
from recon3d.refinement.decimation import decimate
from recon3d.refinement.meshes import MeshGraphError, adjacency, check_mesh, normalised_laplacian, parts_of

FORMAT = 1
LEVELS = 5
FACTOR = 4
EDGE_WEIGHTS = "binary"


@dataclass(frozen=True)
class MeshPyramid:
    """Meshes of n_0 > n_1 > … vertices and what graph networks need of them; level 0 is the face model's mesh.

    Attributes:
        digest: of mesh and options, see `mesh_digest`.
        vertices, triangles: per level (n_i, 3) float32 and (F_i, 3) int64.
        kept: per step (n_{i+1},) int64 ids of level i that level i + 1 keeps.
        up: per step (n_i, n_{i+1}) CSR; laplacians: per level (n_i, n_i) CSR, I − D^−½ A D^−½.
    """

    digest: str
    vertices: tuple[np.ndarray, ...]
    triangles: tuple[np.ndarray, ...]
    kept: tuple[np.ndarray, ...]
    up: tuple[sparse.csr_matrix, ...]
    laplacians: tuple[sparse.csr_matrix, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_0, n_1, …"""
        return tuple(len(level) for level in self.vertices)

    def down(self, step: int) -> sparse.csr_matrix:
        """(n_{i+1}, n_i) selector D of one step, a single 1 in each row."""
        kept = self.kept[step]
        return sparse.csr_matrix((np.ones(len(kept)), (np.arange(len(kept)), kept)), (len(kept), self.sizes[step]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays by name, from which `from_arrays` rebuilds the pyramid."""
        flat: dict[str, np.ndarray] = {}
        for level, (vertices, triangles) in enumerate(zip(self.vertices, self.triangles, strict=True)):
            flat |= {f"vertices.{level}": vertices, f"triangles.{level}": triangles.astype(np.int32)}
            flat |= _matrix_arrays(f"laplacian.{level}", self.laplacians[level])
        for step, kept in enumerate(self.kept):
            flat |= {f"kept.{step}": kept.astype(np.int32)} | _matrix_arrays(f"up.{step}", self.up[step])
        return flat

    @classmethod
    def from_arrays(cls, digest: str, flat: dict[str, np.ndarray]) -> "MeshPyramid":
        """Inverse of `arrays`. Raises: KeyError, ValueError for arrays that do not fit together."""
        levels = sum(name.startswith("vertices.") for name in flat)
        vertices = tuple(flat[f"vertices.{level}"] for level in range(levels))
        sizes = [len(level) for level in vertices]
        return cls(
            digest,
            vertices,
            tuple(flat[f"triangles.{level}"].astype(np.int64) for level in range(levels)),
            tuple(flat[f"kept.{step}"].astype(np.int64) for step in range(levels - 1)),
            tuple(_matrix(f"up.{step}", flat, (sizes[step], sizes[step + 1])) for step in range(levels - 1)),
            tuple(_matrix(f"laplacian.{level}", flat, (sizes[level],) * 2) for level in range(levels)),
        )

    def save(self, path: Path) -> None:
        """One safetensors file, written beside its place and renamed."""
        flat = {name: np.ascontiguousarray(array) for name, array in self.arrays().items()}
        write_file(path, save_arrays(flat, {"mesh_pyramid": str(FORMAT), "digest": self.digest}))

    @classmethod
    def load(cls, path: Path, digest: str | None = None) -> "MeshPyramid":
        """Read what `save` wrote.

        Args: digest: of the mesh that it must be of, see `mesh_digest`; None accepts any.
        Raises: MeshGraphError naming the file: no pyramid, damaged, or of another mesh.
        """
        try:
            data = Path(path).read_bytes()
            with safetensors.safe_open(path, "np") as file:
                metadata = file.metadata() or {}
            if metadata.get("mesh_pyramid") != str(FORMAT) or "digest" not in metadata:
                raise MeshGraphError(f"{path}: not a mesh pyramid of format {FORMAT}; delete it, it is made again.")
            if digest not in (None, metadata["digest"]):
                raise MeshGraphError(
                    f"{path}: the pyramid of another mesh or of other options; delete it, it is made again."
                )
            return cls.from_arrays(metadata["digest"], load_arrays(data))
        except MeshGraphError:
            raise
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise MeshGraphError(
                f"{path}: cannot be read as a mesh pyramid ({error}); delete it, it is made again."
            ) from None


def mesh_digest(
    vertices: Tensor | np.ndarray,
    triangles: Tensor | np.ndarray,
    levels: int = LEVELS,
    edge_weights: str = EDGE_WEIGHTS,
) -> str:
    """Hexadecimal digest of a mesh, (N, 3) at float32 and (F, 3), and of how its pyramid is built."""
    state = hashlib.sha256(f"{FORMAT} {levels} {FACTOR} {edge_weights}".encode())
    for array, kind in ((vertices, "<f4"), (triangles, "<i8")):
        array = np.asarray(array)
        state.update(str(array.shape).encode() + np.ascontiguousarray(array, kind).tobytes())
    return state.hexdigest()[:32]


def build_pyramid(
    vertices: Tensor | np.ndarray,
    triangles: Tensor | np.ndarray,
    levels: int = LEVELS,
    edge_weights: str = EDGE_WEIGHTS,
) -> MeshPyramid:
    """The pyramid of a mesh; each level keeps ⌈n / 4⌉ vertices of the one before.

    Args: vertices (N, 3) dm; triangles (F, 3); levels ≥ 1, the given mesh included; edge_weights: see
        `meshes.adjacency` ("faces" as upstream).
    Raises: MeshGraphError for a mesh that `meshes.check_mesh` rejects, or too many levels.
    """
    if levels < 1:
        raise MeshGraphError(f"a pyramid has at least one level, not {levels}.")
    digest = mesh_digest(vertices, triangles, levels, edge_weights)
    points, faces = np.asarray(vertices, np.float32), np.asarray(triangles, np.int64)
    check_mesh(points, faces)
    meshes, kept, up = [(points, faces)], [], []
    for _ in range(levels - 1):
        points, faces = meshes[-1]
        ids, coarse = decimate(points, faces, -(-len(points) // FACTOR))
        up.append(upsampling(points, faces, ids, coarse))
        kept.append(ids)
        meshes.append((points[ids], coarse))
    laplacians = [normalised_laplacian(adjacency(faces, len(points), edge_weights)) for points, faces in meshes]
    return MeshPyramid(
        digest, tuple(m[0] for m in meshes), tuple(m[1] for m in meshes), tuple(kept), tuple(up), tuple(laplacians)
    )


def upsampling(points: np.ndarray, faces: np.ndarray, kept: np.ndarray, coarse: np.ndarray) -> sparse.csr_matrix:
    """(n, m) matrix U that writes each fine vertex as the nearest point of the coarse mesh, within its own part.

    Args: fine mesh (n, 3), (F, 3); kept (m,) fine ids of the coarse vertices; coarse (F', 3) triangles over those.
    Returns: at most three weights a row, ≥ 0, of sum 1; a single 1 for a kept vertex.
    """
    parts = parts_of(faces, len(points))
    part_of_coarse = parts[kept][coarse[:, 0]]
    columns, weights = np.zeros((len(points), 3), np.int64), np.zeros((len(points), 3))
    for part in range(parts.max() + 1):
        mine, triangles = np.flatnonzero(parts == part), coarse[part_of_coarse == part]
        nearest, barycentric, _ = closest_points(points[mine], points[kept], triangles)
        columns[mine], weights[mine] = triangles[nearest], barycentric
    columns[kept], weights[kept] = np.arange(len(kept))[:, None], (1, 0, 0)
    weights /= weights.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(points)), 3)
    matrix = sparse.csr_matrix((weights.ravel(), (rows, columns.ravel())), (len(points), len(kept)))
    matrix.eliminate_zeros()
    return matrix


def cached_pyramid(
    vertices: Tensor | np.ndarray,
    triangles: Tensor | np.ndarray,
    folder: Path,
    levels: int = LEVELS,
    edge_weights: str = EDGE_WEIGHTS,
) -> MeshPyramid:
    """`build_pyramid`, read from <folder>/pyramid_<digest>.safetensors where an earlier call has put it.

    Raises: MeshGraphError as `build_pyramid`, or for a damaged file.
    """
    digest = mesh_digest(vertices, triangles, levels, edge_weights)
    path = Path(folder) / f"pyramid_{digest}.safetensors"
    if path.is_file():
        return MeshPyramid.load(path, digest)
    pyramid = build_pyramid(vertices, triangles, levels, edge_weights)
    pyramid.save(path)
    return pyramid


def _matrix_arrays(name: str, matrix: sparse.csr_matrix) -> dict[str, np.ndarray]:
    starts, columns = matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32)
    return {f"{name}.starts": starts, f"{name}.columns": columns, f"{name}.values": matrix.data.astype(np.float64)}


def _matrix(name: str, flat: dict[str, np.ndarray], shape: tuple[int, int]) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((flat[f"{name}.values"], flat[f"{name}.columns"], flat[f"{name}.starts"]), shape)
    matrix.check_format()
    return matrix
