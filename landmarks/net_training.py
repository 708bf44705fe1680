"""Training of the direct landmark network on resident crops; see `training.loop.Method`."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from common.errors import ConfigError
from common.runtime import apply_gradients
from datasets.augment import Augmentation, Batch, BatchTransform
from datasets.loader import FaceSet
from datasets.resident import ResidentFaces
from geometry.schemes import LandmarkScheme, scheme_to_dict
from landmarks.data import crop_extension, training_transform
from landmarks.inference import validation_transform
from landmarks.net_losses import readout_loss
from landmarks.net_models import AVERAGE, KIND, build_net, read_net
from landmarks.net_settings import LandmarkNetSettings
from metrics.landmarks import landmark_errors, normaliser
from networks.blocks import PIXEL_MEAN
from networks.landmark_net import LandmarkNet, LandmarkNetConfig
from training.averaging import WithAverage
from training.loop import EpochPosition

JITTER_SEED = 1  # of the crops that a validation moves, so that all evaluations see the same


class LandmarkNetMethod:
    """Likelihood of all read-outs under strong augmentation; scores on true and on moved crops."""

    stage = "landmarks_fast"

    def __init__(
        self,
        networks: WithAverage,
        settings: LandmarkNetSettings,
        accelerator: Accelerator,
        scheme: LandmarkScheme,
        describe: dict,
        validation: ResidentFaces | None = None,
    ) -> None:
        """describe: content of config.json."""
        self.networks, self.settings, self.accelerator = networks.train(), settings, accelerator
        self.scheme, self.describe, self.validation = scheme, describe, validation
        self.transform = training_transform(settings, normalize=True, scheme=scheme)
        self.centre = validation_transform(settings.input_size, normalize=True)
        moves = Augmentation(settings.daug, flip=0.0)
        self.moved = BatchTransform(settings.input_size, PIXEL_MEAN, scheme.flip_permutation, moves, JITTER_SEED)
        betas = (settings.beta1, settings.beta2)
        optimizer = torch.optim.AdamW(networks.net.parameters(), settings.lr, betas, weight_decay=settings.weight_decay)
        self.optimizers = {"net": optimizer}
        self.compilable = [networks.net]

    def training_step(self, batch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update of the network and of the average."""
        raw = batch.to(self.accelerator.device)
        data = self.transform(raw.images, raw.landmarks, raw.visibility, raw.indices, step)
        with self.accelerator.autocast():
            readouts = self.networks.net(data.images.contiguous(memory_format=torch.channels_last))
        truth = half_sides(data)
        terms = readout_loss(readouts, truth, data.visibility)
        self.accelerator.backward(terms["loss"])
        if apply_gradients(self.optimizers["net"], self.accelerator, self.settings.clip_norm):
            self.networks.update()
        return terms | {"nme": self._errors(readouts.joint.points.detach(), data).nanmean()}

    def _errors(self, points: Tensor, data: Batch) -> Tensor:
        """(B, K) errors in % of the normaliser; points in half crop sides."""
        side = data.images.shape[-1]
        truth = data.landmarks[..., :2]
        distances = normaliser(truth, self.scheme, self.settings.ocular_norm, image_size=side)
        return landmark_errors((points.float() + 1) * (side / 2), truth, distances, data.visibility)

    @torch.no_grad()
    def evaluate(self, epoch: int) -> dict[str, float]:
        """NME in % of the averaged weights on true crops and on moved ones; `score` is the mean of both."""
        if self.validation is None:
            return {}
        net = self.networks.averaged.eval()
        scores: dict[str, float] = {}
        for name, transform in (("", self.centre), ("_moved", self.moved)):
            errors = torch.cat([self._errors_of(net, rows, transform) for rows in self._validation_rows()])
            scores |= {f"nme{name}": float(errors.mean()), f"failed{name}": float((errors > 10).float().mean() * 100)}
        return scores | {"score": (scores["nme"] + scores["nme_moved"]) / 2}

    def _validation_rows(self) -> tuple[Tensor, ...]:
        return torch.arange(len(self.validation), device=self.accelerator.device).split(self.settings.batch_size_eval)

    def _errors_of(self, net: LandmarkNet, rows: Tensor, transform: BatchTransform) -> Tensor:
        """(B,) mean error of every face."""
        raw = self.validation.gather(rows, rows)
        data = transform(raw.images, raw.landmarks, raw.visibility, raw.indices)
        with self.accelerator.autocast():
            readouts = net(data.images)
        return self._errors(readouts.joint.points, data).nanmean(1)

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def config(self) -> dict:
        """Content of config.json."""
        return self.describe

    def step_line(self, means: dict[str, float]) -> str:
        """The likelihoods of the read-outs and the error in %."""
        names = ("coarse", "fine", "joint")
        return " ".join(f"l_{n}={means.get(f'l_{n}', -1.0):.3f}" for n in names) + f" nme={means.get('nme', -1.0):.2f}"


def half_sides(data: Batch) -> Tensor:
    """(B, K, 2) landmarks of a batch in half crop sides from the crop's centre."""
    return data.landmarks[..., :2] / data.images.shape[-1] * 2 - 1


def repeated(faces: FaceSet, repeats: list[int]) -> FaceSet:
    """The set with every part seen that many times. Raises: ConfigError unless there is one number for each part."""
    if not repeats:
        return faces
    if len(repeats) != len(faces.parts) or min(repeats) < 1:
        raise ConfigError(
            f"--repeats {repeats}: give one number from 1 on for each of the {len(faces.parts)} datasets."
        )
    times = np.asarray(repeats)[faces.part_of]
    return faces.subset(np.repeat(np.arange(len(faces)), times))


def describe(settings: LandmarkNetSettings, net: LandmarkNet, scheme: LandmarkScheme, names: list[str]) -> dict:
    """Content of config.json."""
    return {
        "kind": KIND,
        "network": net.config.to_dict(),
        "scheme": scheme_to_dict(scheme),
        "crop_source": settings.crop_source,
        "crop_extend": crop_extension(settings.dataset, settings.crop_source),
        "datasets": names,
        "settings": dataclasses.asdict(settings),
    }


def new_networks(settings: LandmarkNetSettings, scheme: LandmarkScheme) -> WithAverage:
    """With random weights, as the settings say."""
    config = LandmarkNetConfig(scheme.num_points, settings.input_size, settings.width, settings.blocks)
    return WithAverage(LandmarkNet(config), settings.ema)


def load_networks(folder: Path, decay: float) -> WithAverage:
    """Network and average to go on with from a snapshot; a bundled model gives both. Raises: CheckpointError."""
    snapshot = read_net(folder)
    if any(key.startswith(AVERAGE) for key in snapshot.tensors):
        return snapshot.restore(lambda: WithAverage(build_net(snapshot.info), decay))
    return WithAverage(snapshot.restore(lambda: build_net(snapshot.info)), decay)
