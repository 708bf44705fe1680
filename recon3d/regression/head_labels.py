"""Labels in a face model's own parameters: rendered faces, whose truth is exact, and photos with 68 points, by fitting.

Both give parameters of the whole model (`Layout(*model.sizes[:2])`), so a regressor of the embedded head can be trained
on a machine without licensed models.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from common.errors import DataError
from common.files.arrays import read_npz
from common.files.images import read_image
from common.files.points import read_pts
from datasets.crop import Crop
from datasets.leaks import training_photos
from datasets.synthetic.faces import render_split
from morphable.fit import Fit, fit_landmarks
from morphable.model import FaceModel
from recon3d.regression.data import PackedSample, packed_resolution
from recon3d.regression.labels import parameters_in_crop
from recon3d.regression.params import Layout
from recon3d.regression.roi import crop_from_points

FIT_BATCH = 64
TRUTH = ("landmarks_ibug68", "identity", "expression", "rotation", "scale", "translation")


def widened(crop: Crop) -> Crop:
    """The crop with the margin of packed crops around it."""
    resolution = packed_resolution(crop.size)
    matrix = crop.matrix.copy()
    matrix[:, 2] += (resolution - crop.size) // 2
    return Crop(matrix, resolution)


def weak_perspective_camera(rotation: np.ndarray, scale: float, translation: np.ndarray) -> np.ndarray:
    """(3, 4) [A | t] → photo px, y down, of a weak-perspective camera: rotation (3, 3), px per dm, (2,) px."""
    camera = np.zeros((3, 4))
    camera[:, :3] = scale * rotation
    camera[1, :3] *= -1
    camera[:2, 3] = translation
    return camera


def synthetic_samples(root: Path, split: str, size: int, layout: Layout) -> tuple[Iterator[PackedSample], int]:
    """Rendered faces of `datasets.synthetic.faces` below root (rendered now where missing), and how many there are."""
    render_split(root, split)
    tables = sorted((root / split).glob("[0-9]*.npz"))

    def samples() -> Iterator[PackedSample]:
        for table in tables:
            for i, values in enumerate(zip(*read_npz(table, TRUTH), strict=True)):
                points, identity, expression, rotation, scale, translation = values
                path = table.with_suffix("") / f"{i:02d}.jpg"
                inner = crop_from_points(points, size)
                crop = widened(inner)
                camera = weak_perspective_camera(rotation, float(scale), translation)
                label = parameters_in_crop(camera, identity, expression, crop, layout).numpy()
                name = f"{table.stem}/{path.name}"
                yield PackedSample(crop.extract(read_image(path)), label, name, crop.apply(points[:, :2]))

    count = 0
    for table in tables:
        (points,) = read_npz(table, ("landmarks_ibug68",))
        count += len(points)
    return samples(), count


def photo_samples(
    folder: Path, model: FaceModel, size: int, layout: Layout, max_error: float
) -> tuple[Iterator[PackedSample], int]:
    """Photos below a folder with 68 points in `.pts` beside them, labelled by `morphable.fit`.

    max_error: fits with a larger error (% of the points' box) are left out; 0 = keep all. Raises: DataError without
        photos.
    """
    paths = [p for p in training_photos(folder) if p.with_suffix(".pts").is_file()]
    if not paths:
        raise DataError(f"{folder}: holds no photo with a .pts file of 68 points beside it.")
    points = torch.from_numpy(np.stack([read_pts(p.with_suffix(".pts"), 68) for p in paths])).float()
    fits = [fit_landmarks(model, points[i : i + FIT_BATCH]) for i in range(0, len(points), FIT_BATCH)]
    error = torch.cat([fit.error for fit in fits]).numpy()
    rows = np.flatnonzero(error <= (max_error or np.inf))

    def samples() -> Iterator[PackedSample]:
        for row in rows:
            fit: Fit = fits[row // FIT_BATCH]
            at = row % FIT_BATCH
            inner = crop_from_points(points[row].numpy(), size)
            crop = widened(inner)
            camera = weak_perspective_camera(
                fit.rotation[at].numpy(), float(fit.scale[at]), fit.translation[at].numpy()
            )
            label = parameters_in_crop(
                camera, fit.identity[at].numpy(), fit.expression[at].numpy(), crop, layout
            ).numpy()
            path = paths[row]
            name = str(path.relative_to(folder))
            yield PackedSample(crop.extract(read_image(path)), label, name, crop.apply(points[row].numpy()))

    return samples(), len(rows)
