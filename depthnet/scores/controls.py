"""Depths that need no DepthNet: what any score must be compared with."""

from collections.abc import Callable

import torch
from torch import Tensor

from datasets.readers.threedfaw import Keypoints
from geometry.face_template import TEMPLATE_66, template_depth
from geometry.spectral_depth import moment_factor, spectral_depth, spectral_shape

RIDGE = 1e-3  # of the linear regression, in units of the mean variance of the keypoints


def template_constant(source: Tensor) -> Tensor:
    """(N, 66, 2) → (N, 66): the same generic face for everybody."""
    depth = torch.as_tensor(TEMPLATE_66[:, 2], dtype=source.dtype, device=source.device)
    return depth.expand(source.shape[:-1])


def mean_depth(train: Keypoints) -> Callable[[Tensor], Tensor]:
    """The mean of the training depths for everybody."""
    mean = torch.from_numpy(train.depth).double().mean(dim=0)
    return lambda source: mean.to(source).expand(source.shape[:-1])


def linear_regression(train: Keypoints) -> Callable[[Tensor], Tensor]:
    """Supervised ridge regression of the depth on the same face's keypoints."""
    x, z = torch.from_numpy(train.points).double().flatten(1), torch.from_numpy(train.depth).double()
    x_mean, z_mean = x.mean(dim=0), z.mean(dim=0)
    x, z = x - x_mean, z - z_mean
    gram = x.T @ x
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(gram, x.T @ z)
    return lambda source: ((source.double().flatten(1).cpu() - x_mean) @ weights + z_mean).to(source)


def spectral_control(train: Keypoints, posed: bool = False) -> Callable[[Tensor], Tensor]:
    """The closed form of `geometry.spectral_depth` from the training faces' keypoints, without their depths.

    Args: posed: in the gauge of the template in the face's pose, else gauge-fixed.
    """
    factor = moment_factor(torch.from_numpy(train.points), train.points.shape[1])
    closed_form = spectral_depth if posed else spectral_shape
    return lambda source: closed_form(source.double().cpu(), factor).to(source)


def make_controls(train: Keypoints) -> dict[str, Callable[[Tensor], Tensor]]:
    """Every control by name: source keypoints (N, 66, 2) → depth (N, 66)."""
    return {
        "constant template": template_constant,
        "mean depth": mean_depth(train),
        "template in the face's pose": template_depth,
        "spectral (closed form)": spectral_control(train),
        "spectral in the template's pose": spectral_control(train, posed=True),
        "linear regression (supervised)": linear_regression(train),
    }
