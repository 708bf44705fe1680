"""Building, storing and loading the direct landmark network."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from common.checkpoint import load_strict, read_config, read_tensors, resolve_snapshot, save_snapshot
from common.errors import CheckpointError
from common.pretrained import PRETRAINED
from geometry.schemes import LandmarkScheme, scheme_from_dict
from landmarks.net_settings import LandmarkNetSettings
from networks.landmark_net import LandmarkNet, LandmarkNetConfig
from training.averaging import WithAverage

KIND = "landmark_net"
NET, AVERAGE = "net.", "ema.module."  # prefixes in a training's snapshot; a bundled model has none


@dataclass(frozen=True)
class LoadedNet:
    """A network, in evaluation mode, with what belongs to it.

    Attributes: scheme; crop_source, the rule of the crops it was trained on; info, config.json; folder it came from.
    """

    networks: LandmarkNet
    scheme: LandmarkScheme
    crop_source: str
    info: dict
    folder: Path


def new_networks(settings: LandmarkNetSettings, scheme: LandmarkScheme) -> WithAverage:
    """With random weights, as the settings say."""
    config = LandmarkNetConfig(scheme.num_points, settings.input_size, settings.width, settings.blocks)
    return WithAverage(LandmarkNet(config), settings.ema)


def load_net(name: str, snapshots: Path) -> LoadedNet:
    """The averaged weights by bundled name, session, session/epoch or path. Raises: CheckpointError."""
    folder, info, tensors = _read(name, snapshots)
    net = LandmarkNet(_config_from(info.get("network"), folder))
    averaged = {k.removeprefix(AVERAGE): v for k, v in tensors.items() if k.startswith(AVERAGE)}
    load_strict(net, averaged or tensors, folder)
    return LoadedNet(net.eval(), scheme_from_dict(info["scheme"]), info["crop_source"], info, folder)


def load_for_training(name: str, snapshots: Path, decay: float) -> tuple[WithAverage, Path]:
    """Network and average to go on with, and the folder they came from; a bundled model gives both.

    Raises: CheckpointError.
    """
    folder, info, tensors = _read(name, snapshots)
    networks = WithAverage(LandmarkNet(_config_from(info.get("network"), folder)), decay)
    if any(key.startswith(AVERAGE) for key in tensors):
        load_strict(networks, tensors, folder)
    else:
        load_strict(networks.net, tensors, folder)
        load_strict(networks.averaged, tensors, folder)
    return networks, folder


def _read(name: str, snapshots: Path) -> tuple[Path, dict, dict[str, Tensor]]:
    folder = resolve_snapshot(name, snapshots, PRETRAINED)
    info = read_config(folder)
    if info.get("kind") != KIND:
        raise CheckpointError(f"{folder}: holds a '{info.get('kind')}', not a landmark network; choose another checkpoint.")
    tensors = read_tensors(folder / "model.safetensors")
    return folder, info, {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def _config_from(fields: object, source: Path) -> LandmarkNetConfig:
    known = {item.name for item in dataclasses.fields(LandmarkNetConfig)}
    if not isinstance(fields, dict) or not set(fields) <= known:
        raise CheckpointError(f"{source}: its network description is not one that this version knows; update the code.")
    return LandmarkNetConfig(**fields)


def save_for_inference(model: LoadedNet, folder: Path) -> None:
    """Write the network in float16: the form of bundled models."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in model.networks.state_dict().items()}
    kept = {k: v for k, v in model.info.items() if k not in ("format", "settings", "metrics", "stage", "step", "epoch")}
    save_snapshot(folder, tensors, {**kept, "inference_only": True})
