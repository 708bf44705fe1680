"""Prepared photos on disk, in the layouts of the published codes, as samples of one form.

Microsoft's (TF) and GCN_ResNet's folder: `<name>.png` (224²), `lm/<name>.txt` (68 lines x, y with y up),
`lm_bin/<name>.bin` (the same as float64), `mask/<name>.png`; ours, and may be absent: `trans/<name>.txt`, the
alignment, and `truth/<name>.npz`, the coefficients that a rendered face was made from. Deep3DFaceRecon_pytorch:
whole photos with `landmarks/`, `mask/` and lists `datalist/<split>/{images,landmarks,masks}.txt`; faces are aligned
when they are read. Files count pixels from 0 and y from below; samples are continuous with y down.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.arrays import read_npz
from common.files.atomic import write_file
from common.files.images import IMAGE_SUFFIXES, read_image
from common.files.pictures import save_picture
from common.files.points import read_rows
from datasets.alignment import SIZE_PX, Alignment, align, five_of_68

LISTS = ("images", "landmarks", "masks")
LAYOUTS = ("tf", "pt")


@dataclass(frozen=True)
class PreparedSample:
    """image (224, 224, 3) uint8 RGB; landmarks (68, 2) continuous crop px; mask (224, 224) uint8 skin probability ·
    255;
    truth: identity (Ki,) and expression (Ke,) of a rendered face in one row, None for photos."""

    image: np.ndarray
    landmarks: np.ndarray
    mask: np.ndarray
    truth: np.ndarray | None = None


@dataclass(frozen=True)
class PreparedEntry:
    """Files of one sample; aligned: the image is a crop already; truth: None where nothing is known."""

    image: Path
    landmarks: Path
    mask: Path
    aligned: bool
    truth: Path | None = None


def find_entries(source: Path, split: str = "train") -> list[PreparedEntry]:
    """Samples of a TF folder, a PT data root (with datalist/), or one of its lists of masks or images.

    Raises: DataError naming what is missing or disagrees.
    """
    source = Path(source)
    if source.is_file():
        return _from_lists(source.parent, Path.cwd())
    if (source / "datalist" / split).is_dir():
        return _from_lists(source / "datalist" / split, source)
    if not (source / "lm").is_dir() and not (source / "lm_bin").is_dir():
        raise DataError(
            f"{source}: holds neither lm/ nor datalist/{split}/; make it with python -m recon3d.reconstruction.prepare"
            " --img_path <photos> --save_path <folder>."
        )
    images = sorted(source.glob("*.png"))
    if not images:
        raise DataError(f"{source}: holds no .png; prepare the photos again.")
    truths = {path.stem: path for path in (source / "truth").glob("*.npz")}
    return [
        PreparedEntry(p, _landmark_file(source, p.stem), _existing(source / "mask" / p.name), True, truths.get(p.stem))
        for p in images
    ]


def _landmark_file(folder: Path, stem: str) -> Path:
    """lm/<stem>.txt, or the binary where only that is there."""
    text, binary = folder / "lm" / f"{stem}.txt", folder / "lm_bin" / f"{stem}.bin"
    return binary if binary.is_file() and not text.is_file() else _existing(text)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path}: missing, though its photo is there; prepare the photos again.")
    return path


def _from_lists(folder: Path, root: Path) -> list[PreparedEntry]:
    """All three columns are read; nothing is derived from a path by replacing words in it."""
    columns = {}
    for name in LISTS:
        path = folder / f"{name}.txt"
        try:
            columns[name] = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); the lists are {', '.join(LISTS)}.txt."
            ) from None
    counts = {name: len(lines) for name, lines in columns.items()}
    if len(set(counts.values())) > 1 or not counts["images"]:
        raise DataError(f"{folder}: the lists disagree ({', '.join(f'{n}: {c}' for n, c in counts.items())} lines).")

    def place(text: str) -> Path:
        path = Path(text)
        return _existing(path if path.is_absolute() or path.is_file() else root / path)

    return [PreparedEntry(*(place(text) for text in row), False) for row in zip(*columns.values(), strict=True)]


def read_sample(entry: PreparedEntry, reference: np.ndarray) -> PreparedSample:
    """One sample; whole photos are aligned by the five points of their 68 to the reference (5, 3). Raises:
    DataError.
    """
    image, mask = read_image(entry.image), read_image(entry.mask)[..., 0]
    landmarks = read_landmarks(entry.landmarks, image.shape[0])
    if mask.shape != image.shape[:2]:
        raise DataError(
            f"{entry.mask}: {mask.shape[1]}×{mask.shape[0]} px, its photo {image.shape[1]}×{image.shape[0]}."
        )
    if not mask.any():
        raise DataError(f"{entry.mask}: marks nothing as skin, so its photo cannot teach colours; leave the photo out.")
    if not entry.aligned:
        crop = align(five_of_68(landmarks), reference, str(entry.landmarks)).crop()
        image, landmarks = crop.extract(image), crop.apply(landmarks)
        mask = crop.extract(np.repeat(mask[..., None], 3, 2))[..., 0]
    elif image.shape[:2] != (SIZE_PX, SIZE_PX):
        raise DataError(
            f"{entry.image}: {image.shape[1]}×{image.shape[0]} px, not {SIZE_PX}×{SIZE_PX}; prepare it again."
        )
    truth = None if entry.truth is None else read_truth(entry.truth)
    return PreparedSample(image, landmarks.astype(np.float32), mask, truth)


def read_truth(path: Path) -> np.ndarray:
    """(Ki + Ke,) identity and expression. Raises: DataError naming the file."""
    try:
        identity, expression = read_npz(path, ("identity", "expression"))
    except DataError as error:
        raise DataError(f"{error} Please render the faces again.") from None
    if (
        identity.ndim != 1
        or expression.ndim != 1
        or not (np.isfinite(identity).all() and np.isfinite(expression).all())
    ):
        raise DataError(f"{path}: holds no finite rows identity and expression; render the faces again.")
    return np.concatenate([identity, expression]).astype(np.float32)


def read_landmarks(path: Path, height: int) -> np.ndarray:
    """(68, 2) continuous px, y down, of a text file or Microsoft's binary. Raises: DataError naming the file."""
    if path.suffix == ".bin":
        values = np.frombuffer(path.read_bytes(), "<f8") if path.stat().st_size == 136 * 8 else np.zeros(0)
        rows = values.reshape(-1, 2)
    else:
        rows = read_rows(path)
    if rows.shape != (68, 2) or not np.isfinite(rows).all():
        raise DataError(f"{path}: {len(rows)} landmarks; 68 finite ones are needed.")
    return from_index_up(rows, height)


