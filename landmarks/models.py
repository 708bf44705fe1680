"""Build, load and save the autoencoder; import the authors' checkpoints."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoint import (
    load_strict,
    read_snapshot,
    read_state,
    read_tensors,
    resolve_snapshot,
    save_snapshot,
    sessions_folder,
)
from common.errors import CheckpointError
from common.logs import console
from common.runtime import is_main_process
from geometry.schemes import LandmarkScheme, generic_scheme, scheme_from_dict, scheme_to_dict
from landmarks.net_models import KIND as NET_KIND
from landmarks.net_models import LoadedNet, restore_net
from networks.aae import AAE, AAEConfig

KIND = "aae"


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """Networks with what they were trained for, in evaluation mode.

    Attributes: scheme, or None without a landmark head; crop_source the model expects; info, config.json of the
        snapshot.
    """

    networks: AAE
    scheme: LandmarkScheme | None
    crop_source: str
    info: dict
    folder: Path


def model_config(networks: AAE, scheme: LandmarkScheme | None, crop_source: str, **extra: object) -> dict:
    """JSON-ready content of config.json that `load_model` rebuilds the networks from."""
    return {
        "kind": KIND,
        "networks": networks.config.to_dict(),
        "scheme": None if scheme is None else scheme_to_dict(scheme),
        "crop_source": crop_source,
        **extra,
    }


def load_model(name: str, snapshots: Path | None = None, activation: str | None = None) -> LoadedModel | LoadedNet:
    """A landmark model by bundled name, session, session/epoch or path: an autoencoder or a direct network.

    The authors' `saae.mdl` (file, or folder that holds one) is one, too.

    Args: snapshots: folder of sessions, default that of local_config.ini; activation: of a `saae.mdl`, see
        `import_saae`; other models know theirs.
    Raises: CheckpointError in one sentence for anything that is missing, damaged or of another architecture.
    """
    return _load(name, snapshots, activation, "an autoencoder or a landmark network", KIND, NET_KIND)


def load_autoencoder(name: str, snapshots: Path | None = None, activation: str | None = None) -> LoadedModel:
    """As `load_model`, for what only an autoencoder can do. Raises: CheckpointError for a direct network, too."""
    return _load(name, snapshots, activation, "an autoencoder", KIND)


def _load(
    name: str, snapshots: Path | None, activation: str | None, title: str, *kinds: str
) -> LoadedModel | LoadedNet:
    snapshots = sessions_folder(snapshots)
    authors = next(
        (p for p in (Path(name), snapshots / name) if p.suffix == ".mdl" or (p / "saae.mdl").is_file()), None
    )
    if authors is not None:
        return import_saae(authors if authors.suffix == ".mdl" else authors / "saae.mdl", activation)
    snapshot = read_snapshot(resolve_snapshot(name, snapshots), title, *kinds)
    info = snapshot.info
    if info["kind"] == NET_KIND:
        return restore_net(snapshot)
    optional = ("D.", "D_z.") if info.get("inference_only") else ()
    networks = snapshot.restore(lambda: AAE(AAEConfig(**info["networks"])), optional)
    scheme = None if info.get("scheme") is None else scheme_from_dict(info["scheme"])
    return LoadedModel(networks, scheme, info.get("crop_source", "bb_ground_truth"), info, snapshot.folder)


def adapt(model: LoadedModel, **changes: object) -> AAE:
    """Networks of a changed configuration, in training mode, with all weights that they share with the loaded ones.

    Args: changes of AAEConfig fields, as a new stage adds a head; parts that the change adds keep their initial values.
    Raises: CheckpointError when a shared part does not fit.
    """
    config = dataclasses.replace(model.networks.config, **changes)
    if config == model.networks.config:
        return model.networks.train()
    networks = AAE(config)
    old = model.networks.config
    fresh = []
    if config.num_landmarks != old.num_landmarks:
        fresh += ["LMH.", "LMH_3D.", "coords."]
    if config.depth_head and not old.depth_head:
        fresh.append("LMH_3D.")
    if config.coords_head and not old.coords_head:
        fresh.append("coords.")
    if config.discriminator_norm != old.discriminator_norm:
        fresh.append("D.")
    wanted = networks.state_dict()
    tensors = {k: v for k, v in model.networks.state_dict().items() if k in wanted and not k.startswith(tuple(fresh))}
    load_strict(networks, tensors, model.folder, optional=tuple(fresh))
    return networks


def save_for_inference(model: LoadedModel, folder: Path, half: bool = True) -> None:
    """Write networks without discriminators and training state, in fp16 by default: the form of bundled models."""
    tensors = {k: v for k, v in model.networks.state_dict().items() if not k.startswith(("D.", "D_z."))}
    if half:
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    kept = {k: v for k, v in model.info.items() if k not in ("format", "settings")}
    save_snapshot(folder, tensors, {**kept, "networks": model.networks.config.to_dict(), "inference_only": True})


def import_saae(path: Path, activation: str | None = None) -> LoadedModel:
    """Read the authors' `saae.mdl` (3FabRec or ParFace-Net); its sizes are read off the tensors, not trusted from
    fields.

    The activation cannot be read off tensors: a depth head marks ParFace-Net, whose networks use leaky ReLU.

    Args: activation: relu or leaky_relu; None = leaky_relu with a depth head, else relu, which a note says.
    Raises: CheckpointError when the file is not such a checkpoint.
    """
    content = read_state(path)
    tensors = content.get("state_dict")
    if not isinstance(tensors, dict) or "Q.fc.weight" not in tensors or "P.lin.weight" not in tensors:
        raise CheckpointError(
            f"{path}: has no state_dict with Q and P, so it is no saae.mdl of 3FabRec or ParFace-Net."
        )
    tensors = {k: v for k, v in tensors.items() if isinstance(v, Tensor)}
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if bad:
        raise CheckpointError(f"{path}: tensor {bad[0]} holds values that are not finite; the file is not usable.")
    config = _config_of_tensors(tensors, activation)
    if activation is None and not config.depth_head and is_main_process():
        console().info(f"{path}: taken for 3FabRec's, with ReLU; give --activation leaky_relu if it is ParFace-Net's.")
    networks = AAE(config)
    own = networks.state_dict()
    for name, tensor in own.items():  # counters that old PyTorch versions did not store
        if name.endswith("num_batches_tracked") and name not in tensors:
            tensors[name] = torch.zeros_like(tensor)
    load_strict(networks, tensors, path, optional=("D.", "D_z."))
    scheme = generic_scheme(config.num_landmarks) if config.num_landmarks else None
    info = model_config(networks, scheme, "bb_ground_truth", imported_from=path.name, epoch=0)
    return LoadedModel(networks.eval(), scheme, "bb_ground_truth", info, path)


def _config_of_tensors(tensors: dict[str, Tensor], activation: str | None) -> AAEConfig:
    size = 512 if "Q.layer01.0.conv1.weight" in tensors else 256 if "Q.layer0.0.conv1.weight" in tensors else 128
    depth = "LMH_3D.conv1.weight" in tensors
    landmarks = tensors["LMH.lin.weight"].shape[1] if "LMH.lin.weight" in tensors else 0
    return AAEConfig(
        input_size=size,
        z_dim=tensors["Q.fc.weight"].shape[0],
        activation=activation or ("leaky_relu" if depth else "relu"),
        num_landmarks=int(landmarks),
        depth_head=depth,
    )


def init_from_imagenet(networks: AAE, weights: Path, parts: Sequence[str] = ("Q", "LMH_3D")) -> None:
    """Copy torchvision's ResNet-18 into the encoder and depth head, or those of them in `parts`, where shapes match by
    design.

    `layer0`, the shortcut of `layer1` and `fc` keep their initial values, as in ParFace-Net.
    Raises: CheckpointError when the file is no ResNet-18.
    """
    tensors = read_tensors(weights) if Path(weights).suffix == ".safetensors" else read_state(weights)
    if "layer4.1.bn2.weight" not in tensors:
        raise CheckpointError(
            f"{weights}: no torchvision ResNet-18; get https://download.pytorch.org/models/resnet18-f37072fd.pth."
        )
    for name, skip in (("Q", ()), ("LMH_3D", ("conv1.",))):
        module = getattr(networks, name, None)
        if module is not None and name in parts:
            own = module.state_dict()
            shared = {k: v for k, v in tensors.items() if k in own and not k.startswith(("fc.", *skip))}
            optional = ("fc.", "layer0.", "layer01.", "layer1.0.downsample.", *skip)
            load_strict(module, shared, Path(weights), optional=optional)
