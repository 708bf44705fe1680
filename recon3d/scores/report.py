"""--report of eval_recon3d.py: landmarks of regressors, and reconstructions with strips and errors on the mesh."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor

from common.files.images import read_image
from common.logs import console
from datasets.thumbnails import cut_thumbnail
from drawing.report.candidates import Comparison, Measure, candidate_page
from drawing.report.faces import AnnotatedFaces
from drawing.report.landmarks import landmark_page, short_names
from drawing.report.page import Gallery, Picture, Section, write_report
from geometry.schemes import IBUG_68
from metrics.report import LandmarkReport, Protocol
from morphable.gallery import draw_heads
from morphable.model import FaceModel

STRIPS = 8  # of each kind: worst, median, best
MAP_PX, MAP_VIEWS = 320, ((0.0, 0.0), (0.0, 45.0), (0.0, -80.0))  # pitch, yaw in degrees


def write_landmarks(
    folder: Path, model: str, protocol: Protocol, paths: Sequence[Path], found: np.ndarray, truth: np.ndarray
) -> None:
    """Landmarks (N, 68, 2) px of photos, NaN where a face was missed, against their truth. Raises: DataError."""
    names = [path.as_posix() for path in paths]
    report = LandmarkReport(protocol, IBUG_68)
    for name, points, true in zip(names, found, truth, strict=True):
        if np.isfinite(points).all():
            pair = (torch.from_numpy(np.asarray(x, dtype=np.float32))[None, :, :2] for x in (points, true))
            report.add([name], *pair, None, float("nan"))
            report.keep(name, points)
        else:
            report.add_failure(name, "the detector misses the face")
    faces = AnnotatedFaces(
        short_names(names),
        truth[..., :2],
        IBUG_68,
        [{}] * len(names),
        lambda number: cut_thumbnail(read_image(paths[number]), truth[number]),
    )
    report.names = [dict(zip(names, faces.names, strict=True))[name] for name in report.names]
    report.points = {short: report.points[name] for name, short in zip(names, faces.names) if name in report.points}
    _say(write_report(folder, landmark_page(f"68 landmarks by {model} on {protocol.dataset}", faces, {model: report})))


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Any other benchmark. Raises: DataError."""
    _say(write_report(folder, candidate_page(comparison)))


def _say(path: Path) -> None:
    console().info(f"wrote {path}")


def strips(errors: np.ndarray, names: Sequence[str], draw: Callable[[int], np.ndarray], unit: str) -> Section:
    """The worst, median and best items by their errors (N,). Args: draw: number → picture (H, W, 3) uint8."""
    order = np.argsort(np.nan_to_num(errors, nan=np.inf), kind="stable")
    count = min(STRIPS, max(1, len(order) // 3))
    middle = max(0, len(order) // 2 - count // 2)
    shown = short_names(names)
    parts = {"Worst": order[::-1][:count], "Around the median": order[middle : middle + count], "Best": order[:count]}
    galleries = [
        Gallery(
            f"{title} {count}",
            [Picture(draw(i), f"{errors[i]:.2f} {unit} · {shown[i]}") for i in chosen.tolist()],
            folded=title != "Worst",
        )
        for title, chosen in parts.items()
    ]
    return Section(
        "Faces", "The crop, the reconstruction over it, landmarks, shape, normals and depth.", (), (), galleries
    )


def error_maps(model: FaceModel, errors: Mapping[str, Tensor]) -> Section:
    """Mean errors (V,) mm by candidate as colours of the mean head from three sides, with one scale for all."""
    model = model.to("cpu")
    top = max(float(np.quantile(values.cpu().numpy(), 0.98)) for values in errors.values())
    colours = matplotlib.colormaps["viridis"]
    pictures = []
    for name, values in errors.items():
        painted = torch.from_numpy(colours((values.cpu().numpy() / top).clip(0, 1))[:, :3]).float()
        count = len(MAP_VIEWS)
        shapes = model.mean.expand(count, -1, -1)
        tiles, _ = draw_heads(model, shapes, painted.expand(count, -1, -1), torch.tensor(MAP_VIEWS), MAP_PX)
        pictures.append(Picture(np.concatenate(list(tiles.numpy()), 1), name))
    text = f"Mean distance of every vertex from the truth after the alignment: dark 0, yellow {top:.1f} mm and more."
    return Section("Errors on the mesh", text, (), (), [Gallery("Mean head from three sides", pictures)])


def measures_of(
    table: Mapping[str, tuple[str, str, int]], values: Mapping[str, Mapping[str, np.ndarray]]
) -> list[Measure]:
    """Measures by their keys. Args: table: key → title, unit, decimals; values: key → method → (N,)."""
    return [
        Measure(title, unit, values[key], decimals) for key, (title, unit, decimals) in table.items() if key in values
    ]
