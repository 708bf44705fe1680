"""The order of a sharded set: every sample once, mixed, resumable, the same on any number of processes."""

import numpy as np
import pytest

from training.sampling import EpochBatches, ShardBatches

LENGTHS = [70, 40, 90, 56, 64, 100, 60, 32]  # 512 samples


def epoch(number=0, start=0, rank=0, world=1, **options):
    batches = ShardBatches(LENGTHS, 32, 7, rank, world, **({"buffer": 128} | options))
    batches.set_position(number, start)
    return list(batches)


def test_an_epoch_has_every_sample_once_and_another_order_than_the_next():
    first, second = epoch(0), epoch(1)
    assert len(first) == 16 and sorted(sum(first, [])) == list(range(512))
    assert sorted(sum(second, [])) == list(range(512)) and first[0] != second[0]


def test_resuming_anywhere_goes_on_with_the_same_batches():
    for start in (1, 7, 15):
        assert epoch(3, start) == epoch(3)[start:]


@pytest.mark.parametrize("world", [2, 4, 16])
def test_processes_share_the_batches_of_one(world):
    ranks = [epoch(2, rank=rank, world=world) for rank in range(world)]
    assert [sum(parts, []) for parts in zip(*ranks, strict=True)] == epoch(2)


def test_a_process_reads_its_share_of_the_files():
    ends = np.cumsum(LENGTHS)
    files = [set(np.searchsorted(ends, sum(epoch(0, rank=rank, world=4), []), side="right")) for rank in range(4)]
    assert max(map(len, files)) <= len(LENGTHS) // 4 + 2, "its own and a part of one at each end"


def test_samples_are_mixed_within_the_buffer_alone():
    """With a buffer of one sample for each of the 16 lanes, a lane runs through its files in their order."""
    plain, mixed = epoch(buffer=16), epoch()
    lane = np.array([batch[:2] for batch in plain]).ravel()
    assert (np.diff(lane) == 1).mean() > 0.9
    assert (np.diff(np.array([batch[:2] for batch in mixed]).ravel()) == 1).mean() < 0.5
    assert sorted(np.array([b[:2] for b in mixed]).ravel()) == sorted(lane), "but no sample changes its lane"


def test_parts_of_a_step_are_pieces_of_the_same_batch():
    for kind in (lambda **o: epoch(**o), lambda **o: list(EpochBatches(100, 32, 1, **o))):
        whole, parts = kind(), kind(parts=4)
        assert [sum(parts[i : i + 4], []) for i in range(0, len(parts), 4)] == whole
        assert {len(part) for part in parts} == {8}
    with pytest.raises(ValueError, match="--accumulate 3: does not divide the 32"):
        EpochBatches(100, 32, 1, parts=3)


def test_few_samples_and_odd_sizes():
    batches = ShardBatches([3, 2], 8, 0, buffer=4)
    assert sorted(sum(batches, [])) == list(range(5))
    ranks = [list(ShardBatches([10, 11], 6, 0, rank, 3, buffer=5)) for rank in range(3)]
    seen = sum(sum(ranks, []), [])
    assert len(seen) == len(set(seen)) == 18
