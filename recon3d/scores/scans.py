"""Reconstructions of rendered real scans against the scans: mm by NoW's protocol and after a similarity."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.logs import console
from datasets.alignment import crop_of_five, five_of_68
from datasets.readers.scans import Scan, read_scans
from drawing.report.candidates import Comparison
from drawing.report.faces import value_bins
from landmarks.finder import LandmarkFinder
from metrics.bootstrap import mean_interval
from metrics.meshes import Surface, face_crop, now_errors_mm
from morphable.fit import DETECTOR_NOISE, FitSettings, fit_landmarks
from morphable.model import FaceModel
from recon3d.inference.reconstructor import ReconstructedFaces, Reconstructor
from recon3d.inference.results import strip
from recon3d.scores.report import measures_of, strips, write_comparison
from recon3d.scores.scan_views import ScanRenderer, View, with_landmarks

SEVEN = [36, 39, 42, 45, 33, 48, 54]  # of the 68 points: NoW's landmarks
POINTS = 1000  # of a scan's face that are compared
BATCH = 16
MEASURES = ("similarity_mm", "now_mm")


def score_scans(
    reconstructor: Reconstructor,
    folder: Path | None,
    count: int | None,
    finder: LandmarkFinder,
    report: Path | None = None,
) -> dict:
    """Mean distance of a scan's face to the reconstructed mesh in mm, by candidate, over rendered views of real scans.

    similarity_mm: of the shape as reconstructed, with its expression; now_mm: of the neutral shape, NoW's protocol.
        Both align
    by NoW's seven landmarks and ICP with scale; the scans' own scale counts. Five points are those of the scan;
    landmark fits take what the detector finds. Intervals are over views, of few people, so they say nothing of other
    people.
    Args: count: views of every scan, default all 21. Raises: DataError without scans.
    """
    model = reconstructor.model
    values: dict[str, dict[str, list[float]]] = {measure: {} for measure in MEASURES}
    by_scan: dict[str, dict[str, float]] = {}
    scans = [prepared(scan, model, finder) for scan in read_scans(folder)]
    seen: list[tuple[str, View]] = []
    for scan in scans:
        own = ScanRenderer(scan).views(count)
        errors = score_scan(reconstructor, scan, own, finder)
        seen += [(scan.name, view) for view in own]
        by_scan[scan.name] = {name: float(np.mean(v)) for name, v in errors["similarity_mm"].items()}
        for measure, found in errors.items():
            for name, numbers in found.items():
                values[measure].setdefault(name, []).extend(numbers)
    views = len(seen)
    if report is not None:
        _report(report, reconstructor, seen, values)
    result = {"benchmark": "scans", "n": views, "scans": by_scan}
    for measure, found in values.items():
        result[measure] = {name: float(np.mean(numbers)) for name, numbers in found.items()}
        result[f"{measure}_interval"] = {name: mean_interval(np.array(numbers)) for name, numbers in found.items()}
    for name, mean in result["similarity_mm"].items():
        low, high = result["similarity_mm_interval"][name]
        now = f", neutral (NoW) {result['now_mm'][name]:.2f} mm" if name in result["now_mm"] else ""
        console().info(f"{len(scans)} scans, {views} views, {name}: {mean:.2f} mm [{low:.2f}, {high:.2f}]{now}")
    return result


def _report(
    folder: Path, reconstructor: Reconstructor, seen: list[tuple[str, View]], values: dict[str, dict[str, list[float]]]
) -> None:
    """The page: distances by candidate, scan and yaw, and strips of the views."""
    arrays = {key: {name: np.array(numbers) for name, numbers in found.items()} for key, found in values.items()}
    titles = {"similarity_mm": ("distance to the scan", "mm", 2), "now_mm": ("neutral shape, NoW", "mm", 2)}
    yaws = np.array([view.angles_deg[1] for _, view in seen])
    groups = {
        "scan": value_bins([name for name, _ in seen]),
        "yaw of the view": value_bins([f"{y:+.0f}°" for y in yaws]),
    }
    names = [f"{name}, pitch {v.angles_deg[0]:+.0f}°, yaw {v.angles_deg[1]:+.0f}°" for name, v in seen]

    def draw(i: int) -> np.ndarray:
        view = seen[i][1]
        return strip(reconstructor.reconstruct([view.image], [five_of_68(view.landmarks)], ordered=False), 0)

    measures = measures_of(titles, arrays)
    *_, last = arrays["similarity_mm"]
    faces = strips(arrays["similarity_mm"][last], names, draw, "mm")
    protocol = {"data": "rendered views of real scans", "alignment": "seven landmarks, ICP with scale"}
    note = "Intervals are over views of few people, so they say nothing of other people."
    write_comparison(folder, Comparison("Reconstructions of scans", names, measures, protocol, groups, [faces], note))


def prepared(scan: Scan, model: FaceModel, finder: LandmarkFinder) -> Scan:
    """In the model's frame; landmarks that the scan lacks are found on a frontal picture of it."""

    def find(picture: np.ndarray) -> np.ndarray | None:
        _, points = finder.points(picture)
        return points[0] if len(points) else None

    return (scan if scan.landmarks is not None else with_landmarks(scan, find)).placed(model)


