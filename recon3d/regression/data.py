"""What regression trains on: crops with parameters, packed in a folder, or 3DDFA's lists of ready crops.

A packed folder holds `images.npy` (N, R, R, 3) uint8 RGB; `parameters.npy` (N, P) float32 in the continuous convention
of the R × R crops; `info.json` (size S of the inner crop that networks see, numbers of coefficients, face model,
names); and, where there is a 2D annotation, `landmarks.npy` (N, K, 2) in px of the R × R crops, NaN for samples
without. Anything that writes such a folder, or any `RegressionSet`, can be trained on.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from common.errors import DataError
from common.files.arrays import read_npy
from common.files.images import read_image, safe_join
from geometry.schemes import IBUG_68
from morphable.loaders.pickles import read_pickled
from recon3d.regression.params import MATRIX_COLUMNS, MICROMETRES_PER_DM, POSE, Layout, Whitening, scale_matrix

FORMAT = 1
UNWHITENED = 5.0  # median size of labels, which is below 1 when they are whitened
SMALLEST_SCALE = 5.0  # px per dm: a face of 2 dm would be 10 px high
MARGIN = 4 / 3  # side of a packed crop in units of the networks' input


@dataclass(frozen=True)
class RegressionItem:
    """image (3, R, R) uint8 RGB, its parameters (P,) float32, landmarks (68, 2) px, NaN where not annotated."""

    image: Tensor
    parameters: Tensor
    landmarks: Tensor


@dataclass(frozen=True)
class RegressionBatch:
    """images (B, 3, R, R) uint8, parameters (B, P), indices (B,), landmarks (B, 68, 2), NaN where not annotated."""

    images: Tensor
    parameters: Tensor
    indices: Tensor
    landmarks: Tensor

    def to(self, device: torch.device) -> "RegressionBatch":
        """The same batch on a device."""
        tensors = (self.images, self.parameters, self.indices, self.landmarks)
        return RegressionBatch(*(t.to(device, non_blocking=True) for t in tensors))


def collate(items: list[tuple[int, RegressionItem]]) -> RegressionBatch:
    """[(index of the sample in the run, item)] → batch."""
    return RegressionBatch(
        torch.stack([item.image for _, item in items]),
        torch.stack([item.parameters for _, item in items]),
        torch.tensor([index for index, _ in items]),
        torch.stack([item.landmarks for _, item in items]),
    )


class RegressionSet(Dataset):
    """Base of training sets.

    Attributes: parameters (N, P) float32, relative to the R × R images; names; layout; size S and resolution R in px;
        convention of the parameters; landmarks (N, K, 2) px of the R × R images, NaN where not annotated, or None.
    """

    parameters: np.ndarray
    names: list[str]
    layout: Layout
    size: int
    resolution: int
    convention = "continuous"
    landmarks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> RegressionItem:
        image = torch.from_numpy(np.array(self.read_image(index))).permute(2, 0, 1)
        return RegressionItem(image, torch.from_numpy(self.parameters[index]), torch.from_numpy(self._annotated(index)))

    def _annotated(self, index: int) -> np.ndarray:
        if self.landmarks is None or self.landmarks.shape[1] != IBUG_68.num_points:
            return np.full((IBUG_68.num_points, 2), np.nan, dtype=np.float32)
        return self.landmarks[index]

    def read_image(self, index: int) -> np.ndarray:
        """(R, R, 3) uint8 RGB."""
        raise NotImplementedError

    def name(self, index: int) -> str:
        """What reports call a sample; indices past the end are repetitions."""
        return self.names[index % len(self)]

    def inner_parameters(self) -> Tensor:
        """(N, P) parameters relative to the central S × S crop without augmentation: what whitening is computed
        from.
        """
        moved = torch.from_numpy(self.parameters).clone()
        offset = (self.resolution - self.size) // 2
        moved[:, 3] -= offset
        moved[:, 7] -= self.resolution - self.size - offset  # y counts from below
        return moved

    def whitening(self) -> Whitening:
        """Of this set."""
        return Whitening.of(self.inner_parameters())


class PackedCrops(RegressionSet):
    """A packed folder. Raises: DataError naming the file that is missing, damaged or does not fit the others."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        path = self.folder / "info.json"
        try:
            info = json.loads(path.read_text())
            self.size, self.names = int(info["size"]), [str(name) for name in info["names"]]
            self.layout = Layout(int(info["identity"]), int(info["expression"]))
            self.face_model = str(info.get("face_model", ""))
            known = info["format"] == FORMAT
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not the description of packed crops ({error!r}); pack them again.") from None
        if not known:
            raise DataError(f"{path}: of another version; pack the crops again.")
        self.parameters = read_npy(self.folder / "parameters.npy").astype(np.float32)
        self._images = self._map_images()
        self.resolution = self._images.shape[1]
        if self.parameters.shape != (len(self.names), self.layout.size) or len(self._images) != len(self.names):
            raise DataError(
                f"{self.folder}: {len(self._images)} images, {len(self.names)} names and parameters of shape"
                f" {self.parameters.shape}, where {self.layout.size} numbers each are due; pack them again."
            )
        if not np.isfinite(self.parameters).all():
            raise DataError(
                f"{self.folder / 'parameters.npy'}: holds values that are not finite; pack the crops again."
            )
        scale = float(np.median(np.linalg.norm(self.parameters[:, list(MATRIX_COLUMNS)], axis=1))) / np.sqrt(3)
        if not scale > SMALLEST_SCALE:
            raise DataError(
                f"{self.folder / 'parameters.npy'}: its faces have {scale:.3g} px per dm, so they are whitened or count"
                " µm; pack the parameters themselves, in px per dm."
            )
        if (self.folder / "landmarks.npy").is_file():
            self.landmarks = read_npy(self.folder / "landmarks.npy").astype(np.float32)

    def _map_images(self) -> np.ndarray:
        path = self.folder / "images.npy"
        try:
            images = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]}); pack the crops again.") from None
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
            raise DataError(
                f"{path}: holds {images.dtype} {images.shape}, not (N, R, R, 3) uint8; pack the crops again."
            )
        return images

    def read_image(self, index: int) -> np.ndarray:
        return self._images[index]

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k != "_images"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._images = self._map_images()  # a worker maps the file instead of receiving it


