"""Storing and loading the direct landmark network for inference."""

import dataclasses
from pathlib import Path

from common.checkpoint import Snapshot, read_snapshot, save_snapshot
from geometry.schemes import LandmarkScheme, scheme_from_dict
from networks.landmark_net import LandmarkNet, LandmarkNetConfig

KIND = "landmark_net"
AVERAGE = "ema.module."  # prefix of the averaged weights in a training's snapshot; a bundled model has none


@dataclasses.dataclass(frozen=True)
class LoadedNet:
    """A network, in evaluation mode, with what belongs to it.

    Attributes: scheme; crop_source, the rule of the crops it was trained on; info, config.json; folder it came from.
    """

    networks: LandmarkNet
    scheme: LandmarkScheme
    crop_source: str
    info: dict
    folder: Path


def load_net(folder: Path) -> LoadedNet:
    """The averaged weights of a snapshot's folder. Raises: CheckpointError."""
    return restore_net(read_net(folder))


def read_net(folder: Path) -> Snapshot:
    """A snapshot of such a network. Raises: CheckpointError for one of another kind."""
    return read_snapshot(folder, "a landmark network", KIND)


def restore_net(snapshot: Snapshot) -> LoadedNet:
    """The averaged weights of a snapshot. Raises: CheckpointError."""
    info, tensors = snapshot.info, snapshot.tensors
    averaged = {k.removeprefix(AVERAGE): v for k, v in tensors.items() if k.startswith(AVERAGE)}
    net = snapshot.restore(lambda: build_net(info), tensors=averaged or tensors)
    return LoadedNet(net, scheme_from_dict(info["scheme"]), info["crop_source"], info, snapshot.folder)


def build_net(info: dict) -> LandmarkNet:
    """An untrained network as config.json describes it."""
    return LandmarkNet(LandmarkNetConfig(**info["network"]))


def save_net(model: LoadedNet, folder: Path) -> None:
    """Write the network in float16: the form of bundled models."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in model.networks.state_dict().items()}
    kept = {k: v for k, v in model.info.items() if k not in ("format", "settings", "metrics", "stage", "step", "epoch")}
    save_snapshot(folder, tensors, {**kept, "inference_only": True})
