"""Score reconstructors: AFLW2000-3D by the mean of yaw bins, photos with 68 points, and shapes in mm on synthetic
truth.

Photos and synthetic faces compare all of `recon3d.scores.candidates`.
"""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.checkpoint import read_config, resolve_snapshot
from common.config import LocalConfig
from common.errors import CheckpointError, DataError
from common.files.atomic import write_file
from common.files.images import read_image
from common.files.points import read_pts
from common.logs import console
from common.runtime import current_commit
from datasets.alignment import check_five, crop_of_five, five_of_68, in_order, read_five
from datasets.synthetic.rendered import SyntheticBatch, SyntheticFaces, SyntheticSettings
from drawing.report.candidates import Comparison
from drawing.report.page import Section
from landmarks.finder import LandmarkFinder
from metrics.bootstrap import mean_interval
from metrics.landmarks import auc, failure_rate
from metrics.meshes import vertex_distances_mm
from morphable.model import FaceModel
from recon3d.fitting.photometric import skin_weights
from recon3d.identity.features import SFace
from recon3d.inference.reconstructor import ReconstructedFaces, Reconstructor, five_points_of
from recon3d.inference.results import strip
from recon3d.reconstruction.models import holds_deep3d
from recon3d.reconstruction.strips import overlay
from recon3d.regression.method import box_nme
from recon3d.scores.aflw2000 import read_aflw2000
from recon3d.scores.candidates import Candidate, candidates
from recon3d.scores.people import score_groups, score_pairs
from recon3d.scores.photos import annotated_photos
from recon3d.scores.regression import EvalSettings, Predictions, image_names, protocol, report_benchmark, score
from recon3d.scores.report import error_maps, measures_of, strips, write_comparison
from recon3d.scores.scans import score_scans

BATCH = 16
SYNTHETIC_SEED = 99_991  # of faces that no training draws
SYNTHETIC_FACES = 256
CANDIDATES_NOTE = "Landmark fit and mean face know the annotated points; R-Net sees the picture and five of them."
RECONSTRUCTORS_ONLY = ("synthetic", "scans", "pairs", "groups")


def is_reconstructor(settings: EvalSettings, local: LocalConfig) -> bool:
    """Whether the settings ask for something of this module."""
    if settings.benchmark in RECONSTRUCTORS_ONLY:
        return True
    if settings.checkpoint is None:
        return False
    if settings.checkpoint.endswith((".pth", ".tar")):
        path = Path(settings.checkpoint)
        return settings.five is not None or (path.is_file() and holds_deep3d(path))
    try:
        return read_config(resolve_snapshot(settings.checkpoint, local.snapshots)).get("kind") == "reconstructor"
    except CheckpointError:
        return settings.five is not None


def run_reconstruction_evaluation(settings: EvalSettings, local: LocalConfig) -> dict:
    """Print and return the scores. Raises: DataError, CheckpointError."""
    if settings.checkpoint is None:
        raise DataError("--checkpoint: name a reconstructor.")
    reconstructor = Reconstructor.from_pretrained(
        settings.checkpoint,
        local,
        face_model=settings.face_model,
        device=settings.device,
        refiner=settings.refiner,
        texture=settings.texture,
        appearance=settings.appearance,
    )
    finder = LandmarkFinder(snapshots=local.snapshots, device=settings.device)
    if settings.benchmark == "synthetic":
        result = score_synthetic(reconstructor, settings.count or SYNTHETIC_FACES, finder, settings.report)
    elif settings.benchmark == "photos":
        sface = SFace(settings.sface) if settings.likeness else None
        result = score_photos(reconstructor, settings.images, settings.count, finder, sface, settings.report)
    elif settings.benchmark == "aflw2000":
        result = score_aflw2000(reconstructor, settings, local, finder)
    elif settings.benchmark == "scans":
        result = score_scans(reconstructor, settings.images, settings.count, finder, settings.report)
    elif settings.benchmark == "pairs":
        result = score_pairs(reconstructor, settings.images, settings.count, settings.report)
    elif settings.benchmark == "groups":
        column = settings.group_column
        result = score_groups(reconstructor, settings.images, settings.count, column, settings.report)
    else:
        others = ", ".join(("aflw2000", "photos", *RECONSTRUCTORS_ONLY))
        raise DataError(f"--benchmark {settings.benchmark}: not for reconstructors; choose one of {others}.")
    result["protocol"] = protocol(settings) | result.get("protocol", {})
    if settings.json is not None:
        write_file(settings.json, json.dumps(result, indent=1))
    return result


