"""Scores of a model on a dataset, streaming: memory does not grow with the number of photos but for their errors."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from common.config import LocalConfig
from common.errors import ConfigError, DataError
from common.files.atomic import write_file
from common.files.pictures import save_picture
from common.logs import console
from common.runtime import current_commit, make_accelerator
from datasets.augment import Batch
from datasets.crop import Crop
from datasets.detection.detect import DEFAULT_DETECTOR
from datasets.loader import RawBatch
from datasets.packing import SampleReader
from datasets.sample import FaceDataset, Sample
from drawing.curves import plot_ced
from geometry.heatmaps import decode_heatmaps, render_heatmaps
from geometry.schemes import LandmarkScheme
from landmarks.box_evaluation import GIVEN, evaluate_boxes
from landmarks.data import locate_dataset
from landmarks.detector import LandmarkDetector
from landmarks.inference import Prediction, predict, validation_transform
from landmarks.models import LoadedModel, load_model
from landmarks.pictures import prediction_pictures
from landmarks.report import write_landmark_report
from landmarks.settings import EvalSettings
from metrics.report import LandmarkReport, Protocol
from networks.aae import AAE
from networks.landmark_heads import HEATMAP_SIZE


@torch.inference_mode()
def evaluate_batches(
    networks: AAE,
    loader: Iterable[RawBatch],
    transform: Callable[..., Batch],
    names: Callable[[int], str],
    scheme: LandmarkScheme,
    ocular_norm: str,
    accelerator: Accelerator,
    protocol: Protocol | None = None,
    flip: bool = False,
    subpixel: bool = True,
) -> tuple[LandmarkReport, tuple[Batch, Prediction]]:
    """Errors of all batches, and the first batch with its prediction for pictures."""
    protocol = protocol or Protocol(dataset="validation", split="val", scheme=scheme.name, normaliser=ocular_norm)
    report = LandmarkReport(protocol, scheme)
    permutation = torch.as_tensor(scheme.flip_permutation) if flip else None
    first = None
    for raw in loader:
        raw = raw.to(accelerator.device)
        data = transform(raw.images, raw.landmarks, raw.visibility, raw.indices)
        with accelerator.autocast():
            prediction = predict(networks, data.images, permutation, subpixel)
        add_to_report(report, [names(i) for i in raw.indices.tolist()], prediction.landmarks, data)
        first = first or (data, prediction)
    return report, first


def add_to_report(report: LandmarkReport, names: Sequence[str], predicted: Tensor, data: Batch) -> None:
    """Compare a batch; depths only count where both sides have them."""
    dimensions = min(predicted.shape[-1], data.landmarks.shape[-1])
    report.add(
        names,
        predicted[..., :dimensions].float().cpu(),
        data.landmarks[..., :dimensions].cpu(),
        data.visibility.cpu(),
        data.images.shape[-1],
    )


@dataclasses.dataclass(frozen=True)
class ReadBatch:
    """Samples that could be read with their crops, and the errors of those that could not."""

    batch: RawBatch | None
    names: list[str]
    crops: list[Crop]
    failures: list[tuple[str, str]]


class EvaluationReader(SampleReader):
    """Samples or errors together with the sample's name."""

    def __getitem__(self, index: int) -> tuple[str, Sample | DataError]:
        return self.dataset.annotations[index].name, super().__getitem__(index)


def collate_samples(items: list[tuple[str, Sample | DataError]]) -> ReadBatch:
    """[(name, sample or error)] → one batch of what could be read."""
    failures = [(name, str(item)) for name, item in items if isinstance(item, DataError)]
    read = [(name, item) for name, item in items if isinstance(item, Sample)]
    if not read:
        return ReadBatch(None, [], [], failures)
    samples = [sample for _, sample in read]
    images = torch.stack([torch.from_numpy(sample.image).permute(2, 0, 1) for sample in samples])
    landmarks = torch.stack([torch.from_numpy(sample.landmarks) for sample in samples])
    visibility = torch.stack([torch.from_numpy(sample.visibility) for sample in samples])
    batch = RawBatch(images, landmarks, visibility, torch.arange(len(samples)))
    return ReadBatch(batch, [name for name, _ in read], [sample.crop for sample in samples], failures)


