"""Cells change places as the papers say, and nothing else happens."""

import pytest
import torch

from recon3d.regression.jigsaw import crop_and_paste, crop_and_paste_order, jigsaw, permute_cells


def cells_of(images, grid):
    """(B, grid², C, s, s)."""
    rows = [row.chunk(grid, dim=-1) for row in images.chunk(grid, dim=-2)]
    return torch.stack([cell for row in rows for cell in row], dim=1)


def test_permute_cells_against_slices():
    images = torch.randn(2, 3, 12, 12)
    order = torch.stack([torch.randperm(16), torch.randperm(16)])
    before, after = cells_of(images, 4), cells_of(permute_cells(images, order, 4), 4)
    for b in range(2):
        assert torch.equal(after[b], before[b, order[b]])
    with pytest.raises(ValueError, match="no 5×5 grid"):
        permute_cells(images, order, 5)


def test_swaps_against_a_list():
    shuffled = torch.stack([torch.randperm(16) for _ in range(50)])
    swaps = torch.arange(50) % 5
    order = crop_and_paste_order(16, swaps, shuffled)
    for b in range(50):
        cells = list(range(16))
        for turn in range(int(swaps[b])):
            other = int(shuffled[b, turn])
            cells[0], cells[other] = cells[other], cells[0]
        assert order[b].tolist() == cells


def test_crop_and_paste_is_repeatable_and_moves_at_most_five_cells():
    images, indices = torch.randn(64, 3, 120, 120), torch.arange(64)
    once, again, other = (crop_and_paste(images, indices, 0, epoch) for epoch in (1, 1, 2))
    assert torch.equal(once, again) and not torch.equal(once, other)
    moved = (cells_of(once, 4) != cells_of(images, 4)).flatten(2).any(2).sum(1)
    assert moved.max() <= 5 and set(moved.tolist()) >= {0, 2, 3, 4, 5}
    untouched = (moved == 0).float().mean()
    assert 0.1 < untouched < 0.45  # one in five by no swap, and a few that swap the first cell with itself


@pytest.mark.parametrize("grid", [2, 3])
def test_jigsaw_keeps_every_cell(grid):
    images = torch.randn(3, 3, 12, 12)
    before, after = cells_of(images, grid).flatten(2), cells_of(jigsaw(images, grid, 0, 3), grid).flatten(2)
    for b in range(3):
        assert sorted(before[b].sum(1).tolist()) == pytest.approx(sorted(after[b].sum(1).tolist()), abs=1e-4)
    assert torch.equal(jigsaw(images, grid, 0, 3), jigsaw(images, grid, 0, 3))
    assert len({tuple(jigsaw(images, grid, 0, step).flatten().tolist()) for step in range(12)}) > 3
