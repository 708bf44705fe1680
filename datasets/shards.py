"""Face crops in tar files of the WebDataset format with a small index: for sets that no memory and no disk holds.

A sharded set is a folder, or the same on a server: `faces-000000.tar`, … and `index.json`. A sample is two members of
one name, `.jpg` (the crop) and `.json` (name, landmarks, visibility, matrix), which any WebDataset reader takes. The
index has the size and the SHA-256 of every tar file, and the number of its samples, from which a training computes the
whole order of an epoch (`training.sampling.ShardBatches`).
"""

import dataclasses
import hashlib
import io
import json
import re
import tarfile
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch.utils.data import Dataset

from common.errors import DataError
from common.files.atomic import flush, publish_folder, temporary_name, write_file
from common.files.images import read_image
from common.files.remote import fetch_file, is_url, read_url
from common.files.tables import numbers
from common.files.tar import index_tar
from datasets.packing import PackedItem, encode_jpeg
from datasets.sample import Sample
from geometry.schemes import LandmarkScheme, scheme_from_dict, scheme_to_dict

FORMAT = 1
INDEX = "index.json"
SHARD_BYTES = 64 * 2**20
MAX_INDEX_BYTES = 64 * 2**20
MAX_LABEL_BYTES = 2**20
MAX_SHARDS = 1_000_000
OPEN_SHARDS = 64  # whose members are known at a time
_SAFE_NAME = re.compile(r"[\w-][\w.-]*\.tar")
_SPAN = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Shard:
    """One tar file: its name in the folder, samples, bytes and SHA-256."""

    file: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardIndex:
    """Content of index.json.

    Attributes: shards; image_size, inner side S of the crops; resolution, their side R; points, dims: of the landmarks,
        0 points without; scheme of the landmarks, or None; name of the dataset.
    """

    shards: tuple[Shard, ...]
    image_size: int
    resolution: int
    points: int
    dims: int
    scheme: LandmarkScheme | None
    name: str

    def to_json(self) -> str:
        """Inverse of `read_index`."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content["shards"] = [dataclasses.asdict(shard) for shard in self.shards]
        content["scheme"] = None if self.scheme is None else scheme_to_dict(self.scheme)
        return json.dumps({"format": FORMAT, **content}, indent=1)


def read_index(place: str) -> ShardIndex:
    """The index of a folder or URL, or of some of its files: `…/faces-{000000..000009}.tar`.

    Raises: DataError naming it when it is missing, damaged or of another kind, or does not list the files.
    """
    folder, names = _folder_and_names(place)
    address = f"{folder}/{INDEX}"
    try:
        text = read_url(address, MAX_INDEX_BYTES) if is_url(folder) else Path(address).read_bytes()
        index = _parse(json.loads(text))
    except DataError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{address}: not the index of a sharded set ({error}); pack it again.") from None
    missing = set(names or ()) - {shard.file for shard in index.shards}
    if missing:
        raise DataError(f"{address}: does not list {min(missing)}; correct the pattern.")
    chosen = tuple(shard for shard in index.shards if names is None or shard.file in names)
    return dataclasses.replace(index, shards=chosen)


def _parse(content: dict) -> ShardIndex:
    if content.pop("format") != FORMAT:
        raise ValueError("another format")
    shards = tuple(Shard(**shard) for shard in content.pop("shards"))
    if not shards or not all(_SAFE_NAME.fullmatch(s.file) and s.samples > 0 and s.bytes > 0 for s in shards):
        raise ValueError("a shard without a name of its own, samples or bytes")
    scheme = content.pop("scheme")
    return ShardIndex(shards=shards, scheme=scheme and scheme_from_dict(scheme), **content)


def _folder_and_names(place: str) -> tuple[str, list[str] | None]:
    """Folder or URL, and the files that a pattern names; None for all."""
    if not place.endswith(".tar"):
        return place.rstrip("/"), None
    folder, _, pattern = place.rpartition("/")
    span = _SPAN.search(pattern)
    if span is None:
        return folder or ".", [pattern]
    first, last = int(span[1]), int(span[2])
    if last - first > MAX_SHARDS:
        raise DataError(f"{place}: names more than {MAX_SHARDS:,} files.")
    width = len(span[1])
    return folder or ".", [_SPAN.sub(f"{i:0{width}d}", pattern, count=1) for i in range(first, last + 1)]


def is_sharded(place: str) -> bool:
    """Whether a name means a sharded set: a folder with an index, some of its files, or the same on a server."""
    return is_url(place) or (Path(_folder_and_names(place)[0]) / INDEX).is_file()


def write_shards(
    folder: Path,
    samples: Iterable[Sample],
    image_size: int,
    scheme: LandmarkScheme | None = None,
    name: str = "",
    shard_bytes: int = SHARD_BYTES,
) -> ShardIndex:
    """Write samples in their order; the folder appears whole or not at all.

    Args: image_size: inner side S of the crops in px; shard_bytes: most bytes of a tar file with more than one sample.
    Raises: DataError where the folder is there already, where nothing comes, and for samples of different shapes.
    """
    if folder.exists():
        raise DataError(f"{folder}: is there already; choose another folder or delete it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(folder)
    temporary.mkdir()
    try:
        writer = _Writer(temporary, shard_bytes)
        for sample in samples:
            writer.add(sample)
        index = writer.close(image_size, scheme, name)
        write_file(temporary / INDEX, index.to_json())
        publish_folder(temporary, folder)
    finally:
        _remove(temporary)
    return index


def _remove(folder: Path) -> None:
    for path in folder.glob("*") if folder.is_dir() else ():
        path.unlink()
    if folder.is_dir():
        folder.rmdir()


class _Writer:
    """Fills one tar file after the other."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self.shards: list[Shard] = []
        self.number = 0
        self.shape: tuple | None = None  # (resolution, points, dims)
        self._archive: tarfile.TarFile | None = None
        self._stream: BinaryIO | None = None
        self._samples = 0

    def add(self, sample: Sample) -> None:
        """Append a sample, in a new file where this one is full."""
        points = np.zeros((0, 2)) if sample.landmarks is None else sample.landmarks
        shape = (sample.crop.size, *points.shape)
        if self.shape not in (None, shape):
            raise DataError(f"{sample.name}: crop or landmarks of another shape than before; pack such sets apart.")
        self.shape = shape
        label = {
            "name": sample.name,
            "landmarks": np.asarray(points, float).round(3).tolist(),
            "visibility": [] if sample.visibility is None else np.asarray(sample.visibility, float).tolist(),
            "matrix": np.asarray(sample.crop.matrix, float).tolist(),
        }
        parts = {"jpg": encode_jpeg(sample.image), "json": json.dumps(label).encode()}
        size = sum(1024 + len(content) for content in parts.values())
        if self._archive is not None and self._stream.tell() + size > self.most_bytes:
            self._end_shard()
        if self._archive is None:
            self._stream = (self.folder / f"faces-{len(self.shards):06d}.tar").open("wb")
            self._archive = tarfile.open(fileobj=self._stream, mode="w", format=tarfile.USTAR_FORMAT)
        for suffix, content in parts.items():
            member = tarfile.TarInfo(f"{self.number:09d}.{suffix}")
            member.size = len(content)
            self._archive.addfile(member, io.BytesIO(content))
        self.number, self._samples = self.number + 1, self._samples + 1

    def _end_shard(self) -> None:
        path = Path(self._stream.name)
        self._archive.close()
        self._stream.close()
        flush(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha(file)
        self.shards.append(Shard(path.name, self._samples, path.stat().st_size, digest))
        self._archive, self._samples = None, 0

    def close(self, image_size: int, scheme: LandmarkScheme | None, name: str) -> ShardIndex:
        """End the last file. Raises: DataError when nothing was added."""
        if self._archive is None:
            raise DataError(f"{name or 'the dataset'}: there is no sample to pack.")
        self._end_shard()
        return ShardIndex(tuple(self.shards), image_size, *self.shape, scheme, name)


def _sha(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(2**20):
        digest.update(piece)
    return digest.hexdigest()


class ShardedFaces(Dataset):
    """A sharded set by index, shard after shard; files of a server are fetched when they are first needed, and kept.

    Args: place: as `read_index` takes it; cache: where a server's files are kept; buffer: crops that a training mixes;
        with_landmarks: False drops landmarks, so that any set can train an autoencoder.
    Attributes: index; shard_lengths, samples of every tar file; buffer.
    Raises: DataError as `read_index`.
    """

    def __init__(self, place: str, cache: Path, buffer: int, with_landmarks: bool = True) -> None:
        self.place, self.index, self.buffer = _folder_and_names(place)[0], read_index(place), buffer
        self.cache = cache / hashlib.sha256(self.place.encode()).hexdigest()[:12]
        self.with_landmarks = with_landmarks
        self.shard_lengths = [shard.samples for shard in self.index.shards]
        self._starts = np.concatenate([[0], np.cumsum(self.shard_lengths)])
        self._members: OrderedDict[int, tuple[Path, list]] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> PackedItem:
        """Raises: DataError naming the file and the sample that is damaged."""
        path, image_span, label_span = self._place(index)
        side = self.index.resolution
        image = read_image(path, image_span, max_pixels=side * side)
        if image.shape != (side, side, 3):
            raise DataError(f"{path}: sample {index} is {image.shape[1]}×{image.shape[0]} px, not {side}.")
        if not self.with_landmarks:
            return PackedItem(torch.from_numpy(image).permute(2, 0, 1), torch.zeros(0, 2), torch.zeros(0), index)
        label = self._label(path, index, label_span)
        where = f"{path}: sample {index}"
        points = numbers(label.get("landmarks", []), (self.index.points, self.index.dims), where)
        visibility = numbers(label.get("visibility", []), (self.index.points,), where)
        tensors = (torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(points), torch.from_numpy(visibility))
        return PackedItem(*tensors, index)

    def name(self, index: int) -> str:
        """Name of a sample; indices past the end are repetitions."""
        path, _, span = self._place(index % len(self))
        return str(self._label(path, index, span).get("name", index))

    def _label(self, path: Path, index: int, span: tuple[int, int]) -> dict:
        if span[1] > MAX_LABEL_BYTES:
            raise DataError(f"{path}: the label of sample {index} is larger than {MAX_LABEL_BYTES:,} bytes; refused.")
        try:
            with path.open("rb") as file:
                file.seek(span[0])
                label = json.loads(file.read(span[1]))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: the label of sample {index} cannot be read ({error}).") from None
        if not isinstance(label, dict):
            raise DataError(f"{path}: the label of sample {index} is no JSON object.")
        return label

    def _place(self, index: int) -> tuple[Path, tuple[int, int], tuple[int, int]]:
        """File, and (offset, size) of the picture and of the label of a sample."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        if number not in self._members:
            self._members[number] = self._open(number)
            while len(self._members) > OPEN_SHARDS:
                self._members.popitem(last=False)
        self._members.move_to_end(number)
        path, spans = self._members[number]
        return path, *spans[index - int(self._starts[number])]

    def _open(self, number: int) -> tuple[Path, list]:
        shard = self.index.shards[number]
        if is_url(self.place):
            path = fetch_file(f"{self.place}/{shard.file}", self.cache / shard.file, shard.sha256, shard.bytes)
        else:
            path = Path(self.place) / shard.file
        members = index_tar(path)
        keys = [name.removesuffix(".jpg") for name in members if name.endswith(".jpg")]
        if len(keys) != shard.samples or not all(f"{key}.json" in members for key in keys):
            raise DataError(f"{path}: has not the {shard.samples} samples that {INDEX} lists; pack the set again.")
        return path, [(members[f"{key}.jpg"], members[f"{key}.json"]) for key in keys]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_members": OrderedDict()}
