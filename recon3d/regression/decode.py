"""From parameters to vertices, landmarks and pose, in the crop and in the photo."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import FaceModelError
from datasets.crop import Crop
from morphable.model import FaceModel, SurfacePoints
from recon3d.regression.params import Layout, Parts

GIMBAL = 0.998  # sine of the yaw beyond which 3DDFA_V2 reports ±90° and no roll


@dataclass(frozen=True)
class PixelConvention:
    """What a model's crop coordinates (x, y up) mean: column x + shift_x and row side + shift_y − y.

    The authors count pixels from 0 (V2) or 1 (V1) and scale the numbers up to the photo as they are, without the half
    pixel between an index and a place; `halves` corrects the half-pixel offset, so that both agree with them in the
    photo to the last digit.
    Their training labels are MATLAB's, which v1 undoes exactly; V2's other shift displaces its points by about −0.8 and
    −0.6 crop px on 300-W (mb05: NME 3.26 % of the box as the authors decode, 3.00 % with v1), hence `unbiased`.
    """

    name: str
    shift_x: float
    shift_y: float
    halves: bool

    @property
    def unbiased(self) -> "PixelConvention":
        """The convention that puts the points of a model of this one where the faces are."""
        return CONVENTIONS["v1"] if self.halves else self

    def to_crop(self, points: Tensor, side: float, scale: Tensor) -> Tensor:
        """(B, K, 3) points, y up → continuous crop px, y down, z toward the viewer. scale: (B,) crop px per photo
        px.
        """
        half = 0.5 * scale[:, None] if self.halves else torch.zeros_like(scale)[:, None]
        x, y, z = points.unbind(-1)
        return torch.stack([x + self.shift_x + half, side + self.shift_y - y + half, z], dim=-1)

    def photo_maps(self, side: float, crops: list[Crop], like: Tensor) -> Tensor:
        """`to_crop`, then `to_photo`, as affine maps (B, 3, 4) of points with y up."""
        maps = np.zeros((len(crops), 3, 4))
        for row, crop in zip(maps, crops, strict=True):
            (a, b, u), (c, d, v) = crop.inverse_matrix.tolist()
            scale = crop.scale
            half = 0.5 * scale if self.halves else 0.0
            x, y = self.shift_x + half, side + self.shift_y + half
            row[:] = ((a, -b, 0, a * x + b * y + u), (c, -d, 0, c * x + d * y + v), (0, 0, 1 / scale, 0))
        return torch.as_tensor(maps, dtype=like.dtype, device=like.device)

    def image_points(self, points: Tensor, scale: Tensor) -> Tensor:
        """(B, K, 2) crop points that a landmark head counts as columns and rows → continuous crop px."""
        return points + 0.5 * scale[:, None, None] if self.halves else points

    def to_continuous(self, parameters: Tensor, scale: Tensor) -> Tensor:
        """Parameters (B, P) of this convention as those of the continuous one. scale: (B,) crop px per photo px."""
        half = 0.5 * scale if self.halves else torch.zeros_like(scale)
        moved = parameters.clone()
        moved[:, 3] += self.shift_x + half
        moved[:, 7] -= self.shift_y + half
        return moved


CONVENTIONS = {
    c.name: c
    for c in (
        PixelConvention("continuous", 0.0, 0.0, False),  # models trained here
        PixelConvention("v1", 0.0, 1.0, True),  # 3DDFA and RADAN: y ← side + 1 − y
        PixelConvention("v2", -1.0, 0.0, True),  # 3DDFA_V2: x ← x − 1, y ← side − y
    )
}


class FaceDecoder(nn.Module):
    """Parameters → points of a face model: all vertices, or surface points whose basis is gathered once.

    Args: model; layout: coefficients of the parameters, the leading ones of the model; points: None for all vertices.
    Raises: FaceModelError when the model has fewer components than the parameters.
    """

    def __init__(self, model: FaceModel, layout: Layout, points: SurfacePoints | None = None) -> None:
        super().__init__()
        if layout.identity > model.sizes[0] or layout.expression > model.sizes[1]:
            raise FaceModelError(
                f"face model {model.name} has {model.sizes[0]} identity and {model.sizes[1]} expression components; the"
                f" parameters have {layout.identity} and {layout.expression}."
            )
        self.layout = layout
        basis = [model.identity[..., : layout.identity], model.expression[..., : layout.expression]]
        mean, basis = model.mean, torch.cat(basis, dim=-1)
        if points is not None:
            mean, basis = points.of(mean), points.of(basis.flatten(1)).unflatten(1, (3, -1))
        self.register_buffer("mean", mean.flatten().contiguous())
        self.register_buffer("basis", basis.flatten(0, 1).T.contiguous())  # (Ki + Ke, 3K)

    def shape(self, parts: Parts) -> Tensor:
        """(B, K, 3) points of the unposed face, dm."""
        coefficients = torch.cat([parts.identity, parts.expression], dim=1)
        return torch.addmm(self.mean, coefficients, self.basis).unflatten(1, (-1, 3))

    def forward(self, parameters: Tensor) -> Tensor:
        """(B, P) → (B, K, 3) crop px, y up, z toward the viewer, as the parameters count them."""
        parts = self.layout.split(parameters)
        return torch.baddbmm(parts.translation[:, None], self.shape(parts), parts.matrix.transpose(1, 2))


def chained(second: Tensor, first: Tensor) -> Tensor:
    """Affine maps (B, 3, 4) one after the other."""
    product = second[..., :3] @ first
    return torch.cat([product[..., :3], product[..., 3:] + second[..., 3:]], dim=-1)


def to_photo(points: Tensor, crops: list[Crop]) -> Tensor:
    """(B, K, 2 or 3) continuous crop px → continuous photo px; z is scaled like x and y."""
    inverse = torch.as_tensor(
        np.stack([crop.inverse_matrix for crop in crops]), dtype=points.dtype, device=points.device
    )
    moved = points[..., :2] @ inverse[..., :2].transpose(1, 2) + inverse[:, None, :, 2]
    if points.shape[-1] == 2:
        return moved
    depth = points[..., 2:] / crop_scales(crops, points)[:, None, None]
    return torch.cat([moved, depth], dim=-1)


def crop_scales(crops: list[Crop], like: Tensor) -> Tensor:
    """(B,) crop px per photo px."""
    return torch.tensor([crop.scale for crop in crops], dtype=like.dtype, device=like.device)


@dataclass(frozen=True)
class Pose:
    """Pose of faces: rotation (B, 3, 3) model → picture with y up; angles (B, 3) pitch, yaw, roll in degrees; scale
    (B,).
    """

    rotation: Tensor
    angles_deg: Tensor
    scale: Tensor


def authors_pose(matrix: Tensor) -> Pose:
    """Pose as 3DDFA_V2 reports it: normalised rows 1 and 2 and their cross product, which is no rotation where they are
    not perpendicular, and the angles asin R20, atan2(R21, R22), atan2(R10, R00).

    Args: matrix (B, 3, 3). Returns: angles are (pitch, yaw, roll); scale is the mean length of rows 1 and 2.
    """
    lengths = matrix[:, :2].norm(dim=-1)
    rows = matrix[:, :2] / lengths[..., None]
    third = torch.linalg.cross(rows[:, 0], rows[:, 1])
    rotation = torch.cat([rows, third[:, None]], dim=1)
    sine = rotation[:, 2, 0].clamp(-1, 1)
    yaw = torch.asin(sine)
    cosine = torch.cos(yaw)
    pitch = torch.atan2(rotation[:, 2, 1] / cosine, rotation[:, 2, 2] / cosine)
    roll = torch.atan2(rotation[:, 1, 0] / cosine, rotation[:, 0, 0] / cosine)
    locked = sine.abs() > GIMBAL
    yaw = torch.where(locked, sine.sign() * (math.pi / 2), yaw)
    turned = torch.atan2(-sine.sign() * rotation[:, 0, 1], -sine.sign() * rotation[:, 0, 2])
    pitch = torch.where(locked, turned, pitch)
    roll = torch.where(locked, torch.zeros_like(roll), roll)
    return Pose(rotation, torch.rad2deg(torch.stack([pitch, yaw, roll], dim=1)), lengths.mean(1))
