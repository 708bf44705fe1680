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


def decode_heatmaps(heatmaps: Tensor, subpixel: bool = True, blur: int = 9, window: int = 9) -> tuple[Tensor, Tensor]:
    """Peak position and peak height of every heatmap.

    Args:
        heatmaps: (..., K, H, W), any range.
        subpixel: refine the integer peak by fitting a parabola to the logarithm of the map
            around it (exact for a Gaussian); False gives the integer pixel, as 3FabRec does.
        blur: width of the box blur before the search; 0 for none.
        window: side of the square neighbourhood of the refinement, odd.
    Returns:
        points (..., K, 2) x, y in heatmap pixels (with subpixel=False: integer indices without the half-pixel offset),
        scores (..., K) peak height of the blurred map.
    """
    height, width = heatmaps.shape[-2:]
    maps = box_blur(heatmaps, blur) if blur else heatmaps.float()
    if subpixel and blur:  # the zero border would pull peaks near it inwards
        maps = maps / box_blur(torch.ones_like(maps[(0,) * (maps.ndim - 2)]), blur)
    flat = maps.reshape(-1, height * width)
    scores, index = flat.max(dim=1)
    rows, columns = index // width, index % width
    if subpixel:
        x, y = _refine(heatmaps.float().reshape(-1, height, width), rows, columns, window)
        points = torch.stack([x, y], dim=1)
    else:
        points = torch.stack([columns, rows], dim=1).float()
    shape = heatmaps.shape[:-2]
    return points.view(*shape, 2), scores.view(shape)


def _refine(maps: Tensor, rows: Tensor, columns: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Weighted least-squares parabola through the logarithm of the map along each axis, summed over the window.

    The logarithm of a Gaussian is a parabola, so a clean map is decoded exactly, also at its border.
    """
    height, width = maps.shape[-2:]
    half = window // 2
    offsets = torch.arange(-half, half + 1, device=maps.device)
    row_index = (rows[:, None] + offsets).clamp(0, height - 1)
    column_index = (columns[:, None] + offsets).clamp(0, width - 1)
    batch = torch.arange(len(maps), device=maps.device)[:, None, None]
    patch = maps[batch, row_index[:, :, None], column_index[:, None, :]]
    peak = patch.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    patch = (patch / peak).clamp_min(1e-3)
    inside_rows = ((rows[:, None] + offsets >= 0) & (rows[:, None] + offsets < height)).float()
    inside_columns = ((columns[:, None] + offsets >= 0) & (columns[:, None] + offsets < width)).float()
    weights = patch**2 * inside_rows[:, :, None] * inside_columns[:, None, :]
    logarithm = patch.log()
    dx = _parabola_vertex(offsets.float(), logarithm, weights)
    dy = _parabola_vertex(offsets.float(), logarithm.transpose(1, 2), weights.transpose(1, 2))
    limit = float(half)
    return columns + 0.5 + dx.clamp(-limit, limit), rows + 0.5 + dy.clamp(-limit, limit)


def _parabola_vertex(t: Tensor, value: Tensor, weights: Tensor) -> Tensor:
    """Vertex −b/(2a) of the weighted least-squares fit value ≈ a t² + b t + (a constant per row), 0 where it has no maximum.

    The constant may differ from row to row of the window, which makes the fit separable in x and y.

    Args: t (W,) positions along the last axis; value, weights (N, W, W). Returns: (N,).
    """
    total = weights.sum(2, keepdim=True).clamp_min(1e-12)

    def centred(quantity: Tensor) -> Tensor:
        return quantity - (weights * quantity).sum(2, keepdim=True) / total

    t1, t2, v = centred(t), centred(t * t), centred(value)
    s11, s12, s22 = ((weights * a * b).sum((1, 2)) for a, b in ((t1, t1), (t1, t2), (t2, t2)))
    s1v, s2v = (weights * t1 * v).sum((1, 2)), (weights * t2 * v).sum((1, 2))
    determinant = s11 * s22 - s12**2
    a = (s11 * s2v - s12 * s1v) / determinant.clamp_min(1e-12)
    b = (s22 * s1v - s12 * s2v) / determinant.clamp_min(1e-12)
    good = (determinant > 1e-9) & (a < -1e-6)
    return torch.where(good, -b / (2 * torch.where(good, a, torch.ones_like(a))), torch.zeros_like(a))
