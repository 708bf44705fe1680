"""Depths that need no DepthNet: what any score must be compared with."""

from collections.abc import Callable

import torch
from torch import Tensor

from datasets.readers.threedfaw import Keypoints
from geometry.face_template import TEMPLATE_66, template_depth
from geometry.lifted_affine import fix_gauge, perpendicular_depth

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


def spectral_depth(train: Keypoints) -> Callable[[Tensor], Tensor]:
    """The depth that explains all training faces as targets of one source best: no network, no depth labels, closed
    form.

    With z shared by all targets the loss of a source is minimal, up to its gauge, at the top eigenvector of Π C Π,
    where C is the second moment of the training faces' centred coordinates and Π removes 1, x and y of the source.
    """
    t = torch.from_numpy(train.points).double()
    t = (t - t.mean(dim=1, keepdim=True)).mT
    moment = torch.einsum("ncj,nck->jk", t, t)

    def depth(source: Tensor) -> Tensor:
        s = source.double().cpu()
        basis = torch.linalg.qr(torch.cat([torch.ones_like(s[..., :1]), s], dim=-1))[0]
        project = torch.eye(s.shape[1], dtype=s.dtype) - basis @ basis.mT
        vectors = torch.linalg.eigh(project @ moment @ project)[1][..., -1]
        return fix_gauge(s, vectors).to(source)

    return depth


def posed_spectral_depth(train: Keypoints) -> Callable[[Tensor], Tensor]:
    """Spectral depth in the gauge of the posed template: still without network and depth labels.

    The template in the face's pose says which part of the depth is affine in x and y and how deep a face is; the
    spectral depth says what the rest looks like.
    """
    spectral = spectral_depth(train)

    def depth(source: Tensor) -> Tensor:
        s = source.double().cpu()
        posed = template_depth(s)
        rest, _, _ = perpendicular_depth(s, posed)
        shape = spectral(s)
        return (posed - rest + (rest * shape).sum(dim=-1, keepdim=True) * shape).to(source)

    return depth


def make_controls(train: Keypoints) -> dict[str, Callable[[Tensor], Tensor]]:
    """Every control by name: source keypoints (N, 66, 2) → depth (N, 66)."""
    return {
        "constant template": template_constant,
        "mean depth": mean_depth(train),
        "template in the face's pose": template_depth,
        "spectral (closed form)": spectral_depth(train),
        "spectral in the template's pose": posed_spectral_depth(train),
        "linear regression (supervised)": linear_regression(train),
    }
