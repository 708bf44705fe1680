"""RADAN's cropping and pasting, and the jigsaws of its sibling MFIRRN: cells of an image change places, labels stay.

The geometry of a face is scrambled with its cells, so these copies only go beside the originals, never in their place.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.augment import hash_uniform

GRID = 4  # RADAN's cells along a side
MOST_SWAPS = 4


def permute_cells(images: Tensor, order: Tensor, grid: int) -> Tensor:
    """Cell i of the result is cell order[:, i] of the image, row by row.

    Args: images (B, C, S, S) with S divisible by grid; order (B, grid²) int64 permutations.
    Raises: ValueError for a side that the grid does not divide.
    """
    side = images.shape[-1]
    if side % grid or images.shape[-2] != side:
        raise ValueError(
            f"a {images.shape[-1]}×{images.shape[-2]} image has no {grid}×{grid} grid of equal square cells."
        )
    cell = side // grid
    cells = F.unfold(images, cell, stride=cell).transpose(1, 2)
    moved = cells.gather(1, order[..., None].expand_as(cells))
    return F.fold(moved.transpose(1, 2), side, cell, stride=cell)


def crop_and_paste_order(count: int, swaps: Tensor, shuffled: Tensor) -> Tensor:
    """Order of the cells after swapping the first cell with the first `swaps` of a shuffled list, one after another.

    Args: count of cells; swaps (B,) 0 … MOST_SWAPS; shuffled (B, count) permutations. Returns: (B, count).
    """
    order = torch.arange(count, device=swaps.device).expand(len(swaps), count).clone()
    rows = torch.arange(len(swaps), device=swaps.device)
    for turn in range(MOST_SWAPS):
        other = torch.where(swaps > turn, shuffled[:, turn], torch.zeros_like(swaps))
        first, second = order[:, 0].clone(), order[rows, other]
        order[rows, other] = first
        order[:, 0] = second
    return order


def crop_and_paste(images: Tensor, indices: Tensor, seed: int, epoch: int) -> Tensor:
    """RADAN's augmentation: 0 to 4 swaps of the first of 4 × 4 cells with others; none leaves the image as it is.

    Args: images (B, C, S, S); indices (B,) of the samples, which with seed and epoch decide the swaps.
    """
    uniform = hash_uniform(seed, epoch, indices, 7, GRID * GRID + 1)
    swaps = (uniform[:, 0] * (MOST_SWAPS + 1)).long()
    return permute_cells(images, crop_and_paste_order(GRID * GRID, swaps, uniform[:, 1:].argsort(dim=1)), GRID)


def jigsaw(images: Tensor, grid: int, seed: int, step: int) -> Tensor:
    """MFIRRN's 2 × 2 and 3 × 3 jigsaws: one random permutation of all cells for the whole batch. images (B, C, S,
    S).
    """
    draw = hash_uniform(seed, step, torch.tensor([grid]), 8, grid * grid)
    return permute_cells(images, draw.argsort(dim=1).to(images.device).expand(len(images), -1), grid)
