"""The parameter vector p = [A | t row by row, α identity, β expression]: its parts, its whitening, how it follows its
crop.

A face in a crop is A · S(α, β) + t with S in dm, x to the right and y up from the crop's lower left corner, in crop
pixels. A is scale · rotation for a face that a weak-perspective camera saw, but all nine numbers are free (Zhu et al.
2016).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

POSE = 12
MICROMETRES_PER_DM = 1e5  # the authors' files count lengths in µm
MATRIX_COLUMNS = (0, 1, 2, 4, 5, 6, 8, 9, 10)  # of A among the first twelve
TRANSLATION_COLUMNS = (3, 7, 11)
CONSTANT = 1e-5  # spread over magnitude below which a parameter only carries rounding errors
DEPTH_COLUMN = 11  # t_z, which no picture shows


@dataclass(frozen=True)
class Parts:
    """A parameter vector taken apart: matrix (B, 3, 3) crop px per dm, translation (B, 3) px, identity, expression."""

    matrix: Tensor
    translation: Tensor
    identity: Tensor
    expression: Tensor


@dataclass(frozen=True)
class Layout:
    """How many coefficients a parameter vector has."""

    identity: int = 40
    expression: int = 10

    @property
    def size(self) -> int:
        """P: length of the vector."""
        return POSE + self.identity + self.expression

    def split(self, parameters: Tensor) -> Parts:
        """(B, P) → parts. Raises: ValueError for another length."""
        if parameters.ndim != 2 or parameters.shape[1] != self.size:
            raise ValueError(
                f"parameters have shape {tuple(parameters.shape)}; {self.identity} identity and"
                f" {self.expression} expression"
                f" coefficients need (B, {self.size})."
            )
        camera = parameters[:, :POSE].reshape(-1, 3, 4)
        identity, expression = parameters[:, POSE:].split([self.identity, self.expression], dim=1)
        return Parts(camera[..., :3], camera[..., 3], identity, expression)


def join(parts: Parts) -> Tensor:
    """Inverse of `Layout.split`: (B, P)."""
    camera = torch.cat([parts.matrix, parts.translation[..., None]], dim=2).flatten(1)
    return torch.cat([camera, parts.identity, parts.expression], dim=1)


@dataclass(frozen=True)
class Whitening:
    """Mean and spread of every parameter over a training set; networks put out (p − mean) / std."""

    mean: Tensor  # (P,)
    std: Tensor  # (P,)

    def __post_init__(self) -> None:
        if self.mean.shape != self.std.shape or self.mean.ndim != 1:
            raise ValueError(
                f"whitening has a mean of {tuple(self.mean.shape)} and a spread of {tuple(self.std.shape)}."
            )
        if not (torch.isfinite(self.mean).all() and torch.isfinite(self.std).all() and (self.std > 0).all()):
            raise ValueError("whitening needs finite means and positive spreads.")

    @classmethod
    def of(cls, parameters: Tensor) -> "Whitening":
        """Of a training set (N, P); a parameter that never changes gets the spread 1, so it stays 0 when whitened.

        Raises: ValueError for fewer than two samples.
        """
        if len(parameters) < 2:
            raise ValueError(f"whitening needs at least two samples, got {len(parameters)}.")
        exact = parameters.double()
        std = exact.std(0)
        constant = std <= CONSTANT * exact.abs().amax(0).clamp(min=1e-30)
        return cls(exact.mean(0).float(), torch.where(constant, torch.ones_like(std), std).float())

    @classmethod
    def of_buffers(cls, mean: Tensor, std: Tensor) -> "Whitening":
        """Of values that were checked when they were set: on a GPU a check waits for the device."""
        whitening = object.__new__(cls)
        whitening.__dict__.update(mean=mean, std=std)
        return whitening

    def whiten(self, parameters: Tensor) -> Tensor:
        """(B, P) → zero mean, unit spread."""
        return (parameters - self.mean.to(parameters)) / self.std.to(parameters)

    def restore(self, whitened: Tensor) -> Tensor:
        """Inverse of `whiten`."""
        return whitened * self.std.to(whitened) + self.mean.to(whitened)

    def to(self, device: torch.device | str) -> "Whitening":
        """On a device."""
        return Whitening(self.mean.to(device), self.std.to(device))


def scale_matrix(parameters: Tensor, factor: float) -> Tensor:
    """Multiply the nine numbers of A (..., P): 1e5 turns crop px per µm, as the authors' files have it, into px per
    dm.
    """
    factors = torch.ones(parameters.shape[-1], dtype=parameters.dtype, device=parameters.device)
    factors[list(MATRIX_COLUMNS)] = factor
    return parameters * factors


def transform_parameters(parameters: Tensor, matrices: Tensor, height: float, new_height: float) -> Tensor:
    """Parameters of faces after their crops were mapped by similarities.

    Args:
        parameters: (B, P), pixels counted continuously.  matrices: (B, 2, 3) crop → new crop, x right and y down, px.
        height, new_height: sides of the old and the new crop in px.
    Returns: (B, P); depth is scaled like x and y.
    """
    linear, shift = matrices[..., :2], matrices[..., 2]
    flip = torch.tensor([1.0, -1.0], dtype=linear.dtype, device=linear.device)
    up = flip[:, None] * linear * flip  # the same map with y up
    origin = torch.tensor([0.0, height], dtype=linear.dtype, device=linear.device)
    moved = (linear @ origin) + shift
    offset = torch.stack([moved[:, 0], new_height - moved[:, 1]], dim=1)
    scale = torch.linalg.det(linear).abs().sqrt()
    full = torch.zeros(len(matrices), 3, 3, dtype=linear.dtype, device=linear.device)
    full[:, :2, :2], full[:, 2, 2] = up, scale
    camera = full @ parameters[:, :POSE].reshape(-1, 3, 4)
    camera[:, :2, 3] += offset
    return torch.cat([camera.flatten(1), parameters[:, POSE:]], dim=1)
