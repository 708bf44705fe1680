"""Plots beside an exported FaceWarper folder: keypoints from the front, lifted, and on their way to the target."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

from common.files.pictures import save_picture
from depthnet.scores.figures import save_figure

STEPS = 100  # from source to target
COLOURS = {"cmap": "jet_r", "edgecolors": "black", "linewidths": 0.4, "s": 18}  # red is near
LABEL = "depth (px), smaller is nearer"


def moved_points(points: np.ndarray, depth: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(K, 2) keypoints with depths (K,) where an affine (2, 4) puts them."""
    return points @ affine[:, :2].T + depth[:, None] * affine[:, 2] + affine[:, 3]


def plot_export(
    root: Path,
    name: str,
    source: np.ndarray,
    target: np.ndarray,
    depth: np.ndarray,
    affine: np.ndarray,
    size: tuple[int, int],
) -> None:
    """<root>/plots/{src_kpts,tgt_kpts,pred_kpts,src_3d,tgt_3d}.png, and 100 steps in <root>/plot_warp.

    The steps go straight from the lifted source to the lifted target, whose depth is the source's: a network knows no
    other.

    Args:
        name: subfolder of both, "" for a single target.  source, target: (K, 2) in pixels of the output.  depth: (K,)
            of the
        source.  affine: (2, 4).  size: (width, height) of the output.
    """
    folder = Path(root) / "plots" / name
    predicted = moved_points(source, depth, affine)
    for file, title, points in (
        ("src_kpts", "source", source),
        ("tgt_kpts", "target", target),
        ("pred_kpts", "source moved to the target", predicted),
    ):
        plot_flat(folder / f"{file}.png", title, points, depth, size)
    plot_lifted(folder / "src_3d.png", "source, lifted", source, depth)
    plot_lifted(folder / "tgt_3d.png", "target, lifted by the source's depth", target, depth)
    share = np.linspace(0, 1, STEPS)[:, None, None]
    plot_frames(Path(root) / "plot_warp" / name, "source to target", source + share * (target - source), depth, size)


def flat_figure(title: str, size: tuple[int, int]) -> Figure:
    """Empty axes as large as the picture, y down."""
    figure = Figure(figsize=(5, 4.2), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0), aspect="equal", title=title, xlabel="x (px)", ylabel="y (px)")
    return figure


def plot_flat(path: Path, title: str, points: np.ndarray, depth: np.ndarray, size: tuple[int, int]) -> None:
    """Keypoints (K, 2) from the front, coloured by depth (K,)."""
    figure = flat_figure(title, size)
    figure.colorbar(figure.axes[0].scatter(*points.T, c=depth, **COLOURS), label=LABEL)
    save_figure(figure, path, dpi=80)


def plot_lifted(path: Path, title: str, points: np.ndarray, depth: np.ndarray) -> None:
    """Keypoints (K, 2) with depth (K,) in space, seen from above one side; the viewer of the photo is in front."""
    figure = Figure(figsize=(5, 4.2), dpi=80, layout="constrained")
    axes = figure.add_subplot(projection="3d", proj_type="ortho")
    figure.colorbar(axes.scatter(points[:, 0], depth, points[:, 1], c=depth, **COLOURS), label=LABEL, shrink=0.7)
    axes.set_box_aspect(np.maximum(np.ptp(np.column_stack([points[:, 0], depth, points[:, 1]]), axis=0), 1e-6))
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(4))
    axes.zaxis.set_inverted(True)
    axes.view_init(elev=15, azim=-50)
    axes.set(title=title, xlabel="x (px)", ylabel="depth (px)", zlabel="y (px)")
    save_figure(figure, path, dpi=80)


def plot_frames(folder: Path, title: str, frames: np.ndarray, depth: np.ndarray, size: tuple[int, int]) -> None:
    """<folder>/%06d.png of every frame (N, K, 2), coloured by depth (K,) or (N, K).

    Axes are drawn once, since they take a hundred times as long as the points. Raises: DataError when a file cannot be
    written.
    """
    depths = np.broadcast_to(depth, frames.shape[:2])
    figure = flat_figure(title, size)
    marks = figure.axes[0].scatter(*frames[0].T, c=depths[0], vmin=depths.min(), vmax=depths.max(), **COLOURS)
    figure.colorbar(marks, label=LABEL)
    marks.set_visible(False)
    figure.canvas.draw()
    empty = figure.canvas.copy_from_bbox(figure.bbox)
    marks.set_visible(True)
    for i, (points, colours) in enumerate(zip(tqdm(frames, desc=folder.name, leave=False), depths, strict=True)):
        figure.canvas.restore_region(empty)
        marks.set_offsets(points)
        marks.set_array(colours)
        figure.axes[0].draw_artist(marks)
        save_picture(folder / f"{i:06d}.png", np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]))