def score_aflw2000(
    reconstructor: Reconstructor, settings: EvalSettings, local: LocalConfig, finder: LandmarkFinder
) -> dict:
    """AFLW2000-3D: five points → aligned crop → network → 68 landmarks back in the photo → NME by yaw bins."""
    truth = read_aflw2000(
        settings.truth or local.dataset("tddfa") / "test.configs", settings.reannotated, settings.new_pose
    )
    five = settings.five or "detector"
    paths = image_names(settings, len(truth.points))
    landmarks, missed, crossed = [], 0, []
    for start in tqdm(range(0, len(paths), BATCH), desc="reconstructing"):
        part = range(start, min(start + BATCH, len(paths)))
        images = [read_image(paths[i]) for i in part]
        points = []
        for i, image in zip(part, images, strict=True):
            found = _five(five, paths[i], image, truth.points[i], settings.landmarks, finder)
            missed += found is None
            points.append(check_five(five_of_68(truth.box_points[i]) if found is None else found, str(paths[i]), False))
            crossed += [] if in_order(points[-1]) else [paths[i].name]
        faces = reconstructor.reconstruct(images, points, ordered=False)
        landmarks += [faces.landmarks_in_photo(i) for i in range(len(faces))]
    console().info(
        f"five points: {five}" + (f"; {missed} faces not found, those from the ground truth" if missed else "")
    )
    if crossed:
        console().info(f"{len(crossed)} profiles whose five points cross, such as {crossed[0]}: scored all the same")
    predictions = Predictions(np.array(landmarks))
    result = score(settings, truth, predictions)
    if settings.report is not None:
        report_benchmark(settings, truth, predictions)
    return result | {"five": five, "missed": missed, "crossed": crossed, "protocol": {"crop": f"five points: {five}"}}


def _five(
    kind: str, path: Path, image: np.ndarray, truth: np.ndarray, folder: Path | None, finder: LandmarkFinder
) -> np.ndarray | None:
    """(5, 2) of one photo; None when the detector finds no face. The face next to the annotated one counts."""
    if kind == "gt":
        return five_of_68(truth[:, :2])
    if kind == "file":
        if folder is None:
            raise DataError("--five file: name the folder of the five-point files with --landmarks.")
        return read_five(folder / f"{path.stem}.txt")
    scheme, landmarks = finder.points(image)
    if len(landmarks) == 0:
        return None
    middle = np.nanmean(truth[:, :2], 0)
    nearest = np.linalg.norm(landmarks[..., :2].mean(1) - middle, axis=1).argmin()
    return five_points_of(scheme, landmarks[nearest, :, :2])