@torch.inference_mode()
def evaluate_dataset(
    model: LoadedModel, dataset: FaceDataset, settings: EvalSettings, accelerator: Accelerator, progress: bool = True
) -> tuple[LandmarkReport, tuple[Batch, Prediction] | None]:
    """Score a model on photos as they lie on disk; a photo that cannot be read counts as a failure and is named."""
    scheme, networks = dataset.scheme, model.networks
    protocol = Protocol(
        dataset=dataset.name,
        split=dataset.split,
        scheme=scheme.name,
        normaliser=settings.ocular_norm,
        crop=dataset.crop_source,
        threshold=settings.threshold,
        seed=settings.seed,
        commit=current_commit(),
        flip=settings.flip,
        subpixel=settings.subpixel,
        auc_steps=settings.auc_steps,
        readout=settings.readout or networks.config.readout,
    )
    report, shape = LandmarkReport(protocol, scheme), model.info.get("mean_shape")
    if shape is not None:  # what a network of few labels must be better than
        control = report.controls[f"mean shape of the {shape['faces']} training faces"] = LandmarkReport(
            protocol, scheme
        )
    transform = validation_transform(networks.config.input_size, networks.config.normalize)
    permutation = torch.as_tensor(scheme.flip_permutation) if settings.flip else None
    loader = DataLoader(
        EvaluationReader(dataset),
        batch_size=settings.batch_size,
        collate_fn=collate_samples,
        num_workers=settings.workers,
    )
    first = None
    for read in tqdm(loader, desc="evaluating", disable=not progress, leave=False):
        for name, reason in read.failures:
            report.add_failure(name, reason)
        if read.batch is None:
            continue
        raw = read.batch.to(accelerator.device)
        data = transform(raw.images, raw.landmarks, raw.visibility, raw.indices)
        with accelerator.autocast():
            prediction = predict(networks, data.images, permutation, settings.subpixel, protocol.readout)
            if settings.use_groundtruth and networks.config.depth_head:
                prediction = with_groundtruth_heatmaps(networks, data, prediction, settings)
        if shape is not None:
            points = torch.tensor(shape["points"]) * networks.config.input_size
            add_to_report(control, read.names, points.expand(len(read.names), -1, -1), data)
        add_to_report(
            report, read.names, prediction.landmarks if settings.eval_3d else prediction.landmarks[..., :2], data
        )
        keep_points(report, read, prediction.landmarks, data.images.shape[-1])
        first = first or (data, prediction)
    return report, first


def keep_points(report: LandmarkReport, read: ReadBatch, predicted: Tensor, size: int) -> None:
    """Predicted points (B, K, 2 or 3) px of the inner square of the crops, in the photos."""
    for name, crop, points in zip(read.names, read.crops, predicted.float().cpu().numpy(), strict=True):
        report.keep(name, crop.centre(size).invert(points[:, :2]))


def with_groundtruth_heatmaps(networks: AAE, data: Batch, prediction: Prediction, settings: EvalSettings) -> Prediction:
    """Landmarks as decoded from ground-truth heatmaps, so that only the depth head is judged."""
    size = data.images.shape[-1]
    scale = HEATMAP_SIZE / size
    maps = render_heatmaps(data.landmarks[..., :2] * scale, HEATMAP_SIZE, settings.sigma)
    points, scores = decode_heatmaps(maps, settings.subpixel)
    depth = networks.LMH_3D(maps, prediction.z).float() * size
    return Prediction(torch.cat([points / scale, depth[..., None]], dim=-1), scores, maps, prediction.z)


def run_evaluation(settings: EvalSettings, local: LocalConfig) -> dict[str, LandmarkReport]:
    """eval_landmarks.py: load, score, print, write. Returns: the reports by model."""
    if not settings.checkpoint:
        raise ConfigError("-r/--resume is missing: give a bundled name, a session or a path, as in -r landmarks_300w.")
    if len(set(settings.checkpoint)) < len(settings.checkpoint):
        raise ConfigError("-r/--resume names a model twice; name every model once.")
    if settings.csv is not None and len(settings.checkpoint) > 1:
        raise ConfigError("--csv takes one model; for several, --report writes faces.csv with a column for each.")
    if len(settings.dataset) != 1:
        raise ConfigError("--dataset takes one dataset here; run the evaluation once per dataset.")
    models = {name: load_for_evaluation(name, settings, local) for name in settings.checkpoint}
    datasets = {name: open_test_set(name, model, settings, local) for name, model in models.items()}
    reports = {}
    for name, model in models.items():
        reports[name] = evaluate_model(name, model, datasets[name], settings, local)
    publish(reports, settings)
    if settings.report is not None:
        write_landmark_report(settings.report, next(iter(datasets.values())), reports)
    return reports


