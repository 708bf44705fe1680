"""What every loader needs: arrays checked by name and shape, outward triangles, a skin colour, mirror partners."""

from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from common.errors import FaceModelError

DM_PER_MICROMETRE = 1e-5
SKIN_COLOUR = (0.80, 0.60, 0.50)  # sRGB of a light-brown skin: what a model without albedo shows
IBUG_68 = "ibug68"


def checked(source: Path, fields: dict, name: str, *shape: int | None) -> np.ndarray:
    """The finite numbers of a field as an array of a given shape.

    Args: shape, None where any size ≥ 1 will do. Axes of size 1 on either side do not count; shape () means any vector.
    Raises: FaceModelError naming the file and the field when it is missing, no number, of another shape or not finite.
    """
    if name not in fields:
        known = ", ".join(sorted(str(key) for key in fields)[:12]) or "nothing"
        raise FaceModelError(f"{source}: lacks the field '{name}'; it has {known}.")
    try:
        array = np.asarray(fields[name])
        if array.dtype.kind not in "fiub":
            raise ValueError(f"it is of type {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("it holds values that are not finite")
    except (ValueError, TypeError) as error:
        raise FaceModelError(f"{source}: field '{name}' is no array of finite numbers ({error}).") from None
    found = array.shape
    if shape and array.size:
        array = _drop_ones(array, len(shape))
        fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape))
    else:
        array, fits = array.reshape(-1), bool(array.size)
    if not fits:
        wanted = " × ".join("any" if size is None else str(size) for size in shape) or "any"
        raise FaceModelError(
            f"{source}: field '{name}' has size {' × '.join(map(str, found)) or 0}, expected {wanted}."
        )
    return array


def _drop_ones(array: np.ndarray, axes: int) -> np.ndarray:
    """Without axes of size 1 that MATLAB added, down to a number of axes."""
    for axis in reversed(range(array.ndim)):
        if array.ndim > axes and array.shape[axis] == 1:
            array = array.squeeze(axis)
    return array


def ids(source: Path, name: str, values: np.ndarray, count: int, first: int = 0) -> np.ndarray:
    """Vertex numbers that start at `first` (1 in MATLAB) as 0-based int64.

    Raises: FaceModelError naming the file and field when one is no whole number or lies outside 0 … count − 1.
    """
    whole = np.asarray(values).astype(np.int64)
    if (whole != values).any():
        raise FaceModelError(f"{source}: field '{name}' holds fractions where vertex numbers belong.")
    whole = whole - first
    if whole.size and not (0 <= whole.min() and whole.max() < count):
        raise FaceModelError(f"{source}: field '{name}' names a vertex outside {first} … {count - 1 + first}.")
    return whole


def vertices(values: np.ndarray, scale: float) -> Tensor:
    """Vertex-major numbers x0, y0, z0, x1, … (3N,) or (3N, K) → (N, 3) or (N, 3, K) float32 times scale."""
    values = np.asarray(values, dtype=np.float64) * scale
    return torch.from_numpy(values.reshape(len(values) // 3, 3, *values.shape[1:]).astype(np.float32))


def outward(triangles: np.ndarray, mean: Tensor) -> Tensor:
    """(F, 3) 0-based triangles, turned over if they run clockwise seen from outside."""
    return torch.from_numpy(triangles[:, corner_order(triangles, mean)].astype(np.int64))


def corner_order(triangles: np.ndarray, mean: Tensor) -> list[int]:
    """The order in which to take the corners of all triangles so that they run counter-clockwise seen from outside.

    Told by the volume under the surface as seen from its centre, which holds for closed heads and open faces.
    """
    corners = (mean - mean.mean(0)).numpy().astype(np.float64)[triangles]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return [0, 1, 2] if volume >= 0 else [2, 1, 0]


def constant_albedo(count: int) -> dict[str, Tensor]:
    """Fields albedo_mean, albedo and albedo_std of a model that comes without colour: one skin colour, no component."""
    mean = torch.tensor(SKIN_COLOUR).expand(count, 3).contiguous()
    return {"albedo_mean": mean, "albedo": torch.zeros(count, 3, 0), "albedo_std": torch.zeros(0)}


def mirror_partners(mean: Tensor) -> Tensor:
    """(N,) id of the vertex nearest to each vertex's mirror image in the plane x = 0."""
    points = mean.double().numpy()
    _, partner = cKDTree(points).query(points * (-1, 1, 1))
    return torch.from_numpy(partner.astype(np.int64))