def from_index_up(points: np.ndarray, height: int) -> np.ndarray:
    """(..., 2) counted from 0 at pixel centres with y up → continuous with y down."""
    return np.stack([points[..., 0] + 0.5, height - 0.5 - points[..., 1]], axis=-1)


def to_index_up(points: np.ndarray, height: int) -> np.ndarray:
    """Inverse of `from_index_up`."""
    return np.stack([points[..., 0] - 0.5, height - 0.5 - points[..., 1]], axis=-1)


def write_truth(folder: Path, name: str, identity: np.ndarray, expression: np.ndarray) -> None:
    """The coefficients of a rendered face; written before its `write_tf`."""
    stored = io.BytesIO()
    np.savez(stored, identity=identity, expression=expression)
    write_file(folder / "truth" / f"{name}.npz", stored.getvalue())


def write_tf(folder: Path, name: str, sample: PreparedSample, trans_params: np.ndarray) -> None:
    """One sample in Microsoft's layout, with the alignment beside it. The picture comes last: it says that all is
    there.
    """
    rows = to_index_up(sample.landmarks.astype(np.float64), SIZE_PX)
    write_file(folder / "lm" / f"{name}.txt", _rows_text(rows))
    write_file(folder / "lm_bin" / f"{name}.bin", np.ascontiguousarray(rows, dtype="<f8").tobytes())
    write_file(folder / "trans" / f"{name}.txt", " ".join(f"{value:.10g}" for value in trans_params) + "\n")
    save_picture(folder / "mask" / f"{name}.png", np.repeat(sample.mask[..., None], 3, axis=2))
    save_picture(folder / f"{name}.png", sample.image)


def write_pt(
    folder: Path, name: str, photo: np.ndarray, five: np.ndarray, landmarks: np.ndarray, mask: np.ndarray
) -> None:
    """One whole photo in the layout of Deep3DFaceRecon_pytorch; `write_lists` follows once at the end."""
    write_file(folder / "detections" / f"{name}.txt", _rows_text(five - 0.5))
    write_file(folder / "landmarks" / f"{name}.txt", _rows_text(to_index_up(landmarks, photo.shape[0])))
    save_picture(folder / "mask" / f"{name}.png", np.repeat(mask[..., None], 3, axis=2))
    save_picture(folder / f"{name}.png", photo)


def write_lists(folder: Path, split: str) -> int:
    """`datalist/<split>/` of all photos of a PT folder, with paths relative to it; how many."""
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    columns = {
        "images": names,
        "landmarks": [f"landmarks/{Path(n).stem}.txt" for n in names],
        "masks": [f"mask/{n}" for n in names],
    }
    for column, lines in columns.items():
        write_file(folder / "datalist" / split / f"{column}.txt", "".join(f"{line}\n" for line in lines))
    return len(names)


def _rows_text(rows: np.ndarray) -> str:
    return "".join(f"{x:.6f} {y:.6f}\n" for x, y in rows)


def read_alignment(folder: Path, name: str) -> Alignment | None:
    """How a sample of a TF folder was cut out of its photo; None where that was not kept. Raises: DataError."""
    path = Path(folder) / "trans" / f"{name}.txt"
    if not path.is_file():
        return None
    try:
        values = np.array([float(word) for word in path.read_text().split()])
    except ValueError:
        values = np.zeros(0)
    if len(values) != 5 or not np.isfinite(values).all():
        raise DataError(f"{path}: not the five numbers of an alignment; prepare the photo again.")
    return Alignment.from_trans_params(values)
