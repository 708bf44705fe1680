"""The phases that train_3dmm.py names: data, networks, augmentation, description."""

import dataclasses
import math
from pathlib import Path

import torch
from torch.utils.data import Subset

from common.checkpoint import json_safe, load_strict, read_snapshot, resolve_snapshot
from common.errors import CheckpointError, ConfigError, DataError
from common.logs import console
from common.runtime import is_main_process
from morphable.model import FaceModel
from networks.landmark_trunk import LandmarkTrunk
from networks.regressors import RegressorConfig
from recon3d.regression.augment import CropAugmentation, CropTransform
from recon3d.regression.data import JoinedSets, PackedCrops, RegressionSet, TddfaLists
from recon3d.regression.decode import CONVENTIONS
from recon3d.regression.mirror import FaceMirror
from recon3d.regression.models import LoadedRegressor, ParameterRegressor
from recon3d.regression.params import MATRIX_COLUMNS
from recon3d.regression.profiling import FaceProfiler
from recon3d.regression.settings import RegressionSettings
from recon3d.regression.short_video import ShortVideo, VideoSynthesis

LANDMARKS = 68


def open_set(source: str, settings: RegressionSettings, split: str = "train") -> RegressionSet:
    """Packed crops, or 3DDFA's lists where the folder holds them. Raises: DataError."""
    folder = Path(source)
    if list(folder.glob("*.list.*")):
        if settings.root is None:
            raise DataError(f"{folder}: holds 3DDFA's lists; give the folder of the crops with --root.")
        return TddfaLists(folder, settings.root, split)
    return PackedCrops(folder)


def open_training_set(settings: RegressionSettings) -> RegressionSet:
    """All of --data. Raises: DataError."""
    if not settings.data:
        raise DataError(
            "--data: name a folder of packed crops (python -m recon3d.regression.prepare) or 3DDFA's train.configs."
        )
    return JoinedSets([open_set(source, settings) for source in settings.data])


def first_rows(data: RegressionSet, count: int | None, name: str) -> RegressionSet:
    """The first rows of a set. Raises: DataError when there are fewer."""
    if count is None:
        return data
    if not 0 < count <= len(data):
        raise DataError(f"--{name} {count} is not within 1..{len(data)}, the samples that the data has.")
    return FirstRows(data, count)


class FirstRows(RegressionSet):
    """The first rows of another set."""

    def __init__(self, data: RegressionSet, count: int) -> None:
        self._data = Subset(data, range(count))
        self.names, self.parameters = data.names[:count], data.parameters[:count]
        self.landmarks = None if data.landmarks is None else data.landmarks[:count]
        self.layout, self.size, self.resolution, self.convention = (
            data.layout,
            data.size,
            data.resolution,
            data.convention,
        )

    def read_image(self, index: int):
        return self._data.dataset.read_image(index)


def mean_scale(data: RegressionSet) -> float:
    """Mean of ‖A‖_F / √3 over a training set: crop px per dm."""
    return float(torch.from_numpy(data.parameters[:, list(MATRIX_COLUMNS)]).norm(dim=1).mean() / math.sqrt(3))


def make_networks(
    settings: RegressionSettings, data: RegressionSet, resumed: LoadedRegressor | None, snapshots: Path
) -> ParameterRegressor:
    """A new network with the whitening of the data, or the resumed one; --lrr adds the landmark head to either.

    Raises: CheckpointError when a resumed model does not fit the data; as `start_trunk`.
    """
    if resumed is None:
        if len(data) < 2:
            raise DataError(f"--data: {len(data)} crop, whose labels have no spread; pack more photos.")
        config = RegressorConfig(
            settings.arch,
            settings.width,
            data.size,
            identity=data.layout.identity,
            expression=data.layout.expression,
            landmarks=LANDMARKS if settings.lrr else 0,
            replay=tuple(settings.replay),
        )
        try:
            networks = ParameterRegressor(config, data.whitening(), data.convention, settings.face_model)
        except ValueError as error:
            raise ConfigError(f"--arch {settings.arch} --width {settings.width:g}: {error}; change --width.") from None
        if settings.trunk is not None:
            start_trunk(networks, settings.trunk, snapshots)
        return networks
    old = resumed.model
    if old.layout != data.layout or old.config.input_size != data.size or old.convention.name != data.convention:
        raise CheckpointError(
            f"{resumed.folder}: made for {old.layout.size} parameters, {old.config.input_size} px and convention"
            f" {old.convention.name}; the data have {data.layout.size}, {data.size} px and {data.convention}."
        )
    if not settings.lrr or old.config.landmarks:
        return old
    config = dataclasses.replace(old.config, landmarks=LANDMARKS)
    model = ParameterRegressor(config, old.whitening, old.convention.name, old.face_model)
    load_strict(model, old.state_dict(), resumed.folder, optional=("network.fc_lm.",))
    return model


