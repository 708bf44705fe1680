"""Figures 2 and 3 of the paper: depths as 3D points, and true against predicted depth. Missing inputs are left out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from common.errors import DataError
from common.files.atomic import replacing
from common.files.images import read_image


@dataclass(frozen=True)
class Panel:
    """Depths (N, 66) under one name."""

    name: str
    depth: np.ndarray


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """A PNG that appears whole or not at all. Raises: DataError when it cannot be written."""
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=dpi, format="png")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another folder.") from None


def draw_faces(path: Path, points: np.ndarray, panels: list[Panel], photos: list[Path]) -> None:
    """Figure 2: a row per face, its crop where the photo is there, then one 3D scatter per set of depths.

    Args: points (N, 66, 2) in units of the image sides; panels with depths (N, 66); photos (N) paths, which may be
    missing.
    """
    columns = 1 + len(panels)
    figure = Figure(figsize=(3 * columns, 3 * len(points)), layout="constrained")
    for row, (face, photo) in enumerate(zip(points, photos, strict=True)):
        axes = figure.add_subplot(len(points), columns, row * columns + 1)
        axes.set_axis_off()
        crop = _crop(photo, face)
        if crop is not None:
            axes.imshow(crop)
        axes.set_title(photo.stem, fontsize=8)
        for column, panel in enumerate(panels, start=2):
            depth = panel.depth[row]
            axes = figure.add_subplot(len(points), columns, row * columns + column, projection="3d")
            axes.scatter(face[:, 0], depth, face[:, 1], c=depth, cmap="jet", edgecolors="black", linewidths=0.4, s=18)
            axes.view_init(elev=30, azim=75)
            for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
                axis.set_inverted(True)
                axis.set_ticklabels([])
            axes.set_ylabel("depth", fontsize=7, labelpad=-12)
            corr = np.corrcoef(depth, panels[0].depth[row])[0, 1] if depth.std() > 0 else 0.0
            axes.set_title(panel.name if column == 2 else f"{panel.name}\nr = {corr:+.2f}", fontsize=8)
    save_figure(figure, path)


def _crop(photo: Path, face: np.ndarray) -> np.ndarray | None:
    """The keypoints' box of a photo, or None when there is no such photo."""
    try:
        image = read_image(photo)
    except DataError:
        return None
    pixels = face * np.array(image.shape[1::-1])
    left, top = np.maximum(pixels.min(axis=0).astype(int), 0)
    right, bottom = pixels.max(axis=0).astype(int) + 1
    return image[top:bottom, left:right]


def draw_heatmap(path: Path, name: str, truth: np.ndarray, predicted: np.ndarray) -> None:
    """Figure 3: hexagons of true (x) against predicted depth (y) of all keypoints and pairs, logarithmic colours.

    Args: truth (N, 66); predicted (N, N, 66), whose diagonal is left out, or (N, 1, 66).
    """
    if predicted.shape[1] > 1:
        keep = ~np.eye(len(predicted), dtype=bool)
        actual = np.broadcast_to(truth[:, None], predicted.shape)[keep].ravel()
        predicted = predicted[keep].ravel()
    else:
        actual, predicted = truth.ravel(), predicted.ravel()
    low, high = np.percentile(predicted, [0.1, 99.9])
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    inside = (np.abs(actual) <= 0.3) & (predicted >= low) & (predicted <= high)
    shown = axes.hexbin(actual[inside], predicted[inside], gridsize=70, norm=LogNorm(), cmap="viridis")
    figure.colorbar(shown, label="keypoints")
    corr = np.corrcoef(actual, predicted)[0, 1] if predicted.std() > 0 else 0.0
    axes.set(xlabel="true depth (image sides)", ylabel="predicted depth", title=f"{name}, r = {corr:+.3f}")
    save_figure(figure, path)
