"""The demo's tasks `depth` and `rotate`: one face of a photo in; pictures, points and a movie out."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.files.atomic import write_file
from common.limits import MAX_SHOWN_PX
from datasets.crop import Crop, square_crop
from depthnet.lifting import Lifter, animation_angles
from depthnet.warping.tasks import render_rotation
from geometry.schemes import IBUG_68
from video.movies import write_movie

if TYPE_CHECKING:  # turning a face needs no matplotlib
    from matplotlib.figure import Figure

SHOWN_DEGREES = (-45, -30, -15, 0, 15, 30, 45)
GREY = 60  # behind a turned face
MARGIN = 0.35  # around the keypoints' box, of its larger side


def face_square(points: np.ndarray, most: int = MAX_SHOWN_PX) -> Crop:
    """The square around the keypoints (K, 2), in pixels of the photo or, where it has more on a side, in `most`."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(1, int(np.ceil((high - low).max() * (1 + 2 * MARGIN))))
    corner = np.floor((low + high) / 2 - side / 2)
    return square_crop(corner + side / 2, side, min(side, most))


def write_depth(out: Path, label: str, image: np.ndarray, points: np.ndarray, lifter: Lifter) -> list[Path]:
    """<label>_depth.png and <label>_depth.csv ("x,y,z", photo pixels, z smaller is nearer, mean 0) of one face.

    Args: image (H, W, 3) uint8 RGB; points (68, 2) in its continuous pixels.
    """
    from depthnet.scores.figures import save_figure

    depth = lifter.photo_depth(points)
    rows = "".join(f"{x:.3f},{y:.3f},{z:.3f}\n" for (x, y), z in zip(points, depth, strict=True))
    write_file(out / f"{label}_depth.csv", rows)
    square = face_square(points)
    figure = depth_figure(square.extract(image), square.apply(points), depth * square.scale)
    save_figure(figure, out / f"{label}_depth.png")
    return [out / f"{label}_depth.png", out / f"{label}_depth.csv"]


def depth_figure(crop: np.ndarray, points: np.ndarray, depth: np.ndarray) -> "Figure":
    """The face with its keypoints coloured by depth, and the keypoints from the front, the side and half-way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 4.2), layout="constrained")
    axes = figure.add_subplot(1, 4, 1)
    axes.imshow(crop, extent=(0, crop.shape[1], crop.shape[0], 0))
    marks = axes.scatter(points[:, 0], points[:, 1], c=depth, cmap="jet_r", s=14, edgecolors="black", linewidths=0.3)
    figure.colorbar(marks, ax=axes, label="depth (px), smaller is nearer", shrink=0.8)
    axes.set_axis_off()
    for place, (title, azimuth) in enumerate((("front", -90), ("half profile", -40), ("profile", 0)), start=2):
        axes = figure.add_subplot(1, 4, place, projection="3d", proj_type="ortho")
        for contour in IBUG_68.contours:
            line = list(contour)
            axes.plot(points[line, 0], depth[line], -points[line, 1], color="grey", linewidth=0.8)
        axes.scatter(points[:, 0], depth, -points[:, 1], c=depth, cmap="jet_r", s=12)
        axes.set_box_aspect(np.ptp(np.column_stack([points[:, 0], depth, points[:, 1]]), axis=0))
        axes.view_init(elev=5, azim=azimuth)
        axes.set_title(title)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_ticklabels([])
    return figure


def write_rotation(out: Path, label: str, image: np.ndarray, points: np.ndarray, lifter: Lifter) -> list[Path]:
    """<label>_rotate.gif (0° → 45° → −45° → 0°) and <label>_rotate.png (seven yaws side by side) of one face,
    whose square is scaled down to `MAX_SHOWN_PX`.
    """
    square = face_square(points)
    crop, shown = square.extract(image), square.apply(points)
    depth = lifter.photo_depth(points) * square.scale
    quarter = np.pi / 4
    angles = np.concatenate([animation_angles(quarter, -quarter), np.linspace(-quarter, 0, 78)])[::3]
    frames = flatten(render_rotation(crop, shown, depth, "y", angles))
    written = write_movie(out / f"{label}_rotate.gif", frames)
    strip = flatten(render_rotation(crop, shown, depth, "y", np.deg2rad(SHOWN_DEGREES)))
    return written + write_movie(out / f"{label}_rotate.png", [np.concatenate([crop, *strip], axis=1)])


def flatten(rendered: np.ndarray) -> np.ndarray:
    """(N, H, W, 4) → (N, H, W, 3) over grey."""
    return np.where(rendered[..., 3:] > 0, rendered[..., :3], np.uint8(GREY))


TASKS = {"depth": write_depth, "rotate": write_rotation}
