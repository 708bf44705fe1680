"""Pictures of one face's keypoints and their depth."""

from typing import TYPE_CHECKING

import numpy as np

from common.limits import MAX_SHOWN_PX
from datasets.crop import Crop, square_crop
from geometry.schemes import IBUG_68

if TYPE_CHECKING:  # cropping a face needs no matplotlib
    from matplotlib.figure import Figure

MARGIN = 0.35  # around the keypoints' box, of its larger side
FIGURE_INCHES = (16, 4.2)
GREY = 60  # behind a turned face


def face_square(points: np.ndarray, most: int = MAX_SHOWN_PX) -> Crop:
    """The square around the keypoints (K, 2), in pixels of the photo or, where it has more on a side, in `most`."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(1, int(np.ceil((high - low).max() * (1 + 2 * MARGIN))))
    corner = np.floor((low + high) / 2 - side / 2)
    return square_crop(corner + side / 2, side, min(side, most))


def depth_figure(crop: np.ndarray, points: np.ndarray, depth: np.ndarray) -> "Figure":
    """The face with its keypoints coloured by depth, and the keypoints from the front, the side and half-way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=FIGURE_INCHES, layout="constrained")
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


def flatten(rendered: np.ndarray) -> np.ndarray:
    """(N, H, W, 4) → (N, H, W, 3) over grey."""
    return np.where(rendered[..., 3:] > 0, rendered[..., :3], np.uint8(GREY))
