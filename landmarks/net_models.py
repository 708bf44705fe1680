"""Building, storing and loading the direct landmark network."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from common.checkpoint import load_strict, read_config, read_tensors, resolve_snapshot, save_snapshot
from common.errors import CheckpointError
from common.pretrained import PRETRAINED
from geometry.schemes import LandmarkScheme, scheme_from_dict
from landmarks.net_settings import LandmarkNetSettings
from networks.landmark_net import LandmarkNet, LandmarkNetConfig

KIND = "landmark_net"


@dataclass(frozen=True)
class LoadedNet:
    """A network, in evaluation mode, with what belongs to it: scheme, content of config.json, folder it came from."""

    networks: LandmarkNet
    scheme: LandmarkScheme
    info: dict
    folder: Path


def new_network(settings: LandmarkNetSettings, scheme: LandmarkScheme) -> LandmarkNet:
    """With random weights, as the settings say."""
    return LandmarkNet(LandmarkNetConfig(scheme.num_points, settings.input_size, settings.width, settings.blocks))


def load_net(name: str, snapshots: Path) -> LoadedNet:
    """The averaged weights by bundled name, session, session/epoch or path. Raises: CheckpointError."""
    return _load(name, snapshots, ("ema.module.", ""))


def load_trained(name: str, snapshots: Path) -> LoadedNet:
    """The weights to continue training from. Raises: CheckpointError."""
    return _load(name, snapshots, ("net.", ""))


def _load(name: str, snapshots: Path, prefixes: tuple[str, ...]) -> LoadedNet:
    folder = resolve_snapshot(name, snapshots, PRETRAINED)
    info = read_config(folder)
    if info.get("kind") != KIND:
        raise CheckpointError(f"{folder}: holds a '{info.get('kind')}', not a landmark network; choose another checkpoint.")
    net = LandmarkNet(_config_from(info.get("network"), folder))
    tensors = read_tensors(folder / "model.safetensors")
    prefix = next((p for p in prefixes if any(name.startswith(p) for name in tensors)), "")
    own = {k.removeprefix(prefix): v.float() if v.is_floating_point() else v for k, v in tensors.items() if k.startswith(prefix)}
    load_strict(net, own, folder)
    return LoadedNet(net.eval(), scheme_from_dict(info["scheme"]), info, folder)


def _config_from(fields: object, source: Path) -> LandmarkNetConfig:
    known = {item.name for item in dataclasses.fields(LandmarkNetConfig)}
    if not isinstance(fields, dict) or not set(fields) <= known:
        raise CheckpointError(f"{source}: its network description is not one that this version knows; update the code.")
    return LandmarkNetConfig(**fields)


def save_for_inference(model: LoadedNet, folder: Path) -> None:
    """Write the network in float16: the form of bundled models."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in model.networks.state_dict().items()}
    kept = {k: v for k, v in model.info.items() if k not in ("format", "settings")}
    save_snapshot(folder, tensors, {**kept, "inference_only": True})
