"""The Surrey Face Model of eos (Huber et al. 2016) through the optional package `eos-py`, which reads its binary
format.

A folder of eos's `share/`: `sfm_shape_3448.bin`, and where they are there `expression_blendshapes_3448.bin` and
`ibug_to_sfm.txt`. mm become dm. eos names 50 of the 68 iBUG points, so the model's landmarks are "ibug50": those, in
rising order. No colour model.
"""

import re
from pathlib import Path

import numpy as np
import torch

from common.errors import FaceModelError
from morphable.loaders.arrays import checked, constant_albedo, ids, outward, vertices
from morphable.loaders.names import SURREY
from morphable.model import FaceModel, SurfacePoints

EXPRESSION_FILE, LANDMARK_FILE = "expression_blendshapes_3448.bin", "ibug_to_sfm.txt"
DM_PER_MM = 0.01
LICENCE = "Surrey Face Model: free for non-commercial purposes (University of Surrey); not to be redistributed"


def load(path: Path, part: str | None = None) -> FaceModel:
    """Read the shape file, or a folder that holds it.

    Returns: identity coefficients in standard deviations; expression_prior "unit" (six blendshapes) or no expression.
    Raises: FaceModelError naming the file, or saying that eos-py is not installed.
    """
    if part is not None:
        raise FaceModelError(f"{path}: the Surrey model has no part '{part}'.")
    path = path / SURREY if path.is_dir() else path
    if not path.is_file():
        raise FaceModelError(f"{path}: no such file; it lies in the share/ folder of the eos repository.")
    try:
        import eos
    except ImportError:
        raise FaceModelError(f"{path}: reading it needs eos; install it with: pip install eos-py.") from None
    fields = _read(eos, path)
    mean = vertices(checked(path, fields, "mean"), DM_PER_MM)
    count = len(mean)
    triangles = outward(ids(path, "triangles", checked(path, fields, "triangles", None, 3), count), mean)
    uv = torch.from_numpy(checked(path, fields, "uv", count, 2).astype(np.float32)) if len(fields["uv"]) else None
    identity = vertices(checked(path, fields, "identity", 3 * count, None), DM_PER_MM)
    names, deltas = _read_expressions(eos, path.parent / EXPRESSION_FILE, count)
    expression = vertices(deltas, DM_PER_MM)
    return FaceModel(
        name="surrey",
        licence=LICENCE,
        mean=mean,
        triangles=triangles,
        identity=identity,
        expression=expression,
        identity_std=torch.ones(identity.shape[2]),
        expression_std=torch.ones(len(names)),
        expression_prior="unit" if names else "gaussian",
        expression_names=names,
        landmarks=_read_landmarks(path.parent / LANDMARK_FILE, count),
        uv=uv,
        uv_triangles=None if uv is None else triangles,
        **constant_albedo(count),
    )


def _read(eos, path: Path) -> dict:
    try:
        model = eos.morphablemodel.load_model(str(path))
        shape = model.get_shape_model()
        # eos counts v downwards.
        uv = np.array(model.get_texture_coordinates(), dtype=np.float64).reshape(-1, 2) * (1, -1) + (0, 1)
        return {
            "mean": shape.get_mean(),
            "identity": shape.get_rescaled_pca_basis(),
            "triangles": np.array(shape.get_triangle_list()),
            "uv": uv,
        }
    except (RuntimeError, ValueError, TypeError) as error:
        raise FaceModelError(f"{path}: eos cannot read it ({error}).") from None


def _read_expressions(eos, path: Path, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and (3N, K) deltas of the blendshapes; none when the file is not there."""
    if not path.is_file():
        return (), np.zeros((3 * count, 0))
    try:
        shapes = eos.morphablemodel.load_blendshapes(str(path))
    except (RuntimeError, ValueError) as error:
        raise FaceModelError(f"{path}: eos cannot read it ({error}).") from None
    deltas = checked(
        path, {"deformation": np.stack([shape.deformation for shape in shapes])}, "deformation", None, 3 * count
    )
    return tuple(shape.name for shape in shapes), deltas.T


def _read_landmarks(path: Path, count: int) -> dict[str, SurfacePoints]:
    """`number = vertex` lines between 1 and 68 of eos's mapping; {} when the file is not there."""
    if not path.is_file():
        return {}
    pairs = re.findall(r"^\s*\"?(\d+)\"?\s*=\s*\"?(\d+)\"?", path.read_text(), flags=re.MULTILINE)
    numbers = {int(point): int(vertex) for point, vertex in pairs if 1 <= int(point) <= 68}
    if not numbers:
        raise FaceModelError(f"{path}: has no line 'landmark = vertex'.")
    chosen = np.array([numbers[point] for point in sorted(numbers)])
    return {f"ibug{len(chosen)}": SurfacePoints.at_vertices(ids(path, "landmarks", chosen, count))}
