"""Gaussian landmark heatmaps: rendering at sub-pixel positions and decoding back to points.

Continuous coordinates everywhere: the centre of heatmap pixel (row i, column j) is (x, y) = (j + 0.5, i + 0.5).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def render_heatmaps(landmarks: Tensor, size: int, sigma_px: float, visibility: Tensor | None = None) -> Tensor:
    """Separable Gaussians of peak 1, exact at any sub-pixel position and cut nowhere.

    Args:
        landmarks: (..., K, 2) x, y in heatmap pixels; may lie outside.
        size: side of the square heatmap in pixels.
        sigma_px: standard deviation in heatmap pixels, > 0.
        visibility: (..., K) weights multiplied onto the maps, or None for all 1.
    Returns:
        (..., K, size, size) heatmaps in [0, 1]; a point that is not finite gives an empty map.
    """
    centres = torch.arange(size, device=landmarks.device, dtype=landmarks.dtype) + 0.5
    profile = torch.exp(-((centres - landmarks[..., None]) ** 2) / (2 * sigma_px**2)).nan_to_num(0.0)
    columns, rows = profile[..., 0, :], profile[..., 1, :]
    if visibility is not None:
        rows = rows * visibility[..., None]
    return rows[..., :, None] * columns[..., None, :]


def box_blur(heatmaps: Tensor, width: int = 9) -> Tensor:
    """Mean over a width × width window with zero border, as two running sums (exact, and fast on a CPU).

    Args: heatmaps (..., H, W). Returns: the same shape, float32.
    """
    half = width // 2
    sums = heatmaps.float()
    for dim in (-1, -2):
        padding = (half + 1, half, 0, 0) if dim == -1 else (0, 0, half + 1, half)
        running = F.pad(sums, padding).cumsum(dim)
        length = running.shape[dim]
        sums = running.narrow(dim, width, length - width) - running.narrow(dim, 0, length - width)
    return sums / width**2


def decode_heatmaps(heatmaps: Tensor, subpixel: bool = True, window: int = 9) -> tuple[Tensor, Tensor]:
    """Peak position and peak height of every heatmap.

    Args:
        heatmaps: (..., K, H, W), any range.
        subpixel: search in means of 4 × 4 pixels, so that no peak is passed over, then fit a parabola to the logarithm
            of the map around the peak (exact for a Gaussian of σ ≥ 0.8 px); False gives the integer peak of the 9 × 9
            box blur, as 3FabRec does.
        window: side of the square neighbourhood of the fit, odd.
    Returns:
        points (..., K, 2) x, y in heatmap pixels (with subpixel=False: integer indices without the half-pixel offset),
        scores (..., K) mean of the map over the 9 × 9 pixels (subpixel: over the window) around the peak.
    """
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.reshape(-1, height, width)
    if subpixel:
        points, scores = _fit_peaks(flat, window)
    else:
        scores, index = box_blur(flat).flatten(1).max(dim=1)
        points = torch.stack([index % width, index // width], dim=1).float()
    shape = heatmaps.shape[:-2]
    return points.view(*shape, 2), scores.view(shape)


def _fit_peaks(maps: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """(N, H, W) → points (N, 2) and scores (N,): search of the highest block, of its highest pixel, fit."""
    half = window // 2
    rows, columns, wide = _highest_pixels(maps, half)
    offsets = torch.arange(-half, half + 1, device=maps.device)
    for spacing in (1 + wide, torch.ones_like(rows)):  # first a window as wide as the peak
        patch, inside = _neighbourhood(maps, rows, columns, half, spacing)
        patch = patch * inside
        places, reach = offsets.float() * spacing[:, None], half * spacing
        # the sums along an axis of a (cut) two-dimensional Gaussian are a one-dimensional Gaussian
        dx = _gaussian_centre(places, patch.sum(1), inside.amax(1)).clamp(-reach, reach)
        dy = _gaussian_centre(places, patch.sum(2), inside.amax(2)).clamp(-reach, reach)
        x, y = columns + 0.5 + dx, rows + 0.5 + dy
        columns, rows = x.floor().long().clamp(0, maps.shape[2] - 1), y.floor().long().clamp(0, maps.shape[1] - 1)
    scores = patch.sum((1, 2)) / inside.sum((1, 2))
    return torch.stack([x, y], dim=1), scores


def _highest_pixels(maps: Tensor, reach: int) -> tuple[Tensor, Tensor, Tensor]:
    """(N, H, W) → row and column (N,) of the highest pixel around the block of 4 × 4 pixels with the highest mean, and
    (N,) 1 where half of the square of ± reach around that block is above half of the pixel, else 0."""
    block = 4
    means = F.avg_pool2d(maps[:, None].float(), block, ceil_mode=True)[:, 0]
    index = means.flatten(1).argmax(dim=1)
    rows, columns = index // means.shape[2] * block + block // 2, index % means.shape[2] * block + block // 2
    patch, inside = _neighbourhood(maps, rows, columns, reach, torch.ones_like(rows))
    highest, index = patch.masked_fill(inside == 0, -torch.inf).flatten(1).max(dim=1)
    above = ((patch > 0.5 * highest[:, None, None]) * inside).sum((1, 2))
    side = 2 * reach + 1
    return rows + index // side - reach, columns + index % side - reach, (2 * above > inside.sum((1, 2))).long()


def _neighbourhood(maps: Tensor, rows: Tensor, columns: Tensor, half: int, spacing: Tensor) -> tuple[Tensor, Tensor]:
    """Samples (N, 2·half + 1, 2·half + 1) on a grid of that spacing (N,) around pixels, float32, and 1 where they lie
    inside the map, else 0."""
    height, width = maps.shape[-2:]
    offsets = torch.arange(-half, half + 1, device=maps.device) * spacing[:, None]
    y, x = rows[:, None] + offsets, columns[:, None] + offsets
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    first = torch.arange(maps.shape[0], device=maps.device)[:, None, None] * (height * width)
    index = first + (y.clamp(0, height - 1) * width)[:, :, None] + x.clamp(0, width - 1)[:, None, :]
    return maps.flatten()[index].float(), inside.float()


def _gaussian_centre(t: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Vertex −b/(2a) of the weighted least-squares fit log(value) ≈ a t² + b t + c, 0 where it has no maximum.

    Weights are those given times the squared values, which undoes what the logarithm does to their noise.

    Args: t (N, W) positions; values, weights (N, W). Returns: (N,).
    """
    peak = values.amax(dim=1, keepdim=True).clamp_min(1e-12)
    values = (values / peak).clamp_min(1e-3)
    weights = weights * values**2
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
    t1 = t - (weights * t).sum(1, keepdim=True)
    t2 = t * t - (weights * (t * t)).sum(1, keepdim=True)
    logarithm = values.log()
    s11, s12, s22 = (weights * t1 * t1).sum(1), (weights * t1 * t2).sum(1), (weights * t2 * t2).sum(1)
    s1v, s2v = (weights * t1 * logarithm).sum(1), (weights * t2 * logarithm).sum(1)
    determinant = s11 * s22 - s12**2
    a = s11 * s2v - s12 * s1v
    b = s22 * s1v - s12 * s2v
    good = (determinant > 1e-9) & (a < -1e-6 * determinant)
    return torch.where(good, -b / (2 * torch.where(good, a, torch.ones_like(a))), torch.zeros_like(a))
