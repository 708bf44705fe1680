"""What a frozen R-Net sees in a batch of photos, and the inputs of graph networks that follow from it (stages after
`rnet`).
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from common.errors import CheckpointError
from geometry.cameras import rigid_transform
from geometry.similarity import moved, similarity
from morphable.model import FaceModel
from recon3d.identity.features import IdentityFeatures
from recon3d.reconstruction.augment import AlignedAugmentation, augment
from recon3d.reconstruction.coefficients import Coefficients, split
from recon3d.reconstruction.data import PhotoBatch, true_shapes
from recon3d.reconstruction.models import ReconstructionNet
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.refinement.batch import RefinementBatch


@dataclass(frozen=True)
class Seen:
    """B faces without their pictures.

    Attributes: features (B, Z); output (B, P) of R-Net; landmarks (B, 68, 2) annotated, crop px; truths (B, Ki + Ke),
        NaN where unknown; mirrored (B,) bool: truths are those of the mirror image.
    """

    features: Tensor
    output: Tensor
    landmarks: Tensor
    truths: Tensor
    mirrored: Tensor

    def __getitem__(self, index: slice | Tensor) -> "Seen":
        return Seen(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> "Seen":
        """The same faces on a device."""
        return Seen(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})

    @classmethod
    def joined(cls, parts: "list[Seen]") -> "Seen":
        """All faces of the parts."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})


class FrozenNetworks:
    """R-Net, its face model and, where there is one, an identity network; none of them learns here.

    Args: net on the device; renderer of its face model; identity: its embedding follows R-Net's pooled features; name:
        of R-Net; supervised: whether the true shape of any face will be known.
    """

    def __init__(
        self,
        net: ReconstructionNet,
        renderer: FaceRenderer,
        identity: IdentityFeatures | None = None,
        name: str = "",
        supervised: bool = False,
    ) -> None:
        self.net, self.renderer, self.identity = net.eval().requires_grad_(False), renderer, identity
        self.name, self.supervised = name, supervised

    @property
    def model(self) -> FaceModel:
        """The face model."""
        return self.renderer.model

    def describe(self, identity_weights: Path | None) -> dict:
        """What config.json of a graph network says of its features, so that no others are fed to it later."""
        weights = None if identity_weights is None else str(identity_weights)
        identity = None if self.identity is None else [self.identity.kind, weights]
        return {"rnet": self.name, "rnet_digest": digest_of(self.net), "identity": identity}

    def check(self, info: dict, name: str) -> None:
        """Raises: CheckpointError when a graph network was trained behind another R-Net, or with another identity
        network.
        """
        inputs = info.get("inputs") or {}
        if inputs.get("rnet_digest") != digest_of(self.net):
            trained = inputs.get("rnet") or "unknown"
            raise CheckpointError(
                f"{name}: was trained behind another reconstructor ({trained}); use that one, or train anew."
            )
        was, now = (inputs.get("identity") or ["off"])[0], self.identity.kind if self.identity is not None else "off"
        if was != now:
            raise CheckpointError(f"{name}: was trained with --identity-network {was}, not {now}; give the same.")

    @torch.no_grad()
    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) RGB 0 … 1 → features (B, Z), output (B, P).

        The identity network crops by the landmarks that R-Net finds: there are no others when a photo is reconstructed.
        """
        output, features = self.net.network.with_features(images)
        if self.identity is not None:
            landmarks = self.renderer.geometry(split(self.model, output)).landmarks
            features = torch.cat([features, self.identity(images, landmarks)], 1)
        return features, output

    def see(
        self, raw: PhotoBatch, step: int, augmentation: AlignedAugmentation, seed: int
    ) -> tuple[Seen, Tensor, Tensor]:
        """A batch, moved as in stage `rnet`: faces, images (B, 3, S, S) and masks (B, 1, S, S) 0 … 1."""
        images, masks, landmarks, mirrored = augment(
            raw.images, raw.masks, raw.landmarks, raw.indices, step, augmentation, seed
        )
        features, output = self.look(images)
        return Seen(features, output, landmarks, raw.truths, mirrored), images, masks

    def coefficients(self, seen: Seen) -> Coefficients:
        """What R-Net says of the faces."""
        return split(self.model, seen.output)

    def inputs(self, seen: Seen) -> RefinementBatch:
        """Shapes of the face model, true shapes and poses: what a mesh refiner is trained with."""
        coefficients = self.coefficients(seen)
        shape = self.model.shape(coefficients.identity, coefficients.expression)
        truth = None
        if self.supervised:
            truth = laid_onto(
                true_shapes(self.model, seen.truths, seen.mirrored), shape, self.renderer.face_weights[:, 0]
            )
        return RefinementBatch(
            seen.features, shape, coefficients.rotation, coefficients.translation, seen.landmarks, truth
        )

    def landmarks(self, shapes: Tensor, batch: RefinementBatch) -> Tensor:
        """(B, V, 3) unposed shapes → (B, 68, 2) crop px in the poses of the batch, jaw points slid as in stage
        `rnet`.
        """
        return self.renderer.landmarks(rigid_transform(shapes, batch.rotation, batch.translation), batch.rotation)


def laid_onto(truth: Tensor, shape: Tensor, weights: Tensor) -> Tensor:
    """True shapes (B, V, 3) after the similarity that brings them nearest to the given ones, by weights (V,); NaN
    stays.

    A photo shows neither the size of a head nor where its model's origin lies, so a refiner cannot learn them.
    """
    known = torch.isfinite(truth[:, :1, :1])
    safe = torch.where(known, truth, shape)
    return torch.where(known, moved(safe, similarity(safe, shape, weights)), torch.nan)


def digest_of(net: torch.nn.Module) -> str:
    """Of weights at half precision, so that a network and its bundled form in fp16 have the same."""
    state = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        value = tensor.detach().cpu()
        state.update(name.encode() + (value.half() if value.is_floating_point() else value).numpy().tobytes())
    return state.hexdigest()[:32]
