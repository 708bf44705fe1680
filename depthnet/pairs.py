"""Training pairs: all faces stay on the device, and every seed draws its own pairs as a function of (seed, epoch)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.readers.threedfaw import Keypoints


class Positions(Dataset):
    """Positions in an epoch's list of pairs; the faces themselves are on the device already."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> None:
        return None


@dataclass(frozen=True)
class PositionBatch:
    """indices: (B,) positions."""

    indices: Tensor


def collate_positions(items: list[tuple[int, None]]) -> PositionBatch:
    """(index, nothing) of every sample → batch."""
    return PositionBatch(torch.tensor([index for index, _ in items]))


@dataclass(frozen=True)
class Pairs:
    """A batch for S seeds: source (S, B, 66, 2), depth (S, B, 66), targets (S, B, T, 66, 2)."""

    source: Tensor
    depth: Tensor
    targets: Tensor


class PairSampler:
    """Two (or 1 + T) independent shuffles of the same faces per epoch and seed, zipped.

    Args: faces; device; seeds; first seed; targets T per source.
    """

    def __init__(self, faces: Keypoints, device: torch.device, seeds: int, seed: int, targets: int = 1) -> None:
        self.points = torch.from_numpy(faces.points).to(device)
        self.depth = torch.from_numpy(faces.depth).to(device)
        self.seeds, self.seed, self.targets = seeds, seed, targets
        self._epoch, self._orders = -1, torch.zeros(0)

    def __len__(self) -> int:
        return len(self.points)

    def orders(self, epoch: int) -> Tensor:
        """(S, 1 + T, N) permutations of an epoch."""
        if epoch != self._epoch:
            rows = []
            for k in range(self.seeds):
                generator = torch.Generator().manual_seed(((self.seed + k) * 1_000_003 + epoch) % 2**63)
                rows.append(
                    torch.stack([torch.randperm(len(self), generator=generator) for _ in range(1 + self.targets)])
                )
            self._orders, self._epoch = torch.stack(rows).to(self.points.device), epoch
        return self._orders

    def __call__(self, epoch: int, positions: Tensor) -> Pairs:
        """The pairs at some positions (B,) of an epoch."""
        chosen = self.orders(epoch)[:, :, positions.to(self.points.device)]
        source, targets = chosen[:, 0], chosen[:, 1:].transpose(1, 2)
        return Pairs(self.points[source], self.depth[source], self.points[targets])
