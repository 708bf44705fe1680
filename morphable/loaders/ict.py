"""ICT-FaceKit light (Li et al. 2020, MIT): the scan-based model of ICT-VGL/ICT-FaceKit, with blendshapes for the
expression.

Read from the repository's folder of OBJ files (`FaceXModel/`) or from our `ict_light.npz` with `vertex_indices.json`
beside it. Parts: the narrow face (default, 6,706 vertices, holes at eyes and mouth, all 68 landmarks) and "face" (9,409
with scalp, ears and front of the neck). cm become dm; the shift puts the landmarks within the face where those of
Deep3DFaceReconstruction's reference lie. Identity weights are N(0, 1), expression weights 0 … 1. The light release has
no albedo.
"""

import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.errors import FaceModelError
from common.files.arrays import read_npz
from common.files.meshes import read_obj, read_obj_vertices
from morphable.loaders.arrays import IBUG_68, checked, constant_albedo, corner_order, ids, mirror_partners
from morphable.loaders.names import ICT_NEUTRAL
from morphable.model import FaceModel, SurfacePoints

PARTS = {None: 6706, "narrow": 6706, "face": 9409}
DM_PER_CM = 0.1
SHIFT_DM = (0.0, -0.0515, -0.7621)  # 0.04 mm sideways are left out, so that the mirror plane stays x = 0
INDEX_FILE = "vertex_indices.json"
_NPZ_FIELDS = ("neutral", "identity", "expression", "expression_names", "faces", "uv", "uv_faces")
LICENCE = "ICT-FaceKit light: MIT, © 2020 USC Institute for Creative Technologies"


def load(path: Path, part: str | None = None) -> FaceModel:
    """Read the folder of OBJ files, or the `.npz`.

    Args: part, "narrow" or None for 6,706 vertices, "face" for 9,409.
    Returns: expression_prior "unit"; symmetry from mirroring the neutral face (99.6 % of the vertices have a partner
        within 0.01 mm, the worst within 0.06 mm).
    Raises: FaceModelError naming the file and field.
    """
    if part not in PARTS:
        raise FaceModelError(f"{path}: ICT-FaceKit has no part '{part}'; choose narrow or face.")
    fields, index_path = _read_npz(path) if path.suffix == ".npz" else _read_folder(path)
    neutral = checked(path, fields, "neutral", None, 3).astype(np.float64)
    total, count = len(neutral), min(PARTS[part], len(neutral))
    index = _read_index(index_path)
    named = [str(name) for name in np.asarray(fields["expression_names"]).reshape(-1)]
    deltas = checked(path, fields, "expression", len(named), total, 3)
    wanted = [name for name in index["expressions"] if name in named]
    if not wanted:
        raise FaceModelError(f"{path}: has none of the expressions that {index_path.name} lists.")
    mean = torch.from_numpy((neutral[:count] * DM_PER_CM + SHIFT_DM).astype(np.float32))
    triangles, uv_triangles = _triangulate(path, fields, count, total)
    order = corner_order(triangles, mean)
    landmarks = np.asarray(index["idx_to_landmark_verts"])
    return FaceModel(
        name="ict" if part in (None, "narrow") else f"ict_{part}",
        licence=LICENCE,
        mean=mean,
        triangles=torch.from_numpy(triangles[:, order]),
        identity=_basis(checked(path, fields, "identity", None, total, 3), count),
        expression=_basis(deltas[[named.index(name) for name in wanted]], count),
        identity_std=torch.ones(len(fields["identity"])),
        expression_std=torch.ones(len(wanted)),
        expression_prior="unit",
        expression_names=tuple(wanted),
        landmarks={IBUG_68: SurfacePoints.at_vertices(ids(index_path, "idx_to_landmark_verts", landmarks, count))},
        symmetry=mirror_partners(mean),
        **_texture(path, fields, uv_triangles[:, order]),
        **constant_albedo(count),
    )


def _basis(deltas: np.ndarray, count: int) -> torch.Tensor:
    """(K, total, 3) cm → (count, 3, K) dm."""
    return torch.from_numpy(np.ascontiguousarray(deltas[:, :count].transpose(1, 2, 0), dtype=np.float32)) * DM_PER_CM


