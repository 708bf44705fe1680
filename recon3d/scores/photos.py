"""Score a regressor's 68 landmarks on photos with `.pts` beside them: the real photos that a machine has without a licence."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, read_image
from common.files.points import read_pts
from common.logs import console
from metrics.landmarks import auc, failure_rate
from recon3d.regression.method import box_nme
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_points


def annotated_photos(folder: Path | None, count: int | None = None) -> list[Path]:
    """The first photos below a folder with a .pts of their name. Raises: DataError when there is none."""
    if folder is None or not folder.is_dir():
        raise DataError(f"--images {folder}: name a folder of photos with .pts beside them.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.with_suffix(".pts").is_file())
    if not paths:
        raise DataError(f"--images {folder}: holds no photo with a .pts of its name.")
    return paths[:count]


def score_photos(regressor: FaceRegressor, folder: Path | None, count: int | None, batch: int = 128) -> dict:
    """NME in % of √(w·h) of the annotated box, with crops by the annotated landmarks; printed and as a dictionary."""
    paths = annotated_photos(folder, count)
    errors = []
    for start in tqdm(range(0, len(paths), batch), desc="regressing"):
        part = paths[start : start + batch]
        truth = np.stack([read_pts(path.with_suffix(".pts"), 68) for path in part]).astype(np.float64)
        images = [read_image(path) for path in part]
        faces = regressor.regress_crops(images, [crop_from_points(points, regressor.size) for points in truth])
        found = np.stack([face.landmarks[:, :2] for face in faces])
        errors.append(box_nme(torch.from_numpy(found).double(), torch.from_numpy(truth)))
    values = torch.cat(errors)
    nme = float(values.mean())
    console().info(f"{folder}, n={len(paths)}, crops by the annotation: NME {nme:.2f} % of box, median {values.median():.2f} %")
    return {"benchmark": "photos", "nme": nme, "auc": auc(values), "failure_rate": failure_rate(values), "n": len(paths)}
