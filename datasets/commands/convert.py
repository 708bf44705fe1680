"""Make ParFace-Net's csv and json files from the datasets' own files.

    python -m datasets.commands.convert 300wlp    --from 300W_LP   [--landmarks points.npz]  # → csv/300wLP_anno_tr.json
    python -m datasets.commands.convert aflw2000  --from AFLW2000  # → csv/aflw2000_3D_anno_vd.json, _yaw.npy
    python -m datasets.commands.convert affectnet --from AffectNet  # → csv/affectnet_annotations.csv
    python -m datasets.commands.convert celeba    --from CelebA    [--detector yunet]  # → csv/celeba_annotations.csv
    python -m datasets.commands.convert ffhq      --from FFHQ  # → csv/ffhq_annotations.csv
    python -m datasets.commands.convert meei      --from MEEI  # → csv/MEEI_annotations.csv
    python -m datasets.commands.convert menpo     --from Menpo  # → *.tar, csv/menpo_*.ljson (menpo2d)

Files go to <from>/csv unless --out says otherwise. MATLAB's 1-based points become 0-based.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files.arrays import read_npy, read_npz
from common.files.atomic import write_file
from common.files.images import IMAGE_SUFFIXES, read_image
from common.files.mat import read_mat_file
from common.files.points import read_text
from common.files.tables import numbers
from common.files.tar import index_tar
from common.scripts import exits_with_user_errors
from datasets.commands.convert_menpo import convert_menpo
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP, make_detector
from datasets.sample import landmark_box

LP_PARTS = ("AFW", "HELEN", "IBUG", "LFPW")
MAX_MAT_BYTES = 16 * 2**20


def read_mat(path: Path, fields: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Named arrays of a .mat file, shapes checked. Raises: DataError naming the file."""
    content = read_mat_file(path, simplify=False, max_bytes=MAX_MAT_BYTES)
    missing = [f for f in fields if f not in content]
    if missing:
        raise DataError(f"{path}: has no '{missing[0]}'.")
    return {f: numbers(np.asarray(content[f]).squeeze(), shape, f"{path}: {f}") for f, shape in fields.items()}


def box_record(points: np.ndarray) -> list[float]:
    """(K, 2) → x, y, w, h of the points' box."""
    left, top, right, bottom = landmark_box(points).tolist()
    return [left, top, right - left, bottom - top]


def convert_aflw2000(source: Path, out: Path) -> list[Path]:
    """pt3d_68 (3 × 68, 1-based, z toward the viewer) and Pose_Para (pitch, yaw, roll in radians) of every photo."""
    records, yaws = [], []
    for path in tqdm(_annotations(source), desc="AFLW2000-3D"):
        content = read_mat(path, {"pt3d_68": (3, 68), "Pose_Para": (7,)})
        points = content["pt3d_68"].T - np.float32([1, 1, 0])
        photo = _photo_of(path)
        records.append(
            {
                "img_paths": f"AFLW2000/{photo.relative_to(source)}",
                "landmarks": points.tolist(),
                "landmarks_2d": points[:, :2].tolist(),
                "bbox": box_record(points),
            }
        )
        yaws.append(float(np.degrees(content["Pose_Para"][1])))
    buffer = io.BytesIO()
    np.save(buffer, np.array(yaws))
    return [
        write_file(out / "aflw2000_3D_anno_vd.json", json.dumps(records).encode()),
        write_file(out / "aflw2000_3D_yaw.npy", buffer.getvalue()),
    ]