def score_scan(
    reconstructor: Reconstructor, scan: Scan, views: list[View], finder: LandmarkFinder
) -> dict[str, dict[str, list[float]]]:
    """Measure → candidate → mm of every view."""
    model = reconstructor.model
    marks = scan.landmarks[SEVEN]
    face = scan.mesh.vertices[face_crop(scan.mesh.vertices, marks)]
    points = face[np.linspace(0, len(face) - 1, min(POINTS, len(face))).astype(int)]
    known: dict[bytes, float] = {}  # the mean face comes with every view

    def distance(shape: Tensor) -> float:
        key = shape.cpu().numpy().tobytes()
        if key not in known:
            known[key] = _distance(points, marks, shape, model)
        return known[key]

    errors: dict[str, dict[str, list[float]]] = {measure: {} for measure in MEASURES}
    for start in tqdm(range(0, len(views), BATCH), desc=scan.name):
        part = views[start : start + BATCH]
        five = [five_of_68(view.landmarks) for view in part]
        faces = reconstructor.reconstruct([view.image for view in part], five, ordered=False)
        for measure, shapes in _shapes(faces, _detected(finder, part, five)).items():
            for name, batch in shapes.items():
                errors[measure].setdefault(name, []).extend(distance(shape) for shape in batch)
    return errors


def _detected(finder: LandmarkFinder, views: list[View], five: list[np.ndarray]) -> np.ndarray:
    """(B, 68, 2) what the detector finds around the five points."""
    found = finder.predict_batch([view.image for view in views], crops=[[crop_of_five(points)] for points in five])
    return np.stack([faces[0].landmarks[:, :2] for faces in found]).astype(np.float64)


def _shapes(faces: ReconstructedFaces, detected: np.ndarray) -> dict[str, dict[str, Tensor]]:
    """Measure → candidate → (B, V, 3) dm. Only shapes of a face model can be made neutral."""
    model, count = faces.model, len(faces)
    fit = fit_landmarks(model, torch.from_numpy(detected), settings=FitSettings(noise=DETECTOR_NOISE))
    mean = model.mean.expand(count, -1, -1)
    whole = {"mean face": mean, "fit to detected points": fit.vertices(model), "R-Net": faces.pca.shape}
    if faces.refined:
        whole["R-Net+GCN"] = faces.geometry.shape
    neutral = {"mean face": mean, "fit to detected points": model.shape(fit.identity), "R-Net": faces.neutral_shapes()}
    return {"similarity_mm": whole, "now_mm": neutral}


def _distance(points: np.ndarray, marks: np.ndarray, shape: Tensor, model: FaceModel) -> float:
    vertices = shape.double().cpu()
    own = model.points(shape[None], "ibug68")[0].double().cpu().numpy()[SEVEN]
    mesh = Surface(vertices.numpy(), model.triangles.cpu().numpy())
    return float(now_errors_mm(points, marks, mesh, own).mean())