def _triangulate(path: Path, fields: dict, count: int, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles within the first `count` vertices, and the same in texture coordinates; quads are cut as fans.

    Faces are rows of three ids, or of four with −1 in the last place of a triangle.
    """
    faces, coordinates = (checked(path, fields, name, None, None).astype(np.int64) for name in ("faces", "uv_faces"))
    if faces.shape != coordinates.shape or faces.shape[1] not in (3, 4):
        raise FaceModelError(f"{path}: field 'uv_faces' has size {coordinates.shape}, 'faces' {faces.shape}.")
    ids(path, "faces", faces[:, :3], total)
    order = np.arange(len(faces))
    corners, texture = faces[:, :3], coordinates[:, :3]
    if faces.shape[1] == 4:
        is_quad = faces[:, 3] >= 0
        corners, texture = (np.concatenate([f[:, :3], f[is_quad][:, [0, 2, 3]]]) for f in (faces, coordinates))
        order = np.argsort(np.concatenate([order, order[is_quad]]), kind="stable")  # a quad's triangles stay neighbours
    inside = (corners[order] < count).all(1)
    return corners[order][inside], texture[order][inside]


def _texture(path: Path, fields: dict, uv_triangles: np.ndarray) -> dict[str, torch.Tensor]:
    """The texture coordinates that the triangles use, renumbered."""
    uv = checked(path, fields, "uv", None, 2)
    used, local = np.unique(ids(path, "uv_faces", uv_triangles, len(uv)), return_inverse=True)
    return {"uv": torch.from_numpy(uv[used].astype(np.float32)), "uv_triangles": torch.from_numpy(local.reshape(-1, 3))}


def _read_npz(path: Path) -> tuple[dict, Path]:
    return dict(zip(_NPZ_FIELDS, read_npz(path, _NPZ_FIELDS))), path.parent / INDEX_FILE


def _read_index(path: Path) -> dict:
    """vertex_indices.json: `expressions` (names), `idx_to_landmark_verts` (68 vertex ids) and more."""
    try:
        index = json.loads(path.read_text())
        if len(index["idx_to_landmark_verts"]) != 68 or not index["expressions"]:
            raise ValueError("not 68 landmarks, or no expressions")
    except OSError as error:
        raise FaceModelError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FaceModelError(f"{path}: lacks idx_to_landmark_verts or expressions ({error}).") from None
    return index


def _read_folder(path: Path) -> tuple[dict, Path]:
    """The same fields from the OBJ files of the repository."""
    folder = next((p for p in (path, path / "FaceXModel") if (p / ICT_NEUTRAL).is_file()), None)
    if folder is None:
        raise FaceModelError(f"{path}: no {ICT_NEUTRAL} here or in FaceXModel/.")
    mesh = read_obj(folder / ICT_NEUTRAL)
    if mesh.uv is None:
        raise FaceModelError(f"{folder / ICT_NEUTRAL}: has no texture coordinates.")
    names = [name for name in _read_index(folder / INDEX_FILE)["expressions"] if (folder / f"{name}.obj").is_file()]
    identities = sorted(folder.glob("identity[0-9][0-9][0-9].obj"))
    if not names or not identities:
        raise FaceModelError(f"{folder}: has no identity000.obj … or none of the expressions that {INDEX_FILE} lists.")
    deltas = []
    for file in tqdm([*identities, *(folder / f"{name}.obj" for name in names)], desc="ICT-FaceKit", unit="file"):
        shape = read_obj_vertices(file)
        if shape.shape != mesh.vertices.shape:
            raise FaceModelError(f"{file}: has {len(shape)} vertices, {ICT_NEUTRAL} {len(mesh.vertices)}.")
        deltas.append(shape - mesh.vertices)
    return {
        "neutral": mesh.vertices,
        "identity": np.stack(deltas[: len(identities)]),
        "expression": np.stack(deltas[len(identities) :]),
        "expression_names": np.array(names),
        "faces": mesh.triangles,
        "uv": mesh.uv,
        "uv_faces": mesh.uv_triangles,
    }, folder / INDEX_FILE