def convert_300wlp(source: Path, out: Path, landmarks: Path | None = None) -> list[Path]:
    """Points of every photo: `landmarks/<part>/<photo>_pts.mat` where it is there (pts_3d, pts_2d: 68 × 2, the
    projected 3D points and the visible contour), else pt2d (2 × 68) of its own .mat for both; all 1-based. Depths need
    the morphable model, so they come from an npz where there is one.

    Args: landmarks: npz with `image` (paths below the source folder) and `landmarks` (N, 68, 3; 0-based, z toward the
        viewer). Without it the records have x and y alone, which the depth head's training refuses.
    """
    depths = {} if landmarks is None else _read_npz(landmarks)
    records = []
    for part in LP_PARTS:
        if not (source / part).is_dir():
            continue
        for path in tqdm(_annotations(source / part), desc=part):
            projected, flat = _lp_points(source, part, path)
            name = _photo_of(path).relative_to(source).as_posix()
            if landmarks is not None and name not in depths:
                raise DataError(f"{landmarks}: has no landmarks for {name}; add them, or leave --landmarks out.")
            points = depths.get(name, projected)
            records.append(
                {
                    "img_paths": name,
                    "landmarks": points.tolist(),
                    "landmarks_2d": flat.tolist(),
                    "bbox": box_record(flat),
                }
            )
    if not records:
        raise DataError(f"{source}: holds none of the folders {', '.join(LP_PARTS)} with .mat files.")
    if landmarks is None:
        sys.stderr.write("note: x and y alone; give --landmarks to train a depth head (z needs the 3DMM).\n")
    return [write_file(out / "300wLP_anno_tr.json", json.dumps(records).encode())]


