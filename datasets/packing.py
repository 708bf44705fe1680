"""Pack the crops of a dataset once into JPEG shards; training reads only these.

A packed set is a folder: `shard-00000.bin` (JPEGs end to end) and `index.npz` (offsets, landmarks, visibility,
matrices, names). Its name holds a hash of everything that decides its content, so a changed rule never meets a stale
crop.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from common.errors import DataError
from datasets.sample import FaceDataset, Sample
from geometry.schemes import scheme_to_dict

FORMAT = 1
JPEG_QUALITY = 95
SHARD_BYTES = 256 * 2**20
MAX_BAD_FRACTION = 0.01  # training tolerates this share of unreadable photos
MAX_BAD_IN_A_ROW = 20


@dataclass(frozen=True)
class PackedItem:
    """One crop for a batch: image (3, R, R) uint8, landmarks (K, 2 or 3) float32 and visibility (K,), its index."""

    image: torch.Tensor
    landmarks: torch.Tensor
    visibility: torch.Tensor
    index: int


class PackedDataset(Dataset):
    """Reads a packed folder; items come in the order of the dataset that was packed.

    Attributes: landmarks (N, K, 2 or 3) float32 in padded-crop pixels (K = 0 without), visibility (N, K), names (N,),
        matrices (N, 2, 3) photo → padded crop, resolution R, image_size S.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        try:
            with np.load(self.folder / "index.npz", allow_pickle=False) as index:
                self.offsets, self.shards = index["offsets"], index["shards"]
                self.landmarks, self.visibility = index["landmarks"], index["visibility"]
                self.matrices, self.names = index["matrices"], index["names"]
                self.image_size, self.resolution = int(index["image_size"]), int(index["resolution"])
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{self.folder}: not a packed dataset ({error}); delete the folder and pack again."
            ) from None
        self._maps: dict[int, np.memmap] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> PackedItem:
        return PackedItem(
            torch.from_numpy(self.read_image(index)).permute(2, 0, 1),
            torch.from_numpy(self.landmarks[index]),
            torch.from_numpy(self.visibility[index]),
            index,
        )

    def read_image(self, index: int) -> np.ndarray:
        """(R, R, 3) uint8 RGB."""
        shard, (start, end) = int(self.shards[index]), self.offsets[index]
        try:
            if shard not in self._maps:
                self._maps[shard] = np.memmap(self.folder / f"shard-{shard:05d}.bin", dtype=np.uint8, mode="r")
            image = cv2.imdecode(self._maps[shard][start:end], cv2.IMREAD_COLOR)
        except (OSError, ValueError, cv2.error):  # shard missing, empty, or cut before this crop
            image = None
        if image is None:
            raise DataError(
                f"{self.folder}: crop {index} ({self.names[index]}) is damaged; delete the folder and pack again."
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_maps": {}}


def packing_key(dataset: FaceDataset) -> str:
    """Hash of everything that decides the crops: rule, landmark scheme, size, split, annotations, code format."""
    description = {
        "format": FORMAT,
        "dataset": dataset.name,
        "root": str(dataset.root.resolve()),
        "split": dataset.split,
        "size": dataset.image_size,
        "crop": dataset.crop_source,
        "align": dataset.align,
        "extend": [dataset.extend_top, dataset.extend_bottom],
        "quality": JPEG_QUALITY,
        "scheme": None if dataset.scheme is None else scheme_to_dict(dataset.scheme),
    }
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for annotation in dataset.annotations:
        digest.update(f"{annotation.name}\n{annotation.span}\n".encode())
        a = annotation
        for array in (a.landmarks, a.visibility, a.box, a.detector_box, a.crop_landmarks):
            digest.update(b"-" if array is None else np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()[:16]


def pack(dataset: FaceDataset, cache: Path, progress: bool = True) -> PackedDataset:
    """Pack a dataset under `cache` unless it is there already; the folder appears whole or not at all.

    Unreadable photos are skipped, named once and counted.
    Raises: DataError above 1 % of them or 20 in a row.
    """
    target = Path(cache) / f"{dataset.name}-{dataset.split}-{dataset.image_size}-{packing_key(dataset)}"
    if not target.exists():
        try:
            with _published(target) as temporary:
                _write(dataset, temporary, progress)
        except OSError:
            if not target.exists():  # another process may have been quicker
                raise
    return PackedDataset(target)


@contextmanager
def _published(target: Path) -> Iterator[Path]:
    """A folder to fill beside its place, which gets its name when the block ends well and is gone otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _new_folder(folder: Path) -> AbstractContextManager[Path]:
    """As `_published`. Raises: DataError where the folder is there already."""
    if folder.exists():
        raise DataError(f"{folder}: is there already; choose another folder or delete it.")
    return _published(folder)


class SampleReader(Dataset):
    """Samples by index, with the error in place of a sample that cannot be read."""

    def __init__(self, dataset: FaceDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample | DataError:
        try:
            return self.dataset[index]
        except DataError as error:
            return error


def readable_samples(dataset: FaceDataset, progress: bool) -> Iterator[Sample]:
    """All samples but those that cannot be read, which are named once and counted.

    Raises: DataError above 1 % of them or 20 in a row.
    """
    reader = SampleReader(dataset)
    bad = row = 0
    for index in tqdm(range(len(reader)), desc=f"packing {dataset.title}", disable=not progress):
        sample = reader[index]
        if isinstance(sample, DataError):
            bad, row = bad + 1, row + 1
            tqdm.write(f"skipped: {sample}")
            _check_bad(dataset, bad, row)
            continue
        row = 0
        yield sample


def _write(dataset: FaceDataset, folder: Path, progress: bool) -> None:
    if not _write_samples(folder, readable_samples(dataset, progress), dataset.image_size):
        raise DataError(f"{dataset.title}: none of the {len(dataset)} photos of split '{dataset.split}' can be read.")


def write_packed(folder: Path, samples: Iterable[Sample], image_size: int) -> PackedDataset:
    """Pack samples that do not come from a dataset's files; the folder appears whole or not at all.

    Args: image_size: inner side S of the crops in px. Raises: DataError where the folder is there already or nothing
    comes.
    """
    with _new_folder(Path(folder)) as temporary:
        if not _write_samples(temporary, samples, image_size):
            raise DataError(f"{folder}: there is no sample to pack.")
    return PackedDataset(folder)


def _write_samples(folder: Path, samples: Iterable[Sample], image_size: int) -> int:
    """Shards and index of all samples, in order; how many there were."""
    kept: list[Sample] = []
    offsets, shards, shard, position = [], [], 0, 0
    file = (folder / "shard-00000.bin").open("wb")
    try:
        for sample in samples:
            data = encode_jpeg(sample.image)
            if position + len(data) > SHARD_BYTES:
                file.close()
                shard, position = shard + 1, 0
                file = (folder / f"shard-{shard:05d}.bin").open("wb")
            file.write(data)
            offsets.append((position, position + len(data)))
            shards.append(shard)
            position += len(data)
            kept.append(
                Sample(np.empty(0), sample.crop, sample.landmarks, sample.visibility, sample.name, sample.labels)
            )
    finally:
        file.close()
    if kept:
        _write_index(folder, image_size, kept, offsets, shards)
    return len(kept)


def encode_jpeg(image: np.ndarray, quality: int = JPEG_QUALITY) -> bytes:
    """(H, W, 3) uint8 RGB → JPEG."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ].tobytes()


def _check_bad(dataset: FaceDataset, bad: int, in_a_row: int) -> None:
    if in_a_row >= MAX_BAD_IN_A_ROW or bad > max(1.0, MAX_BAD_FRACTION * len(dataset)):
        raise DataError(
            f"{dataset.title}: {bad} of {len(dataset)} photos cannot be read ({in_a_row} in a row), more than 1 %;"
            " repair the dataset before training."
        )


def _write_index(folder: Path, image_size: int, samples: list[Sample], offsets: list, shards: list) -> None:
    shapes = {s.landmarks.shape for s in samples if s.landmarks is not None}
    if len(shapes) > 1:
        raise DataError(f"landmarks of different shapes in one dataset: {sorted(shapes)}; pack them apart.")
    shape = shapes.pop() if shapes else (0, 2)
    landmarks = np.zeros((len(samples), *shape), np.float32)
    visibility = np.zeros((len(samples), shape[0]), np.float32)
    for i, sample in enumerate(samples):
        if sample.landmarks is not None:
            landmarks[i], visibility[i] = sample.landmarks, sample.visibility
    np.savez(
        folder / "index.npz",
        offsets=np.array(offsets, np.int64),
        shards=np.array(shards, np.int32),
        landmarks=landmarks,
        visibility=visibility,
        matrices=np.array([s.crop.matrix for s in samples]),
        names=np.array([s.name for s in samples]),
        image_size=image_size,
        resolution=samples[0].crop.size,
    )


def replace_landmarks(
    packed: PackedDataset, folder: Path, rows: np.ndarray, landmarks: np.ndarray, visibility: np.ndarray
) -> PackedDataset:
    """A packed folder of the same pictures with other landmarks.

    Args: rows: (M,) of the packed set to keep; landmarks (N, K, 2 or 3) and visibility (N, K) for all of its N rows.
    Raises: DataError where the folder is there already.
    """
    with _new_folder(Path(folder)) as temporary:
        for shard in sorted(packed.folder.glob("shard-*.bin")):
            shutil.copy(shard, temporary / shard.name)
        np.savez(
            temporary / "index.npz",
            offsets=packed.offsets[rows],
            shards=packed.shards[rows],
            landmarks=landmarks[rows].astype(np.float32),
            visibility=visibility[rows].astype(np.float32),
            matrices=packed.matrices[rows],
            names=packed.names[rows],
            image_size=packed.image_size,
            resolution=packed.resolution,
        )
    return PackedDataset(folder)
