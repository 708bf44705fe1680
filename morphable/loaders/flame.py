"""FLAME (Li et al. 2017): a whole head of 5,023 vertices, from its `generic_model.pkl` or an `.npz` with the same
fields.

Read from it: `v_template` (N, 3) m, `shapedirs` (N, 3, 400: 300 identity then 100 expression modes, unit spread), `f`
(F, 3). Beside it, where there is one, a landmark embedding: `landmark_embedding.npy` (DECA's: triangle and barycentric
weights of 68 points) or `landmark_embedding.npz` with the same names. The linear model leaves out FLAME's joints and
pose correctives: the jaw opens only as far as the expression modes open it.
"""

from pathlib import Path

import numpy as np
import torch

from common.errors import FaceModelError
from common.files.arrays import read_npz
from morphable.loaders.arrays import IBUG_68, checked, constant_albedo, ids, outward
from morphable.loaders.names import FLAME
from morphable.loaders.pickles import read_object_npy, read_pickled
from morphable.model import FaceModel, SurfacePoints

DM_PER_METRE = 10.0
IDENTITY_MODES = 300
FIELDS = ("v_template", "shapedirs", "f")
EMBEDDINGS = ("landmark_embedding.npy", "landmark_embedding.npz")
_FULL = ("full_lmk_faces_idx", "full_lmk_bary_coords")
LICENCE = (
    "FLAME: see the licence of the file's version at flame.is.tue.mpg.de (2023: CC BY 4.0; earlier: research only)"
)


def load(path: Path, part: str | None = None) -> FaceModel:
    """Read a `.pkl` or `.npz` of FLAME, or a folder with one of the usual names.

    Returns: dm, origin as in the file; landmarks "ibug68" where an embedding lies beside the file.
    Raises: FaceModelError naming the file and field.
    """
    if part is not None:
        raise FaceModelError(f"{path}: FLAME has no part '{part}'.")
    if path.is_dir():
        path = next((path / name for name in FLAME if (path / name).is_file()), path / FLAME[0])
    fields = dict(zip(FIELDS, read_npz(path, FIELDS))) if path.suffix == ".npz" else read_pickled(path)
    if not isinstance(fields, dict):
        raise FaceModelError(f"{path}: holds {type(fields).__name__}, expected a dictionary with {', '.join(FIELDS)}.")
    template = checked(path, fields, "v_template", None, 3).astype(np.float64)
    count = len(template)
    modes = checked(path, fields, "shapedirs", count, 3, None).astype(np.float64)
    if modes.shape[2] <= IDENTITY_MODES:
        raise FaceModelError(
            f"{path}: field 'shapedirs' has {modes.shape[2]} modes, expected {IDENTITY_MODES} and some of expression."
        )
    mean, basis = (torch.from_numpy((array * DM_PER_METRE).astype(np.float32)) for array in (template, modes))
    listed = ids(path, "f", checked(path, fields, "f", None, 3), count)
    expressions = basis.shape[2] - IDENTITY_MODES
    return FaceModel(
        name="flame",
        licence=LICENCE,
        mean=mean,
        triangles=outward(listed, mean),
        identity=basis[..., :IDENTITY_MODES].contiguous(),
        expression=basis[..., IDENTITY_MODES:].contiguous(),
        identity_std=torch.ones(IDENTITY_MODES),
        expression_std=torch.ones(expressions),
        landmarks=_landmarks(path.parent, listed),
        **constant_albedo(count),
    )


def _landmarks(folder: Path, listed: np.ndarray) -> dict[str, SurfacePoints]:
    """Landmarks of an embedding beside the model: corners of the named triangles, in the file's order, and their
    weights.
    """
    path = next((folder / name for name in EMBEDDINGS if (folder / name).is_file()), None)
    if path is None:
        return {}
    fields = dict(zip(_FULL, read_npz(path, _FULL))) if path.suffix == ".npz" else read_object_npy(path)
    if not isinstance(fields, dict):
        raise FaceModelError(
            f"{path}: holds {type(fields).__name__}, expected a dictionary with {' and '.join(_FULL)}."
        )
    faces = ids(path, _FULL[0], checked(path, fields, _FULL[0], 68), len(listed))
    weights = checked(path, fields, _FULL[1], 68, 3).astype(np.float32)
    if np.abs(weights.sum(1) - 1).max() > 1e-3:
        raise FaceModelError(f"{path}: the weights of field '{_FULL[1]}' do not sum to 1.")
    return {IBUG_68: SurfacePoints(torch.from_numpy(listed[faces]), torch.from_numpy(weights))}