class TddfaLists(RegressionSet):
    """3DDFA's training set: `train_aug_120x120.list.{train,val}`, `param_all_norm{,_val}.pkl` and the folder of crops.

    The labels are whitened with V1's `param_whitening.pkl` and count pixels as V1 does, so a model of convention v1
    comes out. The crops are ready and have no margin, so there is nothing to augment them with but colours.
    Args: configs: folder of lists and labels; images: folder of the crops; split: train or val.
    Raises: DataError naming the missing file and its source.
    """

    convention = "v1"
    size = resolution = 120
    source = "https://github.com/cleardusk/3DDFA (train.configs and train_aug_120x120.zip)"

    def __init__(self, configs: Path, images: Path, split: str = "train") -> None:
        if split not in ("train", "val"):
            raise DataError(f"3DDFA's lists have no split '{split}'; choose train or val.")
        self.images = Path(images)
        listed, labels = (
            Path(configs) / f"train_aug_120x120.list.{split}",
            Path(configs) / f"param_all_norm{'_val' if split == 'val' else ''}.pkl",
        )
        for path in (listed, labels, Path(configs) / "param_whitening.pkl", self.images):
            if not path.exists():
                raise DataError(f"3DDFA's training set: {path} is missing; get it from {self.source}.")
        self.names = [line.strip() for line in listed.read_text().splitlines() if line.strip()]
        whitened = np.asarray(read_pickled(labels), dtype=np.float32)
        self.layout = Layout()
        if whitened.shape != (len(self.names), self.layout.size):
            raise DataError(
                f"{labels}: holds {whitened.shape}, not ({len(self.names)}, {self.layout.size}) as {listed.name} lists."
            )
        if not float(np.median(np.abs(whitened))) < UNWHITENED:
            raise DataError(f"{labels}: these labels are not whitened; store (parameters − param_mean) / param_std.")
        fields = read_pickled(Path(configs) / "param_whitening.pkl")
        try:
            mean, std = (np.asarray(fields[name], dtype=np.float32) for name in ("param_mean", "param_std"))
            raw = whitened * std + mean
        except (TypeError, KeyError, ValueError):
            raise DataError(
                f"{Path(configs) / 'param_whitening.pkl'}: has no param_mean and param_std of 62 numbers."
            ) from None
        self.parameters = scale_matrix(torch.from_numpy(raw), MICROMETRES_PER_DM).numpy()

    def read_image(self, index: int) -> np.ndarray:
        image = read_image(safe_join(self.images, self.names[index]))
        if image.shape[:2] != (self.size, self.size):
            raise DataError(f"{self.images / self.names[index]}: {image.shape[1]}×{image.shape[0]} px, not 120×120.")
        return image


