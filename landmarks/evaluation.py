"""Scores of a model on a dataset, streaming: memory does not grow with the number of photos but for their errors."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

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
    """Samples that could be read, and the errors of those that could not."""

    batch: RawBatch | None
    names: list[str]
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
        return ReadBatch(None, [], failures)
    samples = [sample for _, sample in read]
    images = torch.stack([torch.from_numpy(sample.image).permute(2, 0, 1) for sample in samples])
    landmarks = torch.stack([torch.from_numpy(sample.landmarks) for sample in samples])
    visibility = torch.stack([torch.from_numpy(sample.visibility) for sample in samples])
    batch = RawBatch(images, landmarks, visibility, torch.arange(len(samples)))
    return ReadBatch(batch, [name for name, _ in read], failures)


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
        first = first or (data, prediction)
    return report, first


def with_groundtruth_heatmaps(networks: AAE, data: Batch, prediction: Prediction, settings: EvalSettings) -> Prediction:
    """Landmarks as decoded from ground-truth heatmaps, so that only the depth head is judged."""
    size = data.images.shape[-1]
    scale = HEATMAP_SIZE / size
    maps = render_heatmaps(data.landmarks[..., :2] * scale, HEATMAP_SIZE, settings.sigma)
    points, scores = decode_heatmaps(maps, settings.subpixel)
    depth = networks.LMH_3D(maps, prediction.z).float() * size
    return Prediction(torch.cat([points / scale, depth[..., None]], dim=-1), scores, maps, prediction.z)


def run_evaluation(settings: EvalSettings, local: LocalConfig) -> LandmarkReport:
    """eval_landmarks.py: load, score, print, write."""
    if settings.checkpoint is None:
        raise ConfigError("-r/--resume is missing: give a bundled name, a session or a path, as in -r landmarks_300w.")
    if len(settings.dataset) != 1:
        raise ConfigError("--dataset takes one dataset here; run the evaluation once per dataset.")
    accelerator = make_accelerator(settings.device, settings.precision)
    model = load_model(settings.checkpoint, local.snapshots, settings.activation)
    if model.scheme is None:
        raise ConfigError(f"{settings.checkpoint} has no landmark head; train one with train_aae_landmarks.py.")
    networks = model.networks.to(accelerator.device, memory_format=torch.channels_last).eval()
    if settings.readout not in (None, "heatmaps") and not networks.config.coords_head:
        raise ConfigError(
            f"--readout {settings.readout}: {settings.checkpoint} has no coordinate read-out; use heatmaps."
        )
    key = settings.dataset[0]
    dataset = locate_dataset(
        key,
        settings.test_split,
        local,
        networks.config.input_size,
        settings.crop_source or model.crop_source,
        settings.align,
        settings.scheme,
    )
    if dataset.scheme is None or dataset.scheme.num_points != model.scheme.num_points:
        have = "no landmarks" if dataset.scheme is None else f"{dataset.scheme.num_points} landmarks"
        raise ConfigError(
            f"--dataset {key} has {have}, the model finds {model.scheme.num_points}; choose another of the two."
        )
    if settings.eval_3d and not networks.config.depth_head:
        raise ConfigError(
            f"--eval-3d: {settings.checkpoint} has no depth head; train it with train_aae_landmarks_3d.py."
        )
    if settings.val_count is not None:
        dataset.annotations = dataset.annotations[: settings.val_count]
    console().info(str(dataset))
    if settings.boxes is not None:
        report, first = evaluate_in_boxes(model, dataset, settings), None
    else:
        report, first = evaluate_dataset(model, dataset, settings, accelerator)
    publish(report, settings, local, first, model)
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


def publish(report: LandmarkReport, settings: EvalSettings, local: LocalConfig, first, model: LoadedModel) -> None:
    """Print the score with its protocol and write what was asked for."""
    for line in report.block().splitlines():
        console().info(line)
    console().info(report.line())
    for name, reason in report.failures:
        console().info(f"counted as failed: {name}: {reason}")
    if settings.json is not None:
        write_file(settings.json, report.json_text())
    if settings.csv is not None:
        write_file(settings.csv, report.csv_text())
    if settings.ced is not None:
        plot_ced({model.folder.name: report}, settings.ced)
    if not settings.benchmark and first is not None:
        normalize = model.networks.config.normalize
        pictures = prediction_pictures(*first, report.scheme, settings.ocular_norm, settings.sigma, normalize)
        for name, picture in pictures.items():
            path = local.outputs / "results" / settings.checkpoint.replace("/", "_").strip("._") / f"{name}.png"
            save_picture(path, picture)
            console().info(f"wrote {path}")
