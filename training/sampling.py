"""Order of samples as a function of (seed, epoch, rank) alone, resumable at any batch."""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import Sampler

LANES = 16  # most places at which a sharded set is read at once


@runtime_checkable
class Sharded(Protocol):
    """A dataset in files that are read piece by piece, not at random.

    Attributes: shard_lengths: samples of every file, in the order of their indices; buffer: samples that are mixed.
    """

    shard_lengths: Sequence[int]
    buffer: int


class StepBatches(Sampler[list[int]]):
    """Batches of indices of one epoch; every rank gets its slice of the same global batch.

    Args:
        length: number of samples (virtual ones included, see `repeat` of the loaders).
        batch_size: of all ranks together; clamped to the length, so few samples make one smaller batch.
        parts: pieces of equal size that a rank's slice comes in, for the accumulation of gradients.
    Raises: ValueError for fewer samples than ranks, or a slice that has not so many equal parts.
    """

    def __init__(self, length: int, batch_size: int, rank: int, world: int, parts: int) -> None:
        if length < world:
            raise ValueError(f"{length} samples for {world} processes; use fewer processes")
        self.length, self.rank, self.world, self.parts = length, rank, world, parts
        self.batch_size = max(world, min(batch_size, length) // world * world)
        self.share = self.batch_size // world
        if self.share % parts:
            raise ValueError(
                f"--accumulate {parts}: does not divide the {self.share} samples of a step on each process; change"
                " --batch-size"
            )
        self.epoch, self.start = 0, 0

    def set_position(self, epoch: int, batches_done: int = 0) -> None:
        """Continue at a batch of an epoch."""
        self.epoch, self.start = epoch, batches_done

    def __len__(self) -> int:
        """Steps of an epoch, each of `parts` lists."""
        return self.length // self.batch_size

    def steps(self) -> Iterator[list[int]]:
        """The rank's slices of the remaining global batches of the epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[list[int]]:
        size = self.share // self.parts
        for indices in self.steps():
            yield from (indices[first : first + size] for first in range(0, self.share, size))


class EpochBatches(StepBatches):
    """A new permutation of all samples per epoch. Incomplete last batches are dropped, as the papers do."""

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        parts: int = 1,
    ) -> None:
        super().__init__(length, batch_size, rank, world, parts)
        self.seed, self.shuffle = seed, shuffle

    def steps(self) -> Iterator[list[int]]:
        """As `StepBatches.steps`."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        order = torch.randperm(self.length, generator=generator) if self.shuffle else torch.arange(self.length)
        for number in range(self.start, len(self)):
            first = number * self.batch_size + self.rank * self.share
            yield order[first : first + self.share].tolist()


class ShardBatches(StepBatches):
    """The files in a new order per epoch, read at several places at once, and samples mixed within a buffer.

    The files of an epoch stand in one row, which is cut into lanes of equal length; a global batch takes as many
    samples from each lane, and a rank has lanes of its own, so it reads only its share of the files. In a lane the
    samples are permuted within windows, which together are the buffer. The number of lanes does not depend on the
    number of ranks that divide it, and then neither do the batches: such a run is resumed to the same samples.

    Args: lengths: samples of every file; buffer: samples that are mixed with each other; others as of `StepBatches`.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        buffer: int = 10_000,
        parts: int = 1,
    ) -> None:
        super().__init__(sum(lengths), batch_size, rank, world, parts)
        self.seed = seed
        self.lengths = np.asarray(lengths, np.int64)
        lanes = math.gcd(self.batch_size, LANES)
        self.lanes = world if lanes % world else lanes
        self.lane_length, self.lane_share = self.length // self.lanes, self.batch_size // self.lanes
        self.window = max(1, buffer // self.lanes)

    def __len__(self) -> int:
        return self.lane_length // self.lane_share

    def steps(self) -> Iterator[list[int]]:
        """As `StepBatches.steps`."""
        files = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.lengths))
        ends = np.cumsum(self.lengths[files])
        first_index = (np.cumsum(self.lengths) - self.lengths)[files]
        own = self.lanes // self.world
        lanes = [_Lane(self, lane) for lane in range(self.rank * own, (self.rank + 1) * own)]
        for number in range(self.start, len(self)):
            row = np.concatenate([lane.places(number * self.lane_share, self.lane_share) for lane in lanes])
            file = np.searchsorted(ends, row, side="right")
            yield (first_index[file] + row - (ends - self.lengths[files])[file]).tolist()


class _Lane:
    """One lane of an epoch: where in the row of all files its n-th sample stands."""

    def __init__(self, batches: ShardBatches, lane: int) -> None:
        self.first, self.length, self.window = lane * batches.lane_length, batches.lane_length, batches.window
        self.key = [batches.seed, batches.epoch, lane]
        # windows begin elsewhere in every epoch, or the same neighbours would be mixed for ever
        self.offset = int(np.random.default_rng(self.key).integers(self.window))
        self._number, self._order = -1, np.empty(0, np.int64)

    def places(self, start: int, count: int) -> np.ndarray:
        """(count,) places of the samples from `start` on."""
        return self.first + np.array([self._place(position) for position in range(start, start + count)], np.int64)

    def _place(self, position: int) -> int:
        number = (position + self.offset) // self.window
        begin = max(0, number * self.window - self.offset)
        if number != self._number:
            end = min(self.length, (number + 1) * self.window - self.offset)
            self._order = begin + np.random.default_rng([*self.key, number]).permutation(end - begin)
            self._number = number
        return int(self._order[position - begin])
