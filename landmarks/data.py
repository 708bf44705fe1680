"""From settings to batches: which datasets, packed where, which rows, which augmentation."""

import shutil
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from common.config import LocalConfig
from common.errors import ConfigError
from common.logs import console
from common.runtime import is_main_process
from datasets.augment import Augmentation, BatchTransform
from datasets.detection.first_faces import FirstFaces
from datasets.loader import FaceSet, choose_rows, collate
from datasets.packing import PackedDataset, pack
from datasets.registry import DATASETS, build_dataset
from datasets.sample import FaceDataset
from datasets.shards import ShardedFaces, is_sharded
from geometry.schemes import LandmarkScheme, generic_scheme
from landmarks.settings import FaceSettings
from networks.blocks import PIXEL_MEAN
from training.loop import Indexed


def open_dataset(key: str, split: str, settings: FaceSettings, local: LocalConfig) -> FaceDataset:
    """One dataset by its key (`key` or `key:split`) at its place in local_config.ini, or a folder of photos by its
    path.
    """
    s = settings
    return locate_dataset(key, split, local, s.input_size, s.crop_source, s.align, s.scheme, s.detector)


def locate_dataset(
    key: str,
    split: str,
    local: LocalConfig,
    image_size: int,
    crop_source: str,
    align: bool,
    scheme: str | None,
    detector: str = "none",
) -> FaceDataset:
    """As `open_dataset`, with everything spelt out; detector of a folder's photos without points, none = whole
    photos.
    """
    key, _, own_split = key.partition(":")
    root = local.dataset(key)
    if key not in DATASETS and Path(key).is_dir():
        key, root = "folder", Path(key)
    faces = None if detector == "none" else FirstFaces(detector, local.cache("folder") / "faces")
    return build_dataset(key, root, own_split or split, image_size, crop_source, align, scheme, faces)


def open_packed(dataset: FaceDataset, settings: FaceSettings, local: LocalConfig) -> PackedDataset:
    """The packed crops of a dataset, made when they are not there (or always with --use-cache 0)."""
    cache: Path = local.cache(dataset.name)
    if not settings.use_cache and is_main_process():
        for old in cache.glob(f"{dataset.name}-{dataset.split}-{dataset.image_size}-*"):
            shutil.rmtree(old)
    if is_main_process():
        console().info(str(dataset))
    return pack(dataset, cache, progress=is_main_process())


def held_out_split(key: str) -> str:
    """The split that a dataset is validated on where none is named: val, test or (of test sets only, as in 300-W)
    full.
    """
    splits = DATASETS[key if key in DATASETS else "folder"].splits
    return next((split for split in ("val", "test", "full") if split in splits), splits[0])


def training_set(
    keys: list[str], split: str, settings: FaceSettings, local: LocalConfig, with_landmarks: bool
) -> tuple[FaceSet, LandmarkScheme | None, list[str]]:
    """All training datasets, their few-shot rows chosen; with the scheme and the datasets' names."""
    refuse_sharded(keys, "this training")
    packed, scheme, names = open_all(keys, split, settings, local)
    rows = [choose_rows(len(p), settings.train_count, settings.train_seed, settings.train_start) for p in packed]
    faces = FaceSet(packed, rows, with_landmarks)
    if settings.train_count_multi is not None:
        faces = faces.subset(choose_rows(len(faces), settings.train_count_multi, settings.seed))
    return faces, scheme, names


def streamed_set(
    keys: list[str], settings: FaceSettings, local: LocalConfig, with_landmarks: bool
) -> tuple[ShardedFaces, LandmarkScheme | None, list[str]] | None:
    """A sharded set in the place of the training datasets; None where no key names one.

    Raises: ConfigError for more than one set, other crops than --input-size, or options that choose rows.
    """
    sharded = [key for key in keys if is_sharded(key)]
    if not sharded:
        return None
    if len(keys) > 1:
        raise ConfigError(f"{sharded[0]}: a sharded set is trained on alone; pack all data into one.")
    if settings.train_count is not None or settings.train_count_multi is not None or settings.train_start:
        raise ConfigError(f"{keys[0]}: rows are not chosen from a sharded set; leave --train-count and such out.")
    faces = ShardedFaces(keys[0], local.data / "shards", settings.shuffle_buffer, with_landmarks)
    if faces.index.image_size != settings.input_size:
        raise ConfigError(f"{keys[0]}: has crops for --input-size {faces.index.image_size}; give that, or pack again.")
    if with_landmarks and not faces.index.points:
        raise ConfigError(f"{keys[0]}: has no landmarks; pack a set with them.")
    if is_main_process():
        shards = faces.index.shards
        console().info(f"{keys[0]}: {len(faces):,} crops in {len(shards)} tar files")
    scheme = faces.index.scheme or (generic_scheme(faces.index.points) if faces.index.points else None)
    return faces, scheme, [faces.index.name]


