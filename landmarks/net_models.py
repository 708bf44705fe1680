"""Storing and loading the direct landmark network for inference."""

import dataclasses
from pathlib import Path

from torch import Tensor

from common.checkpoint import load_strict, read_config, read_tensors, save_snapshot
from common.errors import CheckpointError
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
    info, tensors = read_net(folder)
    averaged = {k.removeprefix(AVERAGE): v for k, v in tensors.items() if k.startswith(AVERAGE)}
    net = build_net(info, folder)
    load_strict(net, averaged or tensors, folder)
    return LoadedNet(net.eval(), scheme_from_dict(info["scheme"]), info["crop_source"], info, folder)


def read_net(folder: Path) -> tuple[dict, dict[str, Tensor]]:
    """config.json and tensors in float32 of a snapshot. Raises: CheckpointError for one of another kind."""
    info = read_config(folder)
    if info.get("kind") != KIND:
        raise CheckpointError(f"{folder}: holds a '{info.get('kind')}', not a landmark network; choose another checkpoint.")
    tensors = read_tensors(folder / "model.safetensors")
    return info, {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def build_net(info: dict, source: Path) -> LandmarkNet:
    """An untrained network as config.json describes it. Raises: CheckpointError for a description of another version."""
    fields, known = info.get("network"), {item.name for item in dataclasses.fields(LandmarkNetConfig)}
    if not isinstance(fields, dict) or not set(fields) <= known:
        raise CheckpointError(f"{source}: its network description is not one that this version knows; update the code.")
    try:
        return LandmarkNet(LandmarkNetConfig(**fields))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{source}: its network description is not usable ({error}); copy the snapshot again.") from None


def save_net(model: LoadedNet, folder: Path) -> None:
    """Write the network in float16: the form of bundled models."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in model.networks.state_dict().items()}
    kept = {k: v for k, v in model.info.items() if k not in ("format", "settings", "metrics", "stage", "step", "epoch")}
    save_snapshot(folder, tensors, {**kept, "inference_only": True})
