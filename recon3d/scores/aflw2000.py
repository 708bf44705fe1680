"""The AFLW2000-3D and AFLW protocols of 3DDFA: errors by yaw, printed as upstream does, pose, dense and shape errors.

Ground-truth arrays count pixels from 1; predictions come in continuous px, so 0.5 is taken off the truth.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from common.errors import DataError
from common.files.arrays import read_npy
from geometry.similarity import moved, similarity

BINS = ((0, 30), (30, 60), (60, 90))  # |yaw| in degrees; the last one takes everything above 60
SUBSET_PER_BIN = 232  # PRNet's 696: as many of each bin as the profile bin of the new pose file holds
MAX_ANGLE_DEG = 99.0  # images with a larger angle are left out of the pose error (FSA-Net's protocol)
# 21 points of AFLW from 68, counted from 1; some are the mean of several, as in 3DDFA's benchmark
AFLW_21 = (
    (18,),
    (20,),
    (22,),
    (23,),
    (25,),
    (27,),
    (37,),
    tuple(range(37, 43)),
    (40,),
    (43,),
    tuple(range(43, 49)),
    (46,),
    (3,),
    (32,),
    (31,),
    (36,),
    (15,),
    (49,),
    tuple(range(61, 69)),
    (55,),
    (9,),
)


@dataclass(frozen=True)
class Truth:
    """Ground truth of a benchmark.

    Attributes: points (N, K, 2) continuous px, NaN where invisible; box_points (N, M, 2) whose box normalises; yaw_deg
        (N,); points_3d (N, 68, 3) or None; rois (N, 4) left, top, right, bottom, continuous px.
    """

    points: np.ndarray
    box_points: np.ndarray
    yaw_deg: np.ndarray
    rois: np.ndarray
    points_3d: np.ndarray | None = None


@dataclass
class Scores:
    """Errors (N,) in %, and what the benchmarks report of them."""

    errors: np.ndarray
    yaw_deg: np.ndarray
    bins: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        edge = np.abs(self.yaw_deg)
        self.bins = [edge <= 30, (edge > 30) & (edge <= 60), edge > 60]

    @property
    def means(self) -> list[float]:
        """Of the three bins; nan for an empty one."""
        return [float(self.errors[b].mean()) if b.any() else float("nan") for b in self.bins]

    @property
    def mean_of_bins(self) -> float:
        """The number that papers print as "mean"."""
        return float(np.mean(self.means))

    @property
    def plain(self) -> float:
        """Mean over all images."""
        return float(self.errors.mean())

    def subset(self) -> float:
        """Mean over 232 images of each bin, the first ones in file order (696 in all), or all of a smaller bin."""
        chosen = [np.flatnonzero(b)[:SUBSET_PER_BIN] for b in self.bins]
        return float(self.errors[np.concatenate(chosen)].mean())

    def lines(self, colour: bool = True) -> list[str]:
        """Upstream's four lines: mean and spread over the images of each bin, then over the three means."""
        green, red, end = ("\033[92m", "\033[91m", "\033[00m") if colour else ("", "", "")
        rows = []
        for (low, high), chosen, mean in zip(BINS, self.bins, self.means, strict=True):
            spread = float(self.errors[chosen].std()) if chosen.any() else float("nan")
            rows.append(f"[{low:2d}, {high:2d}]\tMean: {green}{mean:.3f}{end}, Std: {spread:.3f}")
        rows.append(
            f"[ 0, 90]\tMean: {red}{self.mean_of_bins:.3f}{end}, Std: {red}{float(np.std(self.means)):.3f}{end}"
        )
        return rows


def box_size(points: np.ndarray) -> np.ndarray:
    """(N, M, 2) → (N,) √(w·h) of the points' boxes."""
    extent = np.nanmax(points, axis=1) - np.nanmin(points, axis=1)
    return np.sqrt(extent.prod(axis=1))


def landmark_errors(predicted: np.ndarray, truth: Truth) -> np.ndarray:
    """(N,) mean distance of visible points in % of the normaliser. predicted (N, K, 2) continuous px."""
    distances = np.linalg.norm(predicted - truth.points, axis=-1)
    return 100 * np.nanmean(distances, axis=1) / box_size(truth.box_points)


def aflw_21(landmarks: np.ndarray) -> np.ndarray:
    """(N, 68, C) → (N, 21, C): AFLW's points."""
    return np.stack([landmarks[:, np.array(group) - 1].mean(axis=1) for group in AFLW_21], axis=1)


