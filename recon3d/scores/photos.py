"""Score a regressor's 68 landmarks on photos with `.pts` beside them: the real photos that a machine has without a
licence.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, read_image
from common.files.points import read_pts
from common.logs import console
from datasets.detection.boxes import box_overlap
from metrics.bootstrap import mean_interval
from metrics.landmarks import auc, failure_rate
from recon3d.regression.method import box_nme
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_points

SAME_FACE = 0.3  # overlap (IoU) of a detector's box and that of the annotated landmarks, from which both mean one face


def annotated_photos(folder: Path | None, count: int | None = None) -> list[Path]:
    """The first photos below a folder with a .pts of their name. Raises: DataError when there is none."""
    if folder is None or not folder.is_dir():
        raise DataError(f"--images {folder}: name a folder of photos with .pts beside them.")
    paths = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.with_suffix(".pts").is_file()
    )
    if not paths:
        raise DataError(f"--images {folder}: holds no photo with a .pts of its name.")
    return paths[:count]


def score_photos(
    regressor: FaceRegressor,
    folder: Path | None,
    count: int | None,
    batch: int = 128,
    detect: bool = False,
    report: Callable[[list[Path], np.ndarray, np.ndarray], None] | None = None,
) -> dict:
    """NME in % of √(w·h) of the annotated box; printed and as a dictionary.

    Crops come from the annotated landmarks, or, with `detect`, from the regressor's detector: the detection that
    overlaps the annotated face most counts, and a face without one is a failure in AUC and failure rate, and no part of
    the mean.

    Args: report: takes the photos, the found and the true points (N, 68, 2), NaN for a missed face.
    """
    paths = annotated_photos(folder, count)
    errors, pairs = [], []
    for start in tqdm(range(0, len(paths), batch), desc="regressing"):
        part = paths[start : start + batch]
        truth = np.stack([read_pts(path.with_suffix(".pts"), 68) for path in part]).astype(np.float64)
        images = [read_image(path) for path in part]
        found = _detected(regressor, images, truth) if detect else _cropped(regressor, images, truth)
        errors.append(box_nme(torch.from_numpy(found).double(), torch.from_numpy(truth)))
        pairs.append((found, truth))
    if report is not None:
        report(paths, *(np.concatenate(points) for points in zip(*pairs, strict=True)))
    values = torch.cat(errors)
    result = {
        "benchmark": "photos",
        "nme": float(values.nanmean()),
        "auc": auc(values),
        "failure_rate": failure_rate(values),
    }
    result |= {"n": len(paths), "missed": int(values.isnan().sum()), "interval": mean_interval(values.numpy())}
    crops = f"by the detector, {result['missed']} faces missed" if detect else "by the annotation"
    console().info(
        f"{folder}, n={len(paths)}, crops {crops}: NME {result['nme']:.2f} % of box"
        f" [{result['interval'][0]:.2f}, {result['interval'][1]:.2f}], median {values.nanmedian():.2f} %"
    )
    return result


def _cropped(regressor: FaceRegressor, images: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """(B, 68, 2) landmarks in crops by the annotated ones."""
    faces = regressor.predict_crops(images, [crop_from_points(points, regressor.size) for points in truth])
    return np.stack([face.landmarks[:, :2] for face in faces])


def _detected(regressor: FaceRegressor, images: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """(B, 68, 2) landmarks of the detected faces next to the annotated ones, NaN where there is none."""
    found = np.full(truth.shape, np.nan)
    for i, (faces, points) in enumerate(zip(regressor.predict_batch(images), truth, strict=True)):
        annotated = np.concatenate([points.min(0), points.max(0)])
        shared = [box_overlap(face.box, annotated) for face in faces]
        if shared and max(shared) >= SAME_FACE:
            found[i] = faces[int(np.argmax(shared))].landmarks[:, :2]
    return found