class JoinedSets(RegressionSet):
    """Several sets under one index. Raises: DataError when sizes, layouts or conventions differ."""

    def __init__(self, parts: list[RegressionSet]) -> None:
        first = parts[0]
        if len({(p.size, p.resolution, p.layout, p.convention) for p in parts}) > 1:
            raise DataError(
                "the data folders differ in crop size, number of coefficients or convention; train on them apart."
            )
        self.parts, self.size, self.resolution, self.layout = parts, first.size, first.resolution, first.layout
        self.convention = first.convention
        self.names = [name for part in parts for name in part.names]
        self.parameters = np.concatenate([part.parameters for part in parts])
        if any(part.landmarks is not None for part in parts):
            self.landmarks = np.concatenate([_landmarks_of(part) for part in parts])
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def read_image(self, index: int) -> np.ndarray:
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.parts[part].read_image(index - int(self._starts[part]))


def _landmarks_of(part: RegressionSet) -> np.ndarray:
    if part.landmarks is not None and part.landmarks.shape[1] == IBUG_68.num_points:
        return part.landmarks
    return np.full((len(part), IBUG_68.num_points, 2), np.nan, dtype=np.float32)


@dataclass(frozen=True)
class PackedSample:
    """What `pack_crops` takes: image (R, R, 3) uint8, parameters (P,), name, landmarks (K, 2) or None."""

    image: np.ndarray
    parameters: np.ndarray
    name: str
    landmarks: np.ndarray | None = None


def packed_resolution(size: int) -> int:
    """R for an input size S: the even number next to S·4/3."""
    return 2 * round(size * MARGIN / 2)


def pack_crops(
    samples: Iterator[PackedSample],
    count: int,
    folder: Path,
    layout: Layout,
    size: int,
    face_model: str,
    say: Callable[[str], None] | None = None,
) -> PackedCrops:
    """Write a packed folder beside its place and rename it there; an older one is replaced.

    Args: samples, at most count of them; size S of the inner crop; say: where progress goes, None for a bar.
    Raises: DataError when no sample came.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        names, parameters, landmarks, images = [], [], [], None
        resolution = packed_resolution(size)
        images = np.lib.format.open_memmap(temporary / "all.npy", "w+", np.uint8, (count, resolution, resolution, 3))
        for sample in tqdm(samples, total=count, desc=f"packing {folder.name}", disable=say is not None):
            images[len(names)] = sample.image
            names.append(sample.name)
            parameters.append(sample.parameters)
            landmarks.append(sample.landmarks)
        if not names:
            raise DataError(f"{folder}: nothing to pack; check the source.")
        images.flush()
        if len(names) == count:
            (temporary / "all.npy").rename(temporary / "images.npy")
        else:
            np.save(temporary / "images.npy", images[: len(names)])
            (temporary / "all.npy").unlink()
        del images
        np.save(temporary / "parameters.npy", np.stack(parameters).astype(np.float32))
        shape = next((points.shape for points in landmarks if points is not None), None)
        if shape is not None:
            filled = [np.full(shape, np.nan) if points is None else points for points in landmarks]
            np.save(temporary / "landmarks.npy", np.stack(filled).astype(np.float32))
        info = {
            "format": FORMAT,
            "size": size,
            "identity": layout.identity,
            "expression": layout.expression,
            "face_model": face_model,
            "pose": POSE,
            "names": names,
        }
        (temporary / "info.json").write_text(json.dumps(info))
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return PackedCrops(folder)