def fitted_errors_3d(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """RADAN's 3D NME: (N,) % of (w·h·d)^⅓, after each axis of the prediction was fitted to the extent of the truth.

    It forgives translation and the scale of every axis. predicted, truth (N, 68, 3).
    """
    low, high = truth.min(axis=1, keepdims=True), truth.max(axis=1, keepdims=True)
    own_low, own_high = predicted.min(axis=1, keepdims=True), predicted.max(axis=1, keepdims=True)
    fitted = (predicted - own_low) / (own_high - own_low) * (high - low) + low
    extent = (high - low)[:, 0].prod(axis=1) ** (1 / 3)
    return 100 * np.linalg.norm(fitted - truth, axis=-1).mean(axis=1) / extent


def dense_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) % of √(w·h) of the true vertices' box: mean 2D distance of all vertices (N, V, 2+)."""
    return 100 * np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1).mean(axis=1) / box_size(truth[..., :2])


def reconstruction_errors(predicted: np.ndarray, truth: np.ndarray, eyes: tuple[int, int]) -> np.ndarray:
    """(N,) % of the true outer-eye distance: mean vertex distance in space after the best similarity.

    PRNet's protocol with known correspondence in the place of ICP. Args: predicted, truth (N, V, 3); eyes, vertex ids
    of the outer eye corners.
    """
    errors = []
    for p, t in zip(predicted.astype(np.float64), truth.astype(np.float64), strict=True):
        distance = np.linalg.norm(t[eyes[0]] - t[eyes[1]])
        errors.append(np.linalg.norm(align_similarity(p, t) - t, axis=1).mean() / distance)
    return 100 * np.array(errors)


def align_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(V, 3) source moved onto target by the least-squares similarity (Umeyama 1991)."""
    a, b = (torch.from_numpy(points)[None] for points in (source, target))
    return moved(a, similarity(a, b))[0].numpy()


def pose_errors(predicted_deg: np.ndarray, truth_deg: np.ndarray) -> np.ndarray:
    """(3,) mean absolute error of pitch, yaw, roll in degrees over images whose true angles are all within ±99°.

    Raises: DataError when no image is left.
    """
    kept = (np.abs(truth_deg) <= MAX_ANGLE_DEG).all(axis=1)
    if not kept.any():
        raise DataError("no image has all its angles within ±99°, so there is no pose error.")
    return np.abs(predicted_deg[kept] - truth_deg[kept]).mean(axis=0)


def read_aflw2000(folder: Path, reannotated: bool = False, new_pose: bool = False) -> Truth:
    """3DDFA's test.configs of AFLW2000-3D. Raises: DataError naming the file that is missing or of another shape."""
    name = "AFLW2000-3D"
    original = _read(folder, f"{name}.pts68.npy", (3, 68))
    points = _read(folder, f"{name}-Reannotated.pts68.npy", (2, 68)) if reannotated else original[:, :2]
    count = len(original)
    yaw = _read(folder, f"{name}-new.pose.npy" if new_pose else f"{name}.pose.npy", ())
    rois = _read(folder, f"{name}_crop.roi_box.npy", (4,)).astype(np.float64)
    _same(folder, count, points, yaw, rois)
    points = points.transpose(0, 2, 1).astype(np.float64) - 0.5
    space = original.transpose(0, 2, 1).astype(np.float64) - [0.5, 0.5, 0.0]
    # the box is that of the annotation in use; an roi (left, top, …) counted from 1 starts at left − 1
    return Truth(points, points, yaw.astype(np.float64), rois - 1, space)


def read_aflw(folder: Path) -> Truth:
    """3DDFA's test.configs of AFLW: 21,080 images, 21 points, invisible ones −1.

    Raises: DataError naming the missing file, such as `AFLW_GT_pts68.npy`, which the normaliser needs.
    """
    visible = _read(folder, "AFLW_GT_pts21.npy", (2, 21)).astype(np.float64)
    box = _read(folder, "AFLW_GT_pts68.npy", (2, 68)).astype(np.float64).transpose(0, 2, 1) - 0.5
    yaw = _read(folder, "AFLW_GT_crop_yaws.npy", ()).astype(np.float64)
    rois = _read(folder, "AFLW_GT_crop_roi_box.npy", (4,)).astype(np.float64)
    _same(folder, len(visible), box, yaw, rois)
    points = visible.transpose(0, 2, 1)
    points = np.where((points != -1).all(axis=-1, keepdims=True), points - 0.5, np.nan)
    return Truth(points, box, yaw, rois - 1)


def _read(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    path = Path(folder) / name
    if not path.is_file():
        raise DataError(
            f"{path} not found; it comes with 3DDFA's test.configs (github.com/cleardusk/3DDFA), copy it there."
        )
    array = read_npy(path)
    if array.shape[1:] != shape or array.ndim != len(shape) + 1 or not np.isfinite(array).all():
        wanted = " × ".join(map(str, ("N", *shape)))
        raise DataError(f"{path}: holds {array.shape}, not {wanted} finite numbers; get it again.")
    return array


def _same(folder: Path, count: int, *arrays: np.ndarray) -> None:
    if any(len(array) != count for array in arrays):
        raise DataError(
            f"{folder}: its files speak of different numbers of images ({count} and others); get them again."
        )
