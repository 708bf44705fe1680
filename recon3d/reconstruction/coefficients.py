"""What R-Net's numbers mean: shape, albedo, pose and light of a face (Deng et al. 2019), for a face model of any
size.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from geometry.rotations import euler_from_rotation, rotation_from_euler
from morphable.model import FaceModel
from networks.coefficient_net import CoefficientNetConfig

CONVENTION = "deep3d"  # of the Euler angles


@dataclass(frozen=True)
class Coefficients:
    """B faces."""

    identity: Tensor  # (B, Ki) in the model's units
    expression: Tensor  # (B, Ke)
    albedo: Tensor  # (B, Ka)
    angles: Tensor  # (B, 3) rad about x, y, z, convention "deep3d"
    gamma: Tensor  # (B, 3, 9) for `geometry.raster.shading.sh_shade`
    translation: Tensor  # (B, 3) dm

    @property
    def rotation(self) -> Tensor:
        """(B, 3, 3), model → camera."""
        return rotation_from_euler(self.angles, CONVENTION)

    def pose_deg(self) -> Tensor:
        """(B, 3) pitch, yaw, roll in degrees in the convention of AFLW2000-3D."""
        return torch.rad2deg(euler_from_rotation(self.rotation))

    def vector(self) -> Tensor:
        """(B, P) in the published order."""
        parts = (self.identity, self.expression, self.albedo, self.angles, self.gamma.flatten(1), self.translation)
        return torch.cat(parts, 1)

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """Names and numbers of the coefficients in the order of `vector`."""
        return tuple((f.name, getattr(self, f.name)[0].numel()) for f in fields(self))

    def neutral(self) -> "Coefficients":
        """The same faces without expression."""
        return self.replaced(expression=torch.zeros_like(self.expression))

    def replaced(self, **changes: Tensor) -> "Coefficients":
        """A copy with other values of some fields."""
        return Coefficients(**{f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)})

    def __getitem__(self, index: slice | Tensor) -> "Coefficients":
        return Coefficients(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.angles)


def config_for(model: FaceModel, backbone: str = "resnet50", one_head: bool = False) -> CoefficientNetConfig:
    """The network whose outputs fit a model."""
    return CoefficientNetConfig(backbone, *model.sizes, one_head)


def split(model: FaceModel, raw: Tensor) -> Coefficients:
    """(B, P) network outputs → coefficients; weights of blendshapes are held in 0 … 1 (`held_in_box`).

    Raises: ValueError when the length does not fit the model.
    """
    sizes = (*model.sizes, 3, 27, 3)
    if raw.shape[-1] != sum(sizes):
        raise ValueError(
            f"{raw.shape[-1]} coefficients came; face model {model.name} takes {'+'.join(map(str, sizes))}."
        )
    identity, expression, albedo, angles, gamma, translation = raw.split(sizes, -1)
    if model.expression_prior == "unit":
        expression = held_in_box(expression)
    return Coefficients(identity, expression, albedo, angles, gamma.unflatten(-1, (3, 9)), translation)


def raw_expression(model: FaceModel, raw: Tensor) -> Tensor:
    """(B, Ke) the expression as the network gave it."""
    return raw[:, model.sizes[0] : model.sizes[0] + model.sizes[1]]


def held_in_box(values: Tensor) -> Tensor:
    """Values clipped to 0 … 1 whose gradient still reaches values outside when it points back in (projected gradient).

    Plain clipping would leave a weight below 0 without gradient for ever, and a sigmoid would start every blendshape at
    half.
    """
    return _Box.apply(values)


class _Box(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        outward = ((values <= 0) & (gradient > 0)) | (
            (values >= 1) & (gradient < 0)
        )  # a descent step would leave the box
        return gradient.masked_fill(outward, 0)