def start_trunk(networks: ParameterRegressor, name: str, snapshots: Path) -> None:
    """Copy the trunk of a direct landmark model into a new regressor.

    Raises: ConfigError for another architecture; CheckpointError for another kind of model or another width.
    """
    if not isinstance(networks.network, LandmarkTrunk):
        raise ConfigError(f"--trunk {name}: {networks.config.arch} has no such trunk; add --arch landmark_trunk.")
    snapshot = read_snapshot(resolve_snapshot(name, snapshots), "a direct landmark model", "landmark_net")
    parts = ("stem.", "stages.", "squeeze.")
    tensors = {name: tensor for name, tensor in snapshot.tensors.items() if name.startswith(parts)}
    load_strict(networks.network, tensors, snapshot.folder, optional=("fc.", "fc_lm."))


def batch_changes(settings: RegressionSettings, data: RegressionSet, face_model: FaceModel) -> list:
    """What --flip and --video-frames do to raw batches. Raises: DataError where model or data cannot."""
    changes = []
    if settings.flip:
        changes.append(FaceMirror(face_model, data.layout, settings.flip, settings.seed))
    if settings.video_frames:
        profiler, convention = FaceProfiler(face_model, data.layout), CONVENTIONS[data.convention]
        changes.append(VideoSynthesis(profiler, ShortVideo(frames=settings.video_frames), settings.seed, convention))
    return changes


def open_data(settings: RegressionSettings) -> tuple[RegressionSet, RegressionSet | None]:
    """Training crops, and those to validate on. Raises: DataError, also when the two are of another form."""
    data = first_rows(open_training_set(settings), settings.train_count, "train-count")
    if settings.val_data is None:
        return data, None
    validation = open_set(settings.val_data, settings, "val")
    if (validation.layout, validation.size, validation.convention) != (data.layout, data.size, data.convention):
        raise DataError(
            f"--val-data {settings.val_data}: its crops or parameters are of another form than those of --data."
        )
    return data, first_rows(validation, settings.val_count, "val-count")


def crop_transform(settings: RegressionSettings, data: RegressionSet) -> CropTransform:
    """Augmentation of the crops. Raises: ConfigError for movements without a margin, and for uneven jigsaws."""
    for grid in settings.jigsaw_grids:
        if data.size % grid:
            raise ConfigError(
                f"--jigsaw-grids: crops of {data.size} px cannot be cut into {grid} × {grid} equal cells."
            )
    augmentation = CropAugmentation(
        rotation_deg=settings.rotation, scale=settings.scale, shift=settings.shift, **settings.degradation()
    )
    if augmentation.moves and data.resolution == data.size:
        raise ConfigError(
            "--rotation, --scale and --shift need crops with a margin; these have none, so leave them at 0."
        )
    return CropTransform(data.size, augmentation, settings.seed)


def describe(settings: RegressionSettings, networks: ParameterRegressor) -> dict:
    """Content of config.json."""
    sources = [str(source) for source in settings.data]
    stored = json_safe(dataclasses.asdict(settings))
    return {**networks.describe(), "loss": settings.loss, "data": sources, "settings": stored}


def report_start(
    settings: RegressionSettings, networks: ParameterRegressor, data: RegressionSet, validation: RegressionSet | None
) -> None:
    """One line of the main process: sizes of data and network."""
    if is_main_process():
        count = sum(p.numel() for p in networks.network.parameters())
        held_out = "" if validation is None else f", {len(validation)} to validate on"
        console().info(
            f"Training crops: {len(data)}{held_out}; trainable params {settings.arch}: {count:,}; lr: {settings.lr}"
        )
