"""What R-Net trains on: prepared photos of any layout, one batch for network, renderer and every loss term."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import DataError
from datasets.readers.prepared import PreparedEntry, find_entries, read_sample
from morphable.model import FaceModel


@dataclass(frozen=True)
class PhotoItem:
    """image (3, S, S) uint8 RGB; landmarks (68, 2) px; mask (1, S, S) uint8 skin probability · 255; truth (Ki + Ke,)
    identity and expression of a rendered face, NaN for photos."""

    image: Tensor
    landmarks: Tensor
    mask: Tensor
    truth: Tensor


@dataclass(frozen=True)
class PhotoBatch:
    """The same, stacked; indices (B,)."""

    images: Tensor
    landmarks: Tensor
    masks: Tensor
    indices: Tensor
    truths: Tensor

    def to(self, device: torch.device) -> "PhotoBatch":
        """The same batch on a device."""
        parts = (self.images, self.landmarks, self.masks, self.indices, self.truths)
        return PhotoBatch(*(t.to(device, non_blocking=True) for t in parts))


def collate(items: list[tuple[int, PhotoItem]]) -> PhotoBatch:
    """[(index of the sample in the run, item)] → batch."""
    return PhotoBatch(
        torch.stack([item.image for _, item in items]),
        torch.stack([item.landmarks for _, item in items]),
        torch.stack([item.mask for _, item in items]),
        torch.tensor([index for index, _ in items]),
        torch.stack([item.truth for _, item in items]),
    )


class PreparedPhotos(Dataset):
    """Samples of one or more folders or lists (`datasets.readers.prepared`), in their order.

    Args: model whose five points whole photos are aligned to, and whose coefficients truths are; count: only the first
    samples.
    Raises: DataError naming what is missing, and in training the file that is damaged.
    """

    def __init__(self, sources: list[Path], model: FaceModel, split: str = "train", count: int | None = None) -> None:
        self.entries: list[PreparedEntry] = [entry for source in sources for entry in find_entries(source, split)]
        if count is not None and not 0 < count <= len(self.entries):
            raise DataError(f"{count} samples asked for, but {', '.join(map(str, sources))} hold {len(self.entries)}.")
        self.entries = self.entries[:count]
        self.reference = model.five_points.double().cpu().numpy()
        self.truth_size, self.model_name = sum(model.sizes[:2]), model.name

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def supervised(self) -> bool:
        """Whether the true shape of any sample is known."""
        return any(entry.truth is not None for entry in self.entries)

    def __getitem__(self, index: int) -> PhotoItem:
        sample = read_sample(self.entries[index], self.reference)
        image = torch.from_numpy(np.ascontiguousarray(sample.image)).permute(2, 0, 1)
        truth = torch.full((self.truth_size,), torch.nan) if sample.truth is None else torch.from_numpy(sample.truth)
        if len(truth) != self.truth_size:
            raise DataError(
                f"{self.entries[index].truth}: {len(truth)} coefficients, face model {self.model_name} has"
                f" {self.truth_size};"
                " these faces were rendered from another model."
            )
        return PhotoItem(image, torch.from_numpy(sample.landmarks), torch.from_numpy(sample.mask)[None], truth)

    def name(self, index: int) -> str:
        """What reports call a sample; indices past the end are repetitions."""
        return self.entries[index % len(self)].image.name


def true_shapes(model: FaceModel, truths: Tensor, mirrored: Tensor) -> Tensor:
    """Coefficients (B, Ki + Ke), (B,) bool → (B, V, 3) unposed; rows of NaN where truths are NaN, or a face is mirrored
    and the model does not know its symmetry.
    """
    shapes = model.shape(*truths.split(model.sizes[:2], 1))
    if model.symmetry is None:
        other = torch.full_like(shapes, torch.nan)
    else:
        other = shapes[:, model.symmetry] * shapes.new_tensor([-1.0, 1.0, 1.0])
    return torch.where(mirrored[:, None, None], other, shapes)
