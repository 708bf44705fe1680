"""Views of photos kept ready: what frozen networks see in each photo under a few fixed augmentations, computed once.

    views = cached_views(frozen, photos, count=4, augmentation, seed, folder, workers)
    faces = views.of(indices, step)                    # one view per sample and step, drawn by seed

Training a graph network behind a frozen R-Net then needs neither pictures nor R-Net: on a CPU these are most of a step.
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from common.checkpoint import MAX_BYTES, read_tensors, save_snapshot
from common.errors import DataError
from datasets.augment import hash_uniform
from recon3d.reconstruction.augment import AlignedAugmentation
from recon3d.reconstruction.data import PreparedPhotos, collate
from recon3d.refinement.frozen import FrozenNetworks, Seen, digest_of
from training.loop import Indexed

BATCH = 32
_STREAM = 37
KIND = "frozen_views"


@dataclass(frozen=True)
class Views:
    """`faces` holds view v of photo i in row v · photos + i; view 0 is the photo as it is."""

    faces: Seen
    photos: int
    seed: int

    def of(self, indices: Tensor, step: int | None) -> Seen:
        """Faces of samples (B,), numbered over all repetitions; each in the view that its number and the step draw, or
        as it is without a step.
        """
        count = len(self.faces.features) // self.photos
        rows = indices % self.photos
        if step is not None:
            drawn = (hash_uniform(self.seed, step, indices, _STREAM, 1)[:, 0] * count).long()
            rows = rows + self.photos * drawn
        return self.faces[rows]


@dataclass(frozen=True)
class ViewBatch:
    """Samples of `views`; indices (B,)."""

    views: Views
    indices: Tensor


class ViewDataset(Dataset):
    """The loop's dataset of views: nothing is read any more."""

    def __init__(self, views: Views) -> None:
        self.views = views

    def __len__(self) -> int:
        return self.views.photos

    def __getitem__(self, index: int) -> None:
        return None

    def collate(self, items: list[tuple[int, None]]) -> ViewBatch:
        """[(index of the sample in the run, nothing)] → batch."""
        return ViewBatch(self.views, torch.tensor([index for index, _ in items]))


def cached_views(
    frozen: FrozenNetworks,
    photos: PreparedPhotos,
    count: int,
    augmentation: AlignedAugmentation,
    seed: int,
    folder: Path,
    accelerator: Accelerator,
    workers: int = 0,
) -> Views:
    """Views of all photos, read from <folder>/views_<digest> where an earlier run has left them. One process computes
    them.

    Raises: DataError when they would not fit one file.
    """
    width = frozen.net.network.features + frozen.net.config.outputs + 2 * 68 + photos.truth_size
    if len(photos) * count * width * 4 > MAX_BYTES:
        raise DataError(f"--views {count}: too many numbers for {len(photos)} photos; use --views 0, which keeps none.")
    place = Path(folder) / f"views_{_digest(frozen, photos, count, augmentation, seed)}"
    with accelerator.main_process_first():
        if not (place / "config.json").is_file():
            tensors = compute_views(frozen, photos, count, augmentation, seed, workers)
            save_snapshot(place, tensors, {"kind": KIND, "photos": len(photos), "views": count})
        tensors = read_tensors(place / "model.safetensors")
    known = tensors.pop("known")[:, None]
    tensors["truths"] = torch.where(known, tensors["truths"], torch.nan)
    return Views(Seen(**tensors).to(accelerator.device), len(photos), seed)


def compute_views(
    frozen: FrozenNetworks,
    photos: PreparedPhotos,
    count: int,
    augmentation: AlignedAugmentation,
    seed: int,
    workers: int = 0,
) -> dict[str, Tensor]:
    """The fields of `Seen` for `Views`, truths with 0 for NaN, and `known` (n,) bool. Every photo is read once."""
    device = frozen.model.mean.device
    loader = DataLoader(Indexed(photos), BATCH, collate_fn=collate, num_workers=workers)
    views: list[list[Seen]] = [[] for _ in range(count)]
    for raw in tqdm(loader, desc="frozen networks", leave=False):
        raw = raw.to(device)
        for view, parts in enumerate(views):
            parts.append(frozen.see(raw, view, augmentation if view else AlignedAugmentation.none(), seed)[0].to("cpu"))
    faces = Seen.joined([part for parts in views for part in parts])
    tensors = {f.name: getattr(faces, f.name) for f in fields(faces)}
    known = torch.isfinite(faces.truths).all(1)
    return {**tensors, "truths": faces.truths.nan_to_num(), "known": known}


def _digest(
    frozen: FrozenNetworks, photos: PreparedPhotos, count: int, augmentation: AlignedAugmentation, seed: int
) -> str:
    """Changes with the networks, the face model, the files and the augmentation."""
    state = hashlib.sha256(repr((digest_of(frozen.net), frozen.model.name, count, augmentation, seed)).encode())
    if frozen.identity is not None:
        state.update(digest_of(frozen.identity).encode())
    for entry in photos.entries:
        files = (entry.image, entry.landmarks, entry.mask, entry.truth)
        state.update(repr([(str(path), path.stat().st_mtime_ns) for path in files if path is not None]).encode())
    return state.hexdigest()[:32]