def open_all(
    keys: list[str], split: str | None, settings: FaceSettings, local: LocalConfig
) -> tuple[list[PackedDataset], LandmarkScheme | None, list[str]]:
    """The packed crops of datasets, or folders that hold packed crops already; the scheme of the first; all names.

    Points of packed crops are told by their number.
    """
    packed, scheme, names = [], None, []
    for key in keys:
        if (Path(key) / "index.npz").is_file():
            packed.append(PackedDataset(Path(key)))
            count = packed[-1].landmarks.shape[1]
            scheme = scheme or (generic_scheme(count) if count else None)
            names.append(Path(key).name)
        else:
            dataset = open_dataset(key, split or held_out_split(key), settings, local)
            packed.append(open_packed(dataset, settings, local))
            scheme = scheme or dataset.scheme
            names.append(f"{dataset.name}/{dataset.split}")
    return packed, scheme, names


def validation_set(
    keys: list[str], split: str | None, settings: FaceSettings, local: LocalConfig, with_landmarks: bool
) -> tuple[FaceSet, LandmarkScheme | None]:
    """All validation datasets, at most --val-count rows of each; split None = each one's held-out one."""
    refuse_sharded(keys, "validation")
    packed, scheme, _ = open_all(keys, split, settings, local)
    rows = [np.arange(len(p) if settings.val_count is None else min(len(p), settings.val_count)) for p in packed]
    return FaceSet(packed, rows, with_landmarks), scheme


def refuse_sharded(keys: list[str], what: str) -> None:
    """Raises: ConfigError for a sharded set where one cannot be used."""
    sharded = next((key for key in keys if is_sharded(key)), None)
    if sharded is not None:
        raise ConfigError(
            f"{sharded}: {what} needs a dataset or packed crops, not a sharded set; name such (--dataset-val)."
        )


def crop_extension(keys: list[str], crop_source: str) -> tuple[float, float] | None:
    """How far crops by boxes reach beyond the box, up and down in its heights; None for crops by landmarks.

    The first of the datasets decides; folders of photos and of packed crops know no extension.
    """
    if not crop_source.startswith("bb_"):
        return None
    known = [DATASETS[name] for name in (key.partition(":")[0] for key in keys) if name in DATASETS]
    return (known[0].extend_top, known[0].extend_bottom) if known else None


def mean_shape(faces: FaceSet) -> np.ndarray:
    """(K, 2) mean landmarks of a training set in crop sides, invisible points left out: what a network must be better
    than.
    """
    sums, counts = 0.0, 0.0
    for number, part in enumerate(faces.parts):
        rows = faces.row_of[faces.part_of == number]
        points = (part.landmarks[rows][..., :2] - (part.resolution - part.image_size) // 2) / part.image_size
        seen = part.visibility[rows][..., None] > 0
        sums, counts = sums + np.where(seen, points, 0).sum(axis=0), counts + seen.sum(axis=0)
    return sums / np.maximum(counts, 1)


def validation_loader(faces: FaceSet, settings: FaceSettings) -> DataLoader:
    """All rows in order, nothing dropped."""
    numbered = Indexed(faces)
    return DataLoader(numbered, batch_size=settings.batch_size_eval, collate_fn=collate, num_workers=settings.workers)


def training_transform(settings: FaceSettings, normalize: bool, scheme: LandmarkScheme | None) -> BatchTransform:
    """Augmentation as the settings say."""
    augmentation = Augmentation(settings.daug, **settings.degradation())
    permutation = None if scheme is None else scheme.flip_permutation
    return BatchTransform(
        settings.input_size, PIXEL_MEAN if normalize else None, permutation, augmentation, settings.seed
    )
