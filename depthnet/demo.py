"""The demo's tasks `depth` and `rotate`: one face of a photo in; pictures, points and a movie out."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.files.atomic import write_file
from depthnet.lifting import Lifter, animation_angles
from depthnet.warping.tasks import render_rotation
from geometry.schemes import IBUG_68
from video.movies import write_movie

if TYPE_CHECKING:  # turning a face needs no matplotlib
    from matplotlib.figure import Figure

SHOWN_DEGREES = (-45, -30, -15, 0, 15, 30, 45)
GREY = 60  # behind a turned face
MARGIN = 0.35  # around the keypoints' box, of its larger side


def crop_face(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A square around the keypoints (K, 2), black beyond the photo, and the keypoints in it."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = int(np.ceil((high - low).max() * (1 + 2 * MARGIN)))
    left, top = np.floor((low + high) / 2 - side / 2).astype(int)
    out = np.zeros((side, side, 3), np.uint8)
    x0, y0 = max(left, 0), max(top, 0)
    part = image[y0 : top + side, x0 : left + side]
    out[y0 - top : y0 - top + part.shape[0], x0 - left : x0 - left + part.shape[1]] = part
    return out, points - np.array([left, top])


def write_depth(out: Path, label: str, image: np.ndarray, points: np.ndarray, lifter: Lifter) -> list[Path]:
    """<label>_depth.png and <label>_depth.csv ("x,y,z", photo pixels, z smaller is nearer, mean 0) of one face.

    Args: image (H, W, 3) uint8 RGB; points (68, 2) in its continuous pixels.
    """
    from depthnet.scores.figures import save_figure

    depth = lifter.photo_depth(points)
    rows = "".join(f"{x:.3f},{y:.3f},{z:.3f}\n" for (x, y), z in zip(points, depth, strict=True))
    write_file(out / f"{label}_depth.csv", rows)
    crop, shown = crop_face(image, points)
    save_figure(depth_figure(crop, shown, depth), out / f"{label}_depth.png")
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
    """<label>_rotate.gif (0° → 45° → −45° → 0°) and <label>_rotate.png (seven yaws side by side) of one face."""
    depth = lifter.photo_depth(points)
    crop, shown = crop_face(image, points)
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
