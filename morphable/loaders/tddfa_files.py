"""The small files that come with 3DDFA V1, V2 and the sparse model: whitening, triangles, texture coordinates."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.errors import FaceModelError
from common.files.arrays import read_npy
from common.files.mat import read_mat_file
from morphable.loaders.arrays import checked, ids
from morphable.loaders.pickles import read_pickled

LICENCE = "Basel Face Model 2009 and FaceWarehouse by way of 3DDFA: research only, not to be redistributed"
POSE_NUMBERS = 12  # leading numbers of the parameter vector: a 3 × 4 matrix
# Number of coefficients (identity, expression) by the length of the parameter vector.
LAYOUTS = {62: (40, 10), 72: (40, 20), 141: (100, 29)}
WHITENING_FILES = ("param_mean_std_62d_120x120.pkl", "param_whitening.pkl", "param_std_v2.txt", "param_std.txt")


def find(folder: Path, *names: str, near: tuple[Path, ...] = ()) -> Path | None:
    """The first file of some names in a folder, in its usual neighbours of the authors' repositories, or in `near`."""
    neighbours = (
        folder,
        folder / "configs",
        folder.parent,
        folder.parent / "visualize",
        folder.parent / "configs",
        *near,
    )
    return next((place / name for place in neighbours for name in names if (place / name).is_file()), None)


def read_spreads(folder: Path, near: tuple[Path, ...] = ()) -> tuple[Tensor, Tensor]:
    """Standard deviations of identity (Ki,) and expression (Ke,) coefficients over 3DDFA's training set.

    The whitening file also holds their means, which are not 0 (identity coefficient 0: −3.5e5 with a spread of 5.8e5).
    Raises: FaceModelError if there is no whitening file: BFM's native units span six decades, so no default can serve.
    """
    path = find(folder, *WHITENING_FILES, near=near)
    if path is None:
        raise FaceModelError(
            f"{folder}: no whitening file ({' or '.join(WHITENING_FILES)}), so the spread of the coefficients"
            " is unknown;"
            " copy it here from 3DDFA's train.configs or 3DDFA_V2's configs."
        )
    if path.suffix == ".txt":
        spreads = read_numbers(path)
    else:
        fields = read_pickled(path)
        name = "param_std" if isinstance(fields, dict) and "param_std" in fields else "std"
        spreads = checked(path, fields if isinstance(fields, dict) else {}, name)
    if len(spreads) not in LAYOUTS or (spreads[POSE_NUMBERS:] <= 0).any():
        known = ", ".join(map(str, LAYOUTS))
        raise FaceModelError(f"{path}: holds {len(spreads)} spreads, expected {known} positive ones.")
    identity, _ = LAYOUTS[len(spreads)]
    coefficients = torch.from_numpy(spreads[POSE_NUMBERS:].astype(np.float32))
    return coefficients[:identity], coefficients[identity:]


def read_numbers(path: Path, columns: int | None = None) -> np.ndarray:
    """A text file of numbers, (n,) or (n, columns). Raises: FaceModelError naming the file."""
    try:
        numbers = np.loadtxt(path, dtype=np.float64, ndmin=1)
    except OSError as error:
        raise FaceModelError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise FaceModelError(f"{path}: not a table of numbers ({error}).") from None
    if numbers.size == 0 or not np.isfinite(numbers).all() or (columns and numbers.ndim != 2):
        raise FaceModelError(f"{path}: not a table of finite numbers" + (" in several columns." if columns else "."))
    return numbers


def read_triangles(path: Path, count: int) -> np.ndarray:
    """(F, 3) 0-based triangles of `tri.mat` (1-based) or `tri.pkl` (0-based), which store one triangle per column."""
    if path.suffix == ".mat":
        return ids(path, "tri", checked(path, read_mat_file(path), "tri", 3, None).T, count, first=1)
    return ids(path, "tri", checked(path, {"tri": read_pickled(path)}, "tri", 3, None).T, count)


def read_uv(folder: Path, count: int, near: tuple[Path, ...] = ()) -> Tensor | None:
    """(count, 2) texture coordinates of `BFM_UV.mat`, v up, or None if the file is not there."""
    path = find(folder, "BFM_UV.mat", near=near)
    if path is None:
        return None
    return torch.from_numpy(checked(path, read_mat_file(path), "UV", count, 2).astype(np.float32))


def read_landmark_ids(path: Path, numbers: np.ndarray, count: int) -> np.ndarray:
    """(68,) vertex ids from the 204 row numbers 3k, 3k + 1, 3k + 2 that 3DDFA stores."""
    rows = ids(path, "keypoints", checked(path, {"keypoints": numbers}, "keypoints", 204), 3 * count).reshape(68, 3)
    if (rows != rows[:, :1] // 3 * 3 + np.arange(3)).any():
        raise FaceModelError(f"{path}: field 'keypoints' is not made of 68 triples of rows 3k, 3k + 1, 3k + 2.")
    return rows[:, 0] // 3


def read_array(path: Path, *shape: int | None) -> np.ndarray:
    """A `.npy` file of numbers of a given shape. Raises: FaceModelError or DataError naming the file."""
    return checked(path, {path.stem: read_npy(path)}, path.stem, *shape)
