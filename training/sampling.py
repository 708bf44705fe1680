"""Order of samples as a function of (seed, epoch, rank) alone, resumable at any batch."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochBatches(Sampler[list[int]]):
    """Batches of indices of one epoch; every rank gets its slice of the same global batch.

    Args:
        length: number of samples (virtual ones included, see `repeat` of the loaders).
        batch_size: of all ranks together; clamped to the length, so few samples make one smaller batch.
        shuffle: a new permutation per epoch. Incomplete last batches are dropped, as the papers do.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, rank: int = 0, world: int = 1, shuffle: bool = True
    ) -> None:
        if length < world:
            raise ValueError(f"{length} samples for {world} processes; use fewer processes")
        self.length, self.seed, self.rank, self.world, self.shuffle = length, seed, rank, world, shuffle
        self.batch_size = max(world, min(batch_size, length) // world * world)
        self.epoch, self.start = 0, 0

    def set_position(self, epoch: int, batches_done: int = 0) -> None:
        """Continue at a batch of an epoch."""
        self.epoch, self.start = epoch, batches_done

    def __len__(self) -> int:
        return self.length // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        order = torch.randperm(self.length, generator=generator) if self.shuffle else torch.arange(self.length)
        share = self.batch_size // self.world
        for number in range(self.start, len(self)):
            first = number * self.batch_size + self.rank * share
            yield order[first : first + share].tolist()
