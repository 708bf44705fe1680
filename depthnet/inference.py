"""Depths of all pairs at once: batch norm folded into the weights, the first layer computed per face instead of per
pair.
"""

import torch
from torch import Tensor

from geometry.lifted_affine import apply_affine
from networks.aign import AIGN
from networks.depthnet import DepthGenerator, DepthNet, Frame, StackedBatchNorm, StackedLinear, centre

ROWS = 4096  # pairs that go through the hidden layers together, so that their features stay in the processor's cache


def folded_layers(generator: DepthGenerator, run: int) -> list[tuple[Tensor, Tensor]]:
    """(weight (in, out), bias (out,)) of one run's hidden layers with their batch norms folded in."""
    layers = []
    modules = list(generator.trunk)
    for linear, norm in zip(modules, modules[1:], strict=False):
        if isinstance(linear, StackedLinear) and isinstance(norm, StackedBatchNorm):
            scale = norm.weight[run] * torch.rsqrt(norm.running_var[run] + norm.eps)
            shift = norm.bias[run] - norm.running_mean[run] * scale
            layers.append((linear.weight[run] * scale, linear.bias[run] * scale + shift))
    return layers


@torch.inference_mode()
def all_pair_depths(networks: DepthNet | AIGN, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
    """Depth of every source face for every target face.

    Args: networks in evaluation mode; source (N, 66, 2), target (M, 66, 2).
    Returns: depths (S, N, M, 66), or (S, N, 1, 66) of networks that do not see the target; affines (S, N, M, 2, 4) or
    None.
    """
    if isinstance(networks, AIGN):
        return _aign_depths(networks, source), None
    rows = [_run_depths(networks.g, run, source, target) for run in range(networks.config.seeds)]
    depths = torch.stack([depth for depth, _ in rows])
    affines = None if rows[0][1] is None else torch.stack([affine for _, affine in rows])
    return depths, affines


def _run_depths(generator: DepthGenerator, run: int, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
    frame = None
    if generator.base is not None:
        frame = generator.frame(source.expand(generator.seeds, *source.shape))
        frame = Frame(*(part[run] for part in frame))
        if generator.trunk is None:
            return frame.base[:, None], None
        source, target = frame.points, centre(target)[0]
    (weight, bias), *hidden = folded_layers(generator, run)
    own = source.mT.flatten(1)
    width = own.shape[1]
    first = torch.addmm(bias, own, weight[:width])
    if generator.source_only:
        other = torch.zeros(1, len(bias), dtype=first.dtype, device=first.device)
    else:
        other = target.mT.flatten(1) @ weight[width:]
    heads = [generator.depth] + ([] if generator.affine is None else [generator.affine])
    last = torch.cat([head.weight[run] for head in heads], dim=1), torch.cat([head.bias[run] for head in heads])
    count = len(other)
    out = torch.empty(len(source), count, len(last[1]), dtype=first.dtype, device=first.device)
    step = max(1, ROWS // count)
    for begin in range(0, len(source), step):
        x = (first[begin : begin + step, None] + other).relu_().flatten(0, 1)
        for w, b in hidden:
            x = torch.addmm(b, x, w).relu_()
        torch.addmm(last[1], x, last[0], out=out[begin : begin + step].flatten(0, 1))
    points = generator.depth.bias.shape[1]
    if frame is not None:
        out[..., :points] = frame.base[:, None] + frame.unit[:, None, None] * out[..., :points]
    return out[..., :points], None if generator.affine is None else out[..., points:].unflatten(-1, (2, 4))


def _aign_depths(networks: AIGN, source: Tensor) -> Tensor:
    parts = [networks(chunk.expand(networks.config.seeds, *chunk.shape))[0][:, :, 2] for chunk in source.split(64)]
    return torch.cat(parts, dim=1)[:, :, None]


@torch.inference_mode()
def all_pair_errors(source: Tensor, depth: Tensor, target: Tensor, affine: Tensor | None = None) -> Tensor:
    """Keypoint error (N, M) of every pair: mean square over 132 numbers, computed in float64.

    Args: source (N, 66, 2); depth (N, M, 66) or (N, 1, 66); target (M, 66, 2); affine (N, M, 2, 4), None = least
    squares.
    """
    source, target = source.double(), target.double()
    if affine is not None:
        rows = zip(source, depth.double(), affine.double(), strict=True)
        return torch.stack([(apply_affine(m, s, z) - target).square().mean(dim=(1, 2)) for s, z, m in rows])
    # 2 K · error = ‖T‖² − tr(A G⁻¹ Aᵀ) − ‖T z⊥‖² / n with A = T Sᵀ: matrix products over all pairs, see
    # geometry.lifted_affine
    s, t = source.mT - source.mT.mean(dim=2, keepdim=True), target.mT - target.mT.mean(dim=2, keepdim=True)
    inverse = torch.linalg.inv(s @ s.mT)
    cross = (t.flatten(0, 1) @ s.flatten(0, 1).T).unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).permute(2, 0, 1, 3)
    explained = ((cross @ inverse[:, None]) * cross).sum(dim=(2, 3))
    z = depth.double()
    z = z - z.mean(dim=2, keepdim=True)
    rest = z - (z @ s.mT @ inverse) @ s
    n = rest.square().sum(dim=2)
    if rest.shape[1] == 1:
        u = torch.einsum("jck,ik->ijc", t, rest[:, 0])
    else:
        u = torch.bmm(rest.transpose(0, 1), t.mT).transpose(0, 1)
    gain = torch.where(n > 1e-12 * z.square().sum(dim=2), u.square().sum(dim=2) / n, 0.0)
    return (t.square().sum(dim=(1, 2)) - explained - gain).clamp_min(0) / (2 * source.shape[1])