def _lp_points(source: Path, part: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(68, 2) projected 3D points and (68, 2) points of the visible contour, both 0-based."""
    extra = source / "landmarks" / part / f"{path.stem}_pts.mat"
    if extra.exists():
        content = read_mat(extra, {"pts_3d": (68, 2), "pts_2d": (68, 2)})
        return content["pts_3d"] - 1, content["pts_2d"] - 1
    flat = read_mat(path, {"pt2d": (2, 68)})["pt2d"].T - 1
    return flat, flat


def convert_affectnet(source: Path, out: Path) -> list[Path]:
    """Photos of 224 px in `{train_set,val_set}/images` with `annotations/<n>_lnd.npy` (136 numbers); box 0, 0, 223,
    223.
    """
    rows = []
    for part in ("train_set", "val_set"):
        for photo in sorted((source / part / "images").glob("*.jpg")):
            path = source / part / "annotations" / f"{photo.stem}_lnd.npy"
            numbers(read_npy(path).ravel(), (136,), str(path))
            rows.append([str(photo.relative_to(source)), 0, 0, 223, 223, 1.0])
    return [write_boxes(out / "affectnet_annotations.csv", rows, source)]


def convert_celeba(source: Path, out: Path, detector: Callable | None = None) -> list[Path]:
    """Boxes of `list_bbox_celeba.txt` (1-based, for `img_celeba/` photos), or of a detector on any photos."""
    listing = next((p for p in sorted(source.rglob("list_bbox_celeba.txt"))), None)
    if detector is not None or listing is None:
        rows = list(detected_boxes(source, detector or make_detector(DEFAULT_DETECTOR)))
        return [write_boxes(out / "celeba_annotations.csv", rows, source)]
    folder = next((p.parent for p in sorted(source.rglob("000001.jpg"))), source)
    rows = []
    for number, line in enumerate(read_text(listing, 64 * 2**20).splitlines()[2:], start=3):
        values = line.split()
        if len(values) != 5:
            raise DataError(f"{listing}:{number}: expected a name and four numbers.")
        x, y, width, height = numbers(values[1:], (4,), f"{listing}:{number}").tolist()
        rows.append([str((folder / values[0]).relative_to(source)), x - 1, y - 1, x - 1 + width, y - 1 + height, 1.0])
    return [write_boxes(out / "celeba_annotations.csv", rows, source)]


def convert_ffhq(source: Path, out: Path, detector: Callable) -> list[Path]:
    """FFHQ has no boxes of its own: those of a detector on every photo."""
    return [write_boxes(out / "ffhq_annotations.csv", list(detected_boxes(source, detector)), source)]


def convert_meei(source: Path, out: Path, detector: Callable) -> list[Path]:
    """Boxes of a detector on every photo of every tar file; photos without a face get the whole frame."""
    rows = []
    for tar in sorted(source.glob("*.tar")):
        for member, span in tqdm(index_tar(tar).items(), desc=tar.name):
            if Path(member).suffix.lower() in IMAGE_SUFFIXES:
                rows.append([f"{tar.stem}/{member}", *_box(read_image(tar, span), detector)])
    return [write_boxes(out / "MEEI_annotations.csv", rows, source)]


def detected_boxes(source: Path, detector: Callable) -> Iterator[list]:
    """One row per photo; the surest face, else the whole photo with confidence 0."""
    for photo in tqdm(_photos(source), desc="detecting"):
        yield [str(photo.relative_to(source)), *_box(read_image(photo), detector)]


def _box(image: np.ndarray, detector: Callable) -> list[float]:
    found = detector(image)
    if found:
        return [*found[0].box.tolist(), found[0].score]
    return [0, 0, image.shape[1], image.shape[0], 0.0]


def _annotations(folder: Path) -> list[Path]:
    paths = sorted(p for p in folder.glob("*.mat"))
    if not paths:
        raise DataError(f"{folder}: holds no .mat files; give the dataset's own folder with --from.")
    return paths


def _photo_of(path: Path) -> Path:
    photo = path.with_suffix(".jpg")
    if not photo.exists():
        raise DataError(f"{path}: its photo {photo.name} is missing.")
    return photo


def _photos(source: Path) -> list[Path]:
    photos = sorted(p for p in source.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not photos:
        raise DataError(f"{source}: holds no photos.")
    return photos


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    names, points = read_npz(path, ("image", "landmarks"))
    points = numbers(points, (names.size, 68, 3), str(path))
    return dict(zip(map(str, names.ravel()), points, strict=True))


def write_boxes(path: Path, rows: list[list], source: Path) -> Path:
    """Rows image_path, x1, y1, x2, y2, scale. Raises: DataError when there are none."""
    if not rows:
        raise DataError(f"{source}: no photo was found in the expected place.")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_path", "x1", "y1", "x2", "y2", "scale"])
    writer.writerows([name, *(f"{v:.3f}" for v in values)] for name, *values in rows)
    return write_file(path, text.getvalue().encode())


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=("300wlp", "aflw2000", "affectnet", "celeba", "ffhq", "meei", "menpo"))
    parser.add_argument("--from", dest="source", type=Path, required=True, help="the dataset's own folder")
    parser.add_argument("--out", type=Path, default=None, help="default <from>/csv")
    parser.add_argument("--landmarks", type=Path, default=None, help="300wlp: npz with 3D points")
    parser.add_argument(
        "--detector",
        default=None,
        help=f"celeba, ffhq, meei: find boxes with it: {DETECTOR_HELP} [yunet; celeba: its list]",
    )
    options = parser.parse_args(arguments)
    out = options.out or options.source / "csv"
    extra: dict = {"landmarks": options.landmarks} if options.dataset == "300wlp" else {}
    try:
        if options.dataset in ("celeba", "ffhq", "meei"):
            name = options.detector or (None if options.dataset == "celeba" else DEFAULT_DETECTOR)
            extra = {"detector": None if name is None else make_detector(name)}
        if not options.source.is_dir():
            raise DataError(f"--from {options.source}: no such folder.")
        converters = {
            "300wlp": convert_300wlp,
            "aflw2000": convert_aflw2000,
            "affectnet": convert_affectnet,
            "celeba": convert_celeba,
            "ffhq": convert_ffhq,
            "meei": convert_meei,
            "menpo": convert_menpo,
        }
        for path in converters[options.dataset](options.source, out, **extra):
            sys.stdout.write(f"wrote {path}\n")
    except OSError as error:  # the output folder is full or not writable
        sys.stderr.write(f"error: {error.filename or out}: {error.strerror}.\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
