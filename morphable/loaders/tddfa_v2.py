"""The BFM of 3DDFA_V2 (Guo et al. 2020), `bfm_noneck_v3.pkl`: 38,365 vertices, 40 identity and 10 expression modes.

The file is read without running it. Its own triangles are stale, so those of `tri.pkl` (configs/) are taken; the
whitening file lies there too. Units and origin: as morphable/loaders/tddfa_v1.py says.
"""

from pathlib import Path

import numpy as np

from common.errors import FaceModelError
from morphable.loaders.arrays import DM_PER_MICROMETRE, IBUG_68, checked, constant_albedo, outward, vertices
from morphable.loaders.names import TDDFA_V2
from morphable.loaders.pickles import read_pickled
from morphable.loaders.tddfa_files import (
    LICENCE,
    find,
    read_landmark_ids,
    read_spreads,
    read_triangles,
)
from morphable.model import FaceModel, SurfacePoints


def load(path: Path, part: str | None = None, near: tuple[Path, ...] = ()) -> FaceModel:
    """Read `bfm_noneck_v3.pkl`, or a folder that holds it.

    A file with more modes than the whitening file has spreads for (V2 reads the leading 40 and 10) is cut to those.
    Raises: FaceModelError naming the file and field.
    """
    if part is not None:
        raise FaceModelError(f"{path}: 3DDFA_V2's model has no part '{part}'.")
    if path.is_dir():
        path = next((p for p in (path / TDDFA_V2, path / "configs" / TDDFA_V2) if p.is_file()), path / TDDFA_V2)
    fields = read_pickled(path)
    if not isinstance(fields, dict):
        raise FaceModelError(
            f"{path}: holds {type(fields).__name__}, not a dictionary with u, w_shp, w_exp and keypoints."
        )
    mean = checked(path, fields, "u")
    flat = len(mean)
    if flat % 3:
        raise FaceModelError(f"{path}: field 'u' has {flat} numbers, no multiple of 3.")
    bases = {name: checked(path, fields, name, flat, None) for name in ("w_shp", "w_exp")}
    spreads = dict(zip(bases, read_spreads(path.parent, near)))
    for name, spread in spreads.items():
        if bases[name].shape[1] < len(spread):
            raise FaceModelError(
                f"{path}: field '{name}' has {bases[name].shape[1]} modes, the whitening file spreads for"
                f" {len(spread)}."
            )
    identity, expression = (vertices(bases[n][:, : len(spreads[n])], DM_PER_MICROMETRE) for n in bases)
    shape = vertices(mean, DM_PER_MICROMETRE)
    landmarks = read_landmark_ids(path, np.asarray(checked(path, fields, "keypoints")), flat // 3)
    triangles = find(path.parent, "tri.pkl", near=near)
    if triangles is None:
        raise FaceModelError(f"{path}: no tri.pkl beside it; copy it from 3DDFA_V2's configs.")
    return FaceModel(
        name="3ddfa_v2",
        licence=LICENCE,
        mean=shape,
        triangles=outward(read_triangles(triangles, flat // 3), shape),
        identity=identity,
        expression=expression,
        identity_std=spreads["w_shp"],
        expression_std=spreads["w_exp"],
        landmarks={IBUG_68: SurfacePoints.at_vertices(landmarks)},
        **constant_albedo(flat // 3),
    )
