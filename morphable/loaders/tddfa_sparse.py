"""3DDFA's model at the 68 landmarks alone: the text files `u_base.txt`, `w_shp_base.txt`, `w_exp_base.txt` of its C++
demo.

Exact there, which is all that landmarks and pose need. Its mesh is only a Delaunay triangulation of the mean points.
Units and origin: as morphable/loaders/tddfa_v1.py says.
"""

from pathlib import Path

import torch
from scipy.spatial import Delaunay

from common.errors import FaceModelError
from morphable.loaders.arrays import DM_PER_MICROMETRE, IBUG_68, checked, constant_albedo, vertices
from morphable.loaders.names import TDDFA_SPARSE
from morphable.loaders.tddfa_files import LICENCE, read_numbers
from morphable.loaders.tddfa_v1 import matching_spreads
from morphable.model import FaceModel, SurfacePoints

POINTS = 68


def load(path: Path, part: str | None = None) -> FaceModel:
    """Read a folder of the text files, its whitening file included (`param_std_v2.txt` before `param_std.txt`).

    Raises: FaceModelError naming the file and field.
    """
    if part is not None:
        raise FaceModelError(f"{path}: the sparse model has no part '{part}'.")
    mean = vertices(_table(path / TDDFA_SPARSE, 3 * POINTS), DM_PER_MICROMETRE)
    identity = vertices(_table(path / "w_shp_base.txt", 3 * POINTS, None), DM_PER_MICROMETRE)
    expression = vertices(_table(path / "w_exp_base.txt", 3 * POINTS, None), DM_PER_MICROMETRE)
    identity_std, expression_std = matching_spreads(path, identity.shape[2], expression.shape[2])
    flat = Delaunay(mean[:, :2].double().numpy())
    front = flat.simplices.copy()
    corners = mean[:, :2].double().numpy()[front]
    sides = corners[:, 1:] - corners[:, :1]
    clockwise = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0] < 0
    front[clockwise] = front[clockwise][:, ::-1]
    return FaceModel(
        name="3ddfa_sparse68",
        licence=LICENCE,
        mean=mean,
        triangles=torch.from_numpy(front).long(),
        identity=identity,
        expression=expression,
        identity_std=identity_std,
        expression_std=expression_std,
        landmarks={IBUG_68: SurfacePoints.at_vertices(list(range(POINTS)))},
        **constant_albedo(POINTS),
    )


def _table(path: Path, *shape: int | None):
    return checked(path, {path.stem: read_numbers(path)}, path.stem, *shape)
