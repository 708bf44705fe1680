"""What R-Net trains on: prepared photos of any layout, one batch for network, renderer and every loss term."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.errors import DataError
from datasets.weak_layouts import WeakEntry, find_entries, read_sample


@dataclass(frozen=True)
class WeakItem:
    """image (3, S, S) uint8 RGB; landmarks (68, 2) px; mask (1, S, S) uint8 skin probability · 255."""

    image: Tensor
    landmarks: Tensor
    mask: Tensor


@dataclass(frozen=True)
class WeakBatch:
    """The same, stacked; indices (B,)."""

    images: Tensor
    landmarks: Tensor
    masks: Tensor
    indices: Tensor

    def to(self, device: torch.device) -> "WeakBatch":
        """The same batch on a device."""
        parts = (self.images, self.landmarks, self.masks, self.indices)
        return WeakBatch(*(t.to(device, non_blocking=True) for t in parts))


def collate(items: list[tuple[int, WeakItem]]) -> WeakBatch:
    """[(index of the sample in the run, item)] → batch."""
    return WeakBatch(
        torch.stack([item.image for _, item in items]),
        torch.stack([item.landmarks for _, item in items]),
        torch.stack([item.mask for _, item in items]),
        torch.tensor([index for index, _ in items]),
    )


class PreparedPhotos(Dataset):
    """Samples of one or more folders or lists (`datasets.weak_layouts`), in their order.

    Args: reference (5, 3) of the face model, which whole photos are aligned to; count: only the first samples.
    Raises: DataError naming what is missing, and in training the file that is damaged.
    """

    def __init__(self, sources: list[Path], reference: np.ndarray, split: str = "train", count: int | None = None) -> None:
        self.entries: list[WeakEntry] = [entry for source in sources for entry in find_entries(source, split)]
        if count is not None and not 0 < count <= len(self.entries):
            raise DataError(f"{count} samples asked for, but {', '.join(map(str, sources))} hold {len(self.entries)}.")
        self.entries = self.entries[:count]
        self.reference = reference

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> WeakItem:
        sample = read_sample(self.entries[index], self.reference)
        image = torch.from_numpy(np.ascontiguousarray(sample.image)).permute(2, 0, 1)
        return WeakItem(image, torch.from_numpy(sample.landmarks), torch.from_numpy(sample.mask)[None])

    def name(self, index: int) -> str:
        """What reports call a sample; indices past the end are repetitions."""
        return self.entries[index % len(self)].image.name
