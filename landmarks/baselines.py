"""What an autoencoder must be better than: the mean face, and as many principal components of training photos as z is
long.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.augment import BatchTransform
from datasets.loader import FaceSet, RawBatch, collate
from metrics.images import pixel_error, ssim

BYTES = 800e6  # of the pictures that components are computed of
BATCH = 64


@dataclass(frozen=True)
class LinearFaces:
    """Mean (D,) and orthonormal components (C, D) of pictures with values in 0 … 1; number of photos that they come
    from.
    """

    mean: Tensor
    components: Tensor
    photos: int

    def reconstructions(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S) → the same for each baseline by its name, in 0 … 1."""
        mean = self.mean.to(images.device)
        components = self.components.to(images.device)
        codes = (images.flatten(1) - mean) @ components.T
        rebuilt = mean + codes @ components
        return {
            "mean": mean.expand(len(images), -1).view_as(images),
            "pca": rebuilt.view_as(images).clamp(0, 1),
        }

    def scores(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """l_rec_<name> (0–255) and ssim_<name> of each baseline, means over batches of (B, 3, S, S) in 0 … 1."""
        sums, count = defaultdict(float), 0
        for images in batches:
            for name, output in self.reconstructions(images).items():
                sums[f"l_rec_{name}"] += float(pixel_error(output, images).sum())
                sums[f"ssim_{name}"] += float(ssim(output, images).sum())
            count += len(images)
        return {name: total / count for name, total in sums.items()}


def fit_linear_faces(pictures: Tensor, components: int) -> LinearFaces:
    """The first principal components of pictures (N, D), through the N × N matrix of their products; fewer where N is
    small.
    """
    mean = pictures.mean(dim=0)
    centred = pictures - mean
    values, vectors = torch.linalg.eigh((centred @ centred.T).double())
    count = min(components, int((values > 1e-6 * values[-1].clamp_min(1e-12)).sum()))
    chosen = (
        (vectors[:, -count:] / values[-count:].sqrt()).flip(1).to(pictures.dtype) if count else vectors[:, :0].float()
    )
    return LinearFaces(mean, chosen.T @ centred, len(pictures))


def linear_faces_of(faces: FaceSet, size: int, components: int, seed: int = 0) -> LinearFaces:
    """Of a training set's centre crops (size × size): all of them, or a random part that fits in 0.8 GB."""
    count = min(len(faces), max(components + 1, int(BYTES / (4 * 3 * size**2))))
    rows = torch.randperm(len(faces), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    transform = BatchTransform(size, None)
    pictures = torch.empty(count, 3 * size**2)
    for first, raw in zip(range(0, count, BATCH), _batches(faces, rows), strict=True):
        images = transform(raw.images, raw.landmarks, raw.visibility, raw.indices).images
        pictures[first : first + BATCH] = images.flatten(1)
    return fit_linear_faces(pictures, components)


def _batches(faces: FaceSet, rows: Tensor) -> Iterator[RawBatch]:
    for part in rows.split(BATCH):
        yield collate([(int(row), faces[int(row)]) for row in part])
