"""Landmarks that a user brings for photos: 68 or 98 points, or only the five of eyes, nose and mouth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from common.errors import DataError, FaceModelError
from common.files.points import read_json_points, read_pts, read_rows
from geometry.schemes import FIVE_OF_68
from morphable.model import FaceModel, SurfacePoints

FIVE = "five"
_SCHEMES = {68: "ibug68", 98: "wflw98", 5: FIVE}
_READERS = {".pts": read_pts, ".json": read_json_points}


def with_five_points(model: FaceModel) -> FaceModel:
    """The model with landmarks "five": eye centres (viewer's left first), nose tip, mouth corners, from its 68 points.

    Raises: FaceModelError for a model that does not know the 68 points.
    """
    if "ibug68" not in model.landmarks:
        known = ", ".join(model.landmarks) or "none"
        raise FaceModelError(
            f"face model {model.name}: has no 68 landmarks (ibug68; it has: {known}), so it cannot be fitted;"
            " put FLAME's"
            " landmark embedding beside its .pkl, or choose another model, such as head."
        )
    corners = model.landmarks["ibug68"].nearest_vertices
    pairs = torch.tensor([[group[0], group[-1]] for group in FIVE_OF_68])
    ids = corners[torch.cat([pairs, pairs[:, 1:]], 1)]
    weights = torch.tensor([[0.5, 0.5, 0.0]]).expand(5, 3).contiguous()
    return replace(model, landmarks={**model.landmarks, FIVE: SurfacePoints(ids, weights)})


def read_landmarks(folder: Path, photo: Path) -> tuple[str, np.ndarray]:
    """Landmarks of a photo from the file of its name in a folder.

    Files: `.pts` (1-based, as 300-W), `.json` (see `common.files.points`), `.txt` with one "x y" a line (0-based, as
        Deep3D's).
    Returns: scheme, (K, 2) continuous photo px. Raises: DataError naming folder or file.
    """
    places = [folder / f"{photo.stem}{suffix}" for suffix in (*_READERS, ".txt")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise DataError(f"--landmarks-from {folder}: holds no {photo.stem}.pts, .json or .txt.")
    points = _READERS.get(path.suffix, _read_rows)(path)[:, :2]
    if len(points) not in _SCHEMES:
        raise DataError(f"{path}: {len(points)} landmarks; a fit takes {', '.join(map(str, _SCHEMES))}.")
    return _SCHEMES[len(points)], points


def _read_rows(path: Path) -> np.ndarray:
    """Lines "x y", 0-based → (K, 2) continuous px."""
    return read_rows(path).astype(np.float32) + 0.5