class Table:
    """Errors of all candidates on many faces, by measure and candidate."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[Tensor]]] = {}

    def add(self, measure: str, name: str, values: Tensor) -> None:
        """(B,) more values; NaN where there is none."""
        self._values.setdefault(measure, {}).setdefault(name, []).append(values)

    def values(self, measure: str, name: str) -> Tensor:
        """(n,) all values."""
        return torch.cat(self._values[measure][name]).cpu()

    def means(self, measure: str) -> dict[str, float]:
        """By candidate."""
        return {name: float(self.values(measure, name).nanmean()) for name in self._values[measure]}

    def intervals(self, measure: str) -> dict[str, tuple[float, float]]:
        """95 % intervals of the means over faces, by candidate."""
        return {name: mean_interval(self.values(measure, name).numpy()) for name in self._values[measure]}

    def arrays(self) -> dict[str, dict[str, np.ndarray]]:
        """Measure → candidate → (n,)."""
        return {m: {name: self.values(m, name).double().numpy() for name in by} for m, by in self._values.items()}

    @property
    def last(self) -> str:
        """The candidate that the reconstructor stands for: refined where it refines."""
        return list(next(iter(self._values.values())))[-1]


def score_synthetic(
    reconstructor: Reconstructor, count: int, finder: LandmarkFinder, report: Path | None = None
) -> dict:
    """Mean distance of vertices of the face in mm after a similarity, landmark NME (box) and photometric error of all
    `candidates`, on rendered faces that no training draws.

    The expression counts. Raises: DataError for a model other than the embedded head, which the faces are rendered
        from.
    """
    model = reconstructor.model
    if "iris" not in model.regions or "wflw98" not in model.landmarks:
        raise DataError(
            f"face model {model.name}: synthetic faces are rendered from the embedded head; use --face-model head."
        )
    stream = SyntheticFaces(model, SyntheticSettings(size_px=224), SYNTHETIC_SEED, model.mean.device)
    weights = skin_weights(model)
    table, maps = Table(), {}

    @functools.lru_cache(maxsize=2)
    def reconstruct(index: int) -> tuple[SyntheticBatch, np.ndarray, ReconstructedFaces]:
        batch = stream.batch(index, min(BATCH, count - index * BATCH))
        points = batch.landmarks_2d.double().cpu().numpy()
        images = list(batch.images.cpu().numpy())
        return batch, points, reconstructor.reconstruct(images, list(five_of_68(points)), ordered=False)

    for index in tqdm(range(-(-count // BATCH)), desc="synthetic faces"):
        batch, points, faces = reconstruct(index)
        truth = model.shape(batch.identity, batch.expression)
        for name, found in _compare(table, faces, points, _detected(finder, faces.photos, points)).items():
            distances = vertex_distances_mm(found.shape, truth, weights)
            table.add("vertex_mm", name, (distances * weights).sum(1) / weights.sum())
            maps[name] = maps.get(name, 0) + distances.sum(0) / count
    if report is not None:
        sections = [error_maps(model, {name: values * (weights > 0) for name, values in maps.items()})]
        names = [f"face {i}" for i in range(count)]
        _report(
            report,
            f"{count} rendered faces",
            names,
            table,
            lambda i: strip(reconstruct(i // BATCH)[2], i % BATCH),
            sections,
        )
    means, intervals = (
        {measure: of(measure) for measure in ("vertex_mm", "nme", "photo")} for of in (table.means, table.intervals)
    )
    for name, value in means["vertex_mm"].items():
        low, high = intervals["vertex_mm"][name]
        console().info(
            f"synthetic, n={count}, {name}: {value:.3f} mm [{low:.3f}, {high:.3f}] per vertex of the face,"
            f" landmarks {means['nme'][name]:.2f} % of box, photometric error {means['photo'][name]:.4f}"
        )
    result = {"benchmark": "synthetic", "n": count, "vertex_mm": means["vertex_mm"], "nme_all": means["nme"]}
    result["intervals"] = intervals
    return result | {"photo_all": means["photo"], "nme": means["nme"][table.last], "photo": means["photo"][table.last]}


def _detected(finder: LandmarkFinder, images: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """(B, 68, 2) what the landmark network finds in the crops that the five of the annotated points give."""
    found = finder.predict_batch(images, crops=[[crop_of_five(five)] for five in five_of_68(points)])
    return np.stack([faces[0].landmarks[:, :2] for faces in found]).astype(np.float64)


def _compare(table: Table, faces: ReconstructedFaces, points: np.ndarray, detected: np.ndarray) -> dict[str, Candidate]:
    """The candidates for annotated and detected landmarks (B, 68, 2) px of the photos; NME and photometric errors go
    into the table.
    """
    inside = _in_crops(faces, points, faces.model)
    photos = torch.from_numpy(faces.images).to(faces.albedo) / 255
    found = candidates(faces, inside, _in_crops(faces, detected, faces.model))
    for name, candidate in found.items():
        table.add("nme", name, box_nme(candidate.landmarks, inside))
        table.add("photo", name, candidate.photometric_errors(faces.model, photos))
    return found


def score_photos(
    reconstructor: Reconstructor,
    folder: Path | None,
    count: int | None,
    finder: LandmarkFinder,
    sface: SFace | None = None,
    report: Path | None = None,
) -> dict:
    """Landmark NME (box) and photometric error of all `candidates` on photos with `.pts` beside them; five points from
    the annotation.

    sface: also the cosine of its features of a photo and of the photo with the face drawn over it.
    """
    paths = annotated_photos(folder, count)
    table, cosines = Table(), []
    for start in tqdm(range(0, len(paths), BATCH), desc="reconstructing"):
        part = paths[start : start + BATCH]
        images = [read_image(path) for path in part]
        points = np.stack([read_pts(path.with_suffix(".pts"), 68) for path in part]).astype(np.float64)
        faces = reconstructor.reconstruct(images, list(five_of_68(points)), ordered=False)
        _compare(table, faces, points, _detected(finder, images, points))
        if sface is not None:
            cosines += _likeness(sface, faces, _in_crops(faces, points, reconstructor.model))
    if report is not None:

        def draw(i: int) -> np.ndarray:
            points = read_pts(paths[i].with_suffix(".pts"), 68).astype(np.float64)
            return strip(reconstructor.reconstruct([read_image(paths[i])], [five_of_68(points)], ordered=False), 0)

        _report(report, str(folder), [path.as_posix() for path in paths], table, draw)
    nme, photo, last = table.means("nme"), table.means("photo"), table.last
    for name, value in nme.items():
        console().info(
            f"{folder}, n={len(paths)}, five points: gt, {name}: NME {value:.2f} % of box, photometric error"
            f" {photo[name]:.4f}"
        )
    if cosines:
        console().info(f"likeness of {last} by SFace (cosine, same person from 0.36): {np.mean(cosines):.3f}")
    own = table.values("nme", last)
    result = {
        "benchmark": "photos",
        "nme_all": nme,
        "photo_all": photo,
        "nme": nme[last],
        "photo": photo[last],
        "n": len(paths),
        "intervals": {"nme": table.intervals("nme"), "photo": table.intervals("photo")},
    }
    result |= {"auc": auc(own), "failure_rate": failure_rate(own)}
    result |= {"likeness": float(np.mean(cosines))} if cosines else {}
    return result | {"protocol": {"crop": "five points: gt"}}


MEASURES = {  # of the tables: title, unit, decimals
    "vertex_mm": ("distance of a vertex", "mm", 2),
    "nme": ("NME", "% of √(w·h) of the box", 2),
    "photo": ("photometric error", "", 4),
}


def _report(
    folder: Path,
    data: str,
    names: list[str],
    table: Table,
    draw: Callable[[int], np.ndarray],
    sections: Sequence[Section] = (),
) -> None:
    """The page of all candidates; strips are of the reconstructor as it is. Args: draw: number of a face → strip."""
    measures = measures_of(MEASURES, table.arrays())
    decides = measures[0]
    faces = strips(decides.values[table.last], names, draw, decides.unit)
    shown = {"data": data, "five points": "of the annotation", "commit": current_commit()}
    title = f"Reconstructions: {data}"
    write_comparison(
        folder, Comparison(title, names, measures, shown, sections=[*sections, faces], note=CANDIDATES_NOTE)
    )


def _likeness(sface: SFace, faces: ReconstructedFaces, inside: Tensor) -> list[float]:
    """Cosines of B photos and of the same with their faces drawn over them; inside (B, 68, 2) crop px."""
    picture = faces.picture()
    photo = torch.from_numpy(faces.images).to(picture.colours) / 255
    pair = [sface.features(x.permute(0, 3, 1, 2), inside.to(x)) for x in (photo, overlay(photo, picture))]
    return (pair[0] * pair[1]).sum(1).tolist()


def _in_crops(faces: ReconstructedFaces, points: np.ndarray, model: FaceModel) -> Tensor:
    """(B, 68, 2) photo px → crop px on the model's device."""
    moved = np.stack([crop.apply(face) for crop, face in zip(faces.crops, points, strict=True)])
    return torch.from_numpy(moved).to(model.mean)
