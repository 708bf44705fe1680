"""A reconstructor: R-Net, the face model that its numbers belong to, and the camera; build, save, load, import."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from common.checkpoint import load_strict, read_snapshot, read_state, read_tensors, resolve_snapshot, save_snapshot
from common.config import LocalConfig
from common.errors import CheckpointError, FaceModelError
from morphable.model import FaceModel
from morphable.open import load_face_model
from networks.coefficient_net import HALF_SIZE, CoefficientNet, CoefficientNetConfig
from recon3d.reconstruction.coefficients import Coefficients, split
from recon3d.reconstruction.renderer import SCHEME, Camera
from recon3d.regression.models import load_regressor

KIND = "reconstructor"
BFM_SIZES = (80, 64, 80)


class ReconstructionNet(nn.Module):
    """R-Net with what is needed to read its numbers.

    Args: face_model: source for `load_face_model`; half_pixel_shift: of `renderer.Camera`, True for published
    checkpoints.
    """

    def __init__(self, config: CoefficientNetConfig, face_model: str, half_pixel_shift: bool = False) -> None:
        super().__init__()
        self.config, self.face_model, self.half_pixel_shift = config, face_model, half_pixel_shift
        self.network = CoefficientNet(config)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 224, 224) RGB 0 … 1 → (B, P) raw coefficients."""
        return self.network(images)

    def coefficients(self, model: FaceModel, images: Tensor) -> Coefficients:
        """The same, named."""
        return split(model, self.network(images).float())

    @property
    def camera(self) -> Camera:
        """Of the crops."""
        return Camera(half_pixel_shift=self.half_pixel_shift)

    def describe(self) -> dict:
        """JSON-ready content of config.json that `load_reconstructor` rebuilds this from."""
        return {
            "kind": KIND,
            "network": self.config.to_dict(),
            "face_model": self.face_model,
            "half_pixel_shift": self.half_pixel_shift,
        }


@dataclass(frozen=True)
class LoadedReconstructor:
    """Attributes: net; info, config.json; folder or file that it came from."""

    net: ReconstructionNet
    info: dict
    folder: Path


def load_reconstructor(name: str, snapshots: Path | None = None) -> LoadedReconstructor:
    """By bundled name, session, session/epoch or path; also `.pth` of Deep3DFaceRecon_pytorch.

    Args: snapshots: folder of sessions, default that of local_config.ini.
    Raises: CheckpointError in one sentence for anything missing, damaged or of another architecture.
    """
    if name.endswith((".pth", ".pt")):
        net = import_deep3d(Path(name))
        return LoadedReconstructor(net, net.describe(), Path(name))
    snapshot = read_snapshot(resolve_snapshot(name, snapshots), "a reconstructor", KIND)
    info = snapshot.info

    def build() -> ReconstructionNet:
        half_pixel_shift = bool(info.get("half_pixel_shift", False))
        return ReconstructionNet(CoefficientNetConfig(**info["network"]), str(info["face_model"]), half_pixel_shift)

    return LoadedReconstructor(snapshot.restore(build), info, snapshot.folder)


def save_for_inference(loaded: LoadedReconstructor, folder: Path) -> None:
    """Write a model without training state in fp16: the form of bundled models."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in loaded.net.state_dict().items()}
    kept = {k: v for k, v in loaded.info.items() if k not in ("format", "settings")}
    save_snapshot(folder, tensors, {**kept, **loaded.net.describe()})


def holds_deep3d(path: Path) -> bool:
    """Whether a .pth is a checkpoint of Deep3DFaceRecon_pytorch, by the names inside. Raises: CheckpointError."""
    state = read_state(path)
    return "net_recon" in state or any(str(name).startswith("backbone.") for name in state)


def import_deep3d(path: Path) -> ReconstructionNet:
    """`epoch_*.pth` of Deep3DFaceRecon_pytorch (key net_recon) for the Basel model's front. Raises: CheckpointError."""
    state = read_state(path)
    tensors = state.get("net_recon", state)
    if not isinstance(tensors, dict) or not any(k.startswith("backbone.") for k in tensors):
        raise CheckpointError(f"{path}: has no net_recon, so it is no checkpoint of Deep3DFaceRecon_pytorch.")
    one_head = "backbone.fc.weight" in tensors
    if "backbone.layer1.0.conv3.weight" in tensors:
        backbone = "resnet50"
    else:
        backbone = "resnet34" if "backbone.layer1.2.conv1.weight" in tensors else "resnet18"
    net = ReconstructionNet(CoefficientNetConfig(backbone, *BFM_SIZES, one_head), "bfm09", half_pixel_shift=True)
    load_strict(net.network, tensors, path)
    return net.eval()


def open_face_model(source: str, local: LocalConfig | None, net: ReconstructionNet | None = None) -> FaceModel:
    """The face model of a reconstructor. Raises: FaceModelError saying where to get it, and how to go on without."""
    model = load_face_model(source, local)
    if SCHEME not in model.landmarks:
        raise FaceModelError(
            f"face model {source}: has no landmarks {SCHEME}, which reconstruction needs; choose another."
        )
    if net is not None and net.config.heads[:3] != model.sizes:
        raise FaceModelError(
            f"face model {source}: has {'+'.join(map(str, model.sizes))} components, the network gives"
            f" {'+'.join(map(str, net.config.heads[:3]))}; use the model that it was trained for ({net.face_model})."
        )
    return model


def load_backbone(net: CoefficientNet, path: Path, snapshots: Path) -> None:
    """Weights for the backbone without its last layer: torchvision's of ImageNet, or for those of half size a
    parameter regressor's.

    Args: path: file of weights; name, session or path of a regressor. Raises: CheckpointError.
    """
    if net.config.backbone in HALF_SIZE:
        kept = load_regressor(str(path), snapshots).model.network.state_dict()
        kept = {f"backbone.{k}": v for k, v in kept.items() if not k.startswith("fc")}
        load_strict(net, kept, path, optional=("backbone.fc.", "final_layers."))
        return
    tensors = read_tensors(path) if path.suffix == ".safetensors" else read_state(path)
    kept = {f"backbone.{k}": v for k, v in tensors.items() if not k.startswith("fc.")}
    load_strict(net, kept, path, optional=("backbone.fc.", "final_layers."))
