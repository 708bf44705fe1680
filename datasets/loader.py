"""From packed crops to raw batches: joining datasets, choosing subsets, collating."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import DataError
from datasets.packing import PackedDataset, PackedItem


@dataclass(frozen=True)
class RawBatch:
    """What a worker ships: images (B, 3, R, R) uint8, landmarks (B, K, 2|3), visibility (B, K) float32, indices
    (B,).
    """

    images: Tensor
    landmarks: Tensor
    visibility: Tensor
    indices: Tensor

    def to(self, device: torch.device) -> "RawBatch":
        """The same batch on a device."""
        tensors = (self.images, self.landmarks, self.visibility, self.indices)
        return RawBatch(*(t.to(device, non_blocking=True) for t in tensors))


def collate(items: list[tuple[int, PackedItem]]) -> RawBatch:
    """[(index of the sample in the run, item)] → RawBatch."""
    return RawBatch(
        torch.stack([item.image for _, item in items]),
        torch.stack([item.landmarks for _, item in items]),
        torch.stack([item.visibility for _, item in items]),
        torch.tensor([index for index, _ in items]),
    )


class FaceSet(Dataset):
    """Rows of one or more packed datasets under one index.

    Args:
        parts: packed datasets of the same crop size.
        rows: for every part the rows to use, in order; None = all.
        with_landmarks: False drops landmarks, so that datasets with different schemes can be joined.
    Raises: DataError when sizes or landmark counts differ.
    """

    def __init__(
        self, parts: list[PackedDataset], rows: list[np.ndarray] | None = None, with_landmarks: bool = True
    ) -> None:
        if len({part.resolution for part in parts}) > 1:
            raise DataError("the datasets were packed at different crop sizes; pack them again with one --input-size.")
        if with_landmarks and len({part.landmarks.shape[1:] for part in parts}) > 1:
            raise DataError("the datasets have different numbers of landmarks; train on them one at a time.")
        self.parts, self.with_landmarks = parts, with_landmarks
        rows = rows or [np.arange(len(part)) for part in parts]
        self.part_of = np.concatenate([np.full(len(r), i) for i, r in enumerate(rows)])
        self.row_of = np.concatenate(rows)

    def __len__(self) -> int:
        return len(self.row_of)

    def __getitem__(self, index: int) -> PackedItem:
        item = self.parts[self.part_of[index]][int(self.row_of[index])]
        if self.with_landmarks:
            return item
        return PackedItem(item.image, torch.zeros(0, 2), torch.zeros(0), item.index)

    def name(self, index: int) -> str:
        """Name of a sample; indices past the end are repetitions."""
        index %= len(self)
        return str(self.parts[self.part_of[index]].names[self.row_of[index]])

    def subset(self, positions: np.ndarray) -> "FaceSet":
        """The chosen positions of this set."""
        chosen = FaceSet(self.parts, with_landmarks=self.with_landmarks)
        chosen.part_of, chosen.row_of = self.part_of[positions], self.row_of[positions]
        return chosen


def choose_rows(length: int, count: int | None, seed: int | None = None, start: int = 0) -> np.ndarray:
    """Rows of a few-shot subset.

    Args: count: how many, None = all.  seed: None takes the first rows in file order after `start` (as 3FabRec does),
        a number draws without replacement.
    Raises: DataError when there are fewer rows than asked for.
    """
    if count is None:
        return np.arange(start, length)
    if count < 1 or count > length - start:
        raise DataError(f"--train-count {count} is not within 1..{length - start}, the samples that the data has.")
    if seed is None:
        return np.arange(start, start + count)
    return start + np.sort(np.random.default_rng(seed).permutation(length - start)[:count])