def load_for_evaluation(name: str, settings: EvalSettings, local: LocalConfig) -> LoadedModel:
    """One model that can do what the settings ask for. Raises: ConfigError, CheckpointError."""
    model = load_model(name, local.snapshots, settings.activation)
    if model.scheme is None:
        raise ConfigError(f"{name} has no landmark head; train one with train_aae_landmarks.py.")
    config = model.networks.config
    if settings.readout not in (None, "heatmaps") and not config.coords_head:
        raise ConfigError(f"--readout {settings.readout}: {name} has no coordinate read-out; use heatmaps.")
    if settings.eval_3d and not config.depth_head:
        raise ConfigError(f"--eval-3d: {name} has no depth head; train it with train_aae_landmarks_3d.py.")
    return model


def open_test_set(name: str, model: LoadedModel, settings: EvalSettings, local: LocalConfig) -> FaceDataset:
    """The dataset as a model's crops need it. Raises: ConfigError for another number of points, DataError."""
    key = settings.dataset[0]
    crop_source = settings.crop_source or model.crop_source
    size = model.networks.config.input_size
    dataset = locate_dataset(key, settings.test_split, local, size, crop_source, settings.align, settings.scheme)
    if dataset.scheme is None or dataset.scheme.num_points != model.scheme.num_points:
        have = "no landmarks" if dataset.scheme is None else f"{dataset.scheme.num_points} landmarks"
        raise ConfigError(
            f"--dataset {key} has {have}, the model {name} finds {model.scheme.num_points}; choose another of the two."
        )
    if settings.val_count is not None:
        dataset.annotations = dataset.annotations[: settings.val_count]
    return dataset


def evaluate_model(
    name: str, model: LoadedModel, dataset: FaceDataset, settings: EvalSettings, local: LocalConfig
) -> LandmarkReport:
    """Score one model, print the score with its protocol, and draw the first faces without --benchmark."""
    accelerator = make_accelerator(settings.device, settings.precision)
    model.networks.to(accelerator.device, memory_format=torch.channels_last).eval()
    console().info(f"{name} on {dataset}" if len(settings.checkpoint) > 1 else str(dataset))
    if settings.boxes is not None:
        report, first = evaluate_in_boxes(model, dataset, settings), None
    else:
        report, first = evaluate_dataset(model, dataset, settings, accelerator)
    for line in [*report.block().splitlines(), report.line()]:
        console().info(line)
    for failed, reason in report.failures:
        console().info(f"counted as failed: {failed}: {reason}")
    if not settings.benchmark and first is not None:
        normalize = model.networks.config.normalize
        pictures = prediction_pictures(*first, report.scheme, settings.ocular_norm, settings.sigma, normalize)
        for title, picture in pictures.items():
            path = local.outputs / "results" / name.replace("/", "_").strip("._") / f"{title}.png"
            save_picture(path, picture)
            console().info(f"wrote {path}")
    return report


def evaluate_in_boxes(model: LoadedModel, dataset: FaceDataset, settings: EvalSettings) -> LandmarkReport:
    """The report of whole photos and boxes, with the areas under the risk-coverage curve. Raises: DataError."""
    detector = LandmarkDetector(
        model,
        device=settings.device,
        passes=settings.passes,
        flip=settings.flip,
        detector=DEFAULT_DETECTOR if settings.boxes in GIVEN else settings.boxes,
    )
    if settings.jitter and settings.boxes != "landmarks":
        raise ConfigError(f"--jitter {settings.jitter:g} moves given boxes: use it with --boxes landmarks.")
    protocol = Protocol(
        dataset=dataset.name,
        split=dataset.split,
        scheme=dataset.scheme.name,
        normaliser=settings.ocular_norm,
        crop=f"boxes:{settings.boxes}±{settings.jitter:g}",
        threshold=settings.threshold,
        seed=settings.seed,
        commit=current_commit(),
        flip=settings.flip,
        auc_steps=settings.auc_steps,
        readout=model.networks.config.readout,
    )
    scores = evaluate_boxes(detector, dataset, settings.boxes, protocol, settings.jitter, settings.seed)
    scores.report.extra.update(scores.summary())
    return scores.report


def publish(reports: dict[str, LandmarkReport], settings: EvalSettings) -> None:
    """Write what --json, --csv and --ced ask for; of several models --json has one entry each."""
    one = next(iter(reports.values())) if len(reports) == 1 else None
    if settings.json is not None:
        several = {name: json.loads(report.json_text()) for name, report in reports.items()}
        write_file(settings.json, one.json_text() if one else json.dumps(several, indent=1))
    if settings.csv is not None:
        write_file(settings.csv, one.csv_text())
    if settings.ced is not None:
        plot_ced({Path(name).name: report for name, report in reports.items()}, settings.ced)
