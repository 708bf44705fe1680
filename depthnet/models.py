"""DepthNet and AIGN from disk: snapshots, bundled models and the authors' checkpoints."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoint import load_strict, read_snapshot, read_state, resolve_snapshot, save_snapshot
from common.errors import CheckpointError
from networks.aign import AIGN, AIGNConfig
from networks.depthnet import DepthNet, DepthNetConfig

KINDS = {"depthnet": (DepthNet, DepthNetConfig), "aign": (AIGN, AIGNConfig)}


@dataclass(frozen=True)
class LoadedDepthNet:
    """networks with their weights; kind "depthnet" or "aign"; config, all of config.json; folder it came from."""

    networks: DepthNet | AIGN
    kind: str
    config: dict
    folder: Path


def model_config(networks: DepthNet | AIGN, **more: object) -> dict:
    """Content of config.json that rebuilds the networks."""
    kind = "aign" if isinstance(networks, AIGN) else "depthnet"
    return {"kind": kind, "networks": dataclasses.asdict(networks.config), **more}


def load_model(name: str, snapshots: Path | None = None) -> LoadedDepthNet:
    """By bundled name, session, session/epoch, path, or an author's .pkl.

    Args: snapshots: folder of sessions, default that of local_config.ini. Raises: CheckpointError.
    """
    path = resolve_snapshot(name, snapshots)
    if path.is_file():
        return import_authors(path)
    snapshot = read_snapshot(path, "a DepthNet or AIGN", *KINDS)
    config = snapshot.info
    network_type, config_type = KINDS[config["kind"]]
    # a bundled model comes without its adversary
    optional = ("d.",) if config.get("inference_only") else ()
    networks = snapshot.restore(lambda: network_type(config_type(**config["networks"])), optional)
    return LoadedDepthNet(networks, config["kind"], config, path)


def save_for_inference(model: LoadedDepthNet, folder: Path, seed: int = 0) -> None:
    """One seed's generator as fp16 weights. Raises: CheckpointError for AIGN or a seed that the model does not have."""
    if model.kind != "depthnet":
        raise CheckpointError(f"{model.folder}: only DepthNets are bundled.")
    config = model.networks.config
    if not 0 <= seed < config.seeds:
        raise CheckpointError(f"{model.folder}: has the runs 0 to {config.seeds - 1}, not {seed}.")
    single = DepthNet(dataclasses.replace(config, seeds=1, critic=False))
    tensors = {k: v[seed : seed + 1].half() for k, v in model.networks.state_dict().items() if k.startswith("g.")}
    names = ("dataset", "layout", "depth_scale", "settings", "epoch", "step", "metrics", "torch")
    kept = {k: v for k, v in model.config.items() if k in names}
    run = model.config.get("run", seed)  # a bundled model's only run keeps its number
    save_snapshot(folder, tensors, {**model_config(single), **kept, "run": run, "inference_only": True})


def import_authors(path: Path) -> LoadedDepthNet:
    """The authors' `<epoch>.pkl`: a dictionary with the state of g and perhaps d. Raises: CheckpointError."""
    content = read_state(path)
    if not isinstance(content.get("g"), dict):
        raise CheckpointError(f"{path}: has no generator 'g'; it is not a checkpoint of DepthNets.")
    names = {"g": content["g"]} | ({"d": content["d"]} if isinstance(content.get("d"), dict) and content["d"] else {})
    learn_m = any(key.startswith("fc_m.") for key in names["g"])
    networks = DepthNet(DepthNetConfig(learn_m=learn_m, critic="d" in names))
    tensors = {}
    for part, state in names.items():
        for key, value in state.items():
            if not key.endswith("num_batches_tracked"):
                value = value.mT if value.ndim == 2 else value  # see StackedLinear
                tensors[f"{part}.{_rename(part, key)}"] = value[None].contiguous()
    load_strict(networks, tensors, path)
    config = model_config(networks, source="authors", epoch=int(content.get("epoch", 0)))
    return LoadedDepthNet(networks.eval(), "depthnet", config, path)


def _rename(part: str, key: str) -> str:
    """Our name of an author's tensor: g `fc.<i>`, `extractor.<i>`, `fc_z`, `fc_m`; d `disc.<i>`."""
    last, final = (21, "depth") if part == "g" else (12, "score")
    key = re.sub(r"^fc_z\.", "depth.", re.sub(r"^fc_m\.", "affine.", key))
    match = re.match(r"^(?:fc|extractor|disc)\.(\d+)\.(.*)$", key)
    if match is None:
        return key
    return f"{final}.{match[2]}" if int(match[1]) == last else f"trunk.{match[1]}.{match[2]}"


def seed_weights(networks: torch.nn.Module, seed: int) -> None:
    """Initialise a stack of networks so that its run k is what a stack of one initialised with seed + k would be."""
    if isinstance(networks, AIGN):
        return
    parts: list[dict[str, Tensor]] = []
    for k in range(networks.config.seeds):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + k)
            parts.append(DepthNet(dataclasses.replace(networks.config, seeds=1)).state_dict())
    networks.load_state_dict({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
