"""3DFAW: 66 keypoints with depth, in the organisers' layout or as prepared .npz files.

    python -m datasets.readers.threedfaw data/3DFAW --out data/packed/3DFAW

train_img/<id>.jpg and train_lm/<id>_lm.csv (66 lines "x,y,z" in pixels), valid_img and valid_lm the same,
list_valid_test.txt with lines "id,valid" or "id,test,left|center|right". Writes train.npz, valid.npz and test.npz with
`y_keypts` (N, 66, 2): x over the photo's width and y over its height, `z_keypts` (N, 66): z over the mean of both,
`ids`, and in test.npz `orientations`. Only the headers of the photos are read. A file that cannot be used is named,
skipped and counted.
"""

import argparse
import io
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.errors import DataError
from common.files.arrays import read_npz
from common.files.atomic import write_file
from common.files.images import image_size, safe_join
from common.files.points import read_text
from common.scripts import exits_with_user_errors
from geometry.face_template import yaw_deg

POINTS, POSES = 66, ("left", "center", "right")
SPLITS = ("train", "valid", "test")
LIST_FILE = "list_valid_test.txt"
PER_POSE = 75  # test faces of each pose
FULL_SPREAD = 1e-3  # smallest over largest spread of keypoints below which they lie on one line
MAX_BAD_SHARE = 0.01  # of the files of a split


@dataclass(frozen=True)
class Keypoints:
    """Faces of one split.

    Attributes:
        points: (N, 66, 2) float32, x / width, y / height.  depth: (N, 66) float32, z / mean side, smaller is nearer.
        ids: (N,) names.  poses: (N,) of "left", "center", "right", empty strings outside the test split.
        skipped: sentences about files that could not be used.
    """

    points: np.ndarray
    depth: np.ndarray
    ids: np.ndarray
    poses: np.ndarray
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: slice | np.ndarray) -> "Keypoints":
        return Keypoints(self.points[chosen], self.depth[chosen], self.ids[chosen], self.poses[chosen], self.skipped)


def read_keypoints(
    path: Path, separator: str = ",", columns: tuple[int, ...] = (2, 3), rows: int | None = None
) -> np.ndarray:
    """A text file with one keypoint per line → (K, 2 or 3) float64 as written.

    Args: separator: between numbers, " " for any white space; columns: allowed numbers of them; rows: of keypoints,
    None = any.
    Raises: DataError with file and line for another separator, row or column count, or a value that is not finite.
    """
    path = Path(path)
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    values: list[list[float]] = []
    split = None if separator.isspace() else separator
    for number, line in enumerate(lines, start=1):
        words = line.strip().split(split)
        try:
            row = [float(word) for word in words]
        except ValueError:
            hint = "; give the right separator (--kpt-file-separator)" if len(words) == 1 else ""
            found = line.strip()[:40]
            raise DataError(f"{path}:{number}: '{found}' is not numbers separated by '{separator}'{hint}.") from None
        if len(row) not in columns or (values and len(row) != len(values[0])):
            wanted = len(values[0]) if values else " or ".join(map(str, columns))
            missing = "; the depth is missing" if columns == (3,) and len(row) == 2 else ""
            raise DataError(f"{path}:{number}: {len(row)} columns where {wanted} are expected{missing}.")
        if not np.isfinite(row).all() or max(map(abs, row)) > 1e9:
            raise DataError(f"{path}:{number}: '{line.strip()[:40]}' is not finite; correct or remove the file.")
        values.append(row)
    if rows is not None and len(values) != rows:
        raise DataError(f"{path}: {len(values)} rows where {rows} keypoints are expected.")
    if not values:
        raise DataError(f"{path}: holds no keypoints.")
    return np.array(values)


def check_spread(points: np.ndarray, where: object) -> None:
    """Raises: DataError when keypoints (K, 2) lie on one line or one point, so that no depth can be told from them."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if not spread[1] > FULL_SPREAD * spread[0]:
        raise DataError(f"{where}: the keypoints lie on one line; correct or remove the file.")


def normalise(keypoints: np.ndarray, width: float, height: float) -> np.ndarray:
    """(K, 2 or 3) pixels → x / width, y / height, z / mean of both."""
    return keypoints / np.array([width, height, (width + height) / 2])[: keypoints.shape[1]]


def read_face(root: Path, part: str, name: str) -> np.ndarray:
    """(66, 3) normalised keypoints of one face. part: train or valid. Raises: DataError naming the file."""
    path = safe_join(root / f"{part}_lm", f"{name}_lm.csv")
    points = read_keypoints(path, ",", (3,), POINTS)
    check_spread(points[:, :2], path)
    photo = safe_join(root / f"{part}_img", f"{name}.jpg")
    width, height = image_size(photo)
    inside = (
        (points[:, 0] > -width) & (points[:, 0] < 2 * width) & (points[:, 1] > -height) & (points[:, 1] < 2 * height)
    )
    if not inside.all():
        raise DataError(
            f"{path}: keypoints lie far outside {photo.name} of {width}×{height} px; they do not belong together."
        )
    return normalise(points, width, height)


def read_list(path: Path) -> list[tuple[str, str, str]]:
    """(id, "valid" or "test", pose or "") of list_valid_test.txt. Raises: DataError with file and line."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = [word.strip() for word in line.split(",")]
        if words == [""]:
            continue
        valid = len(words) == 2 and words[1] == "valid"
        test = len(words) == 3 and words[1] == "test" and words[2] in POSES
        if not valid and not test:
            wanted = "'id,valid' or 'id,test,left|center|right'"
            raise DataError(f"{path}:{number}: expected {wanted}, found '{line.strip()[:60]}'.")
        rows.append((words[0], words[1], words[2] if len(words) == 3 else ""))
    return rows


def read_split(root: Path, split: str) -> Keypoints:
    """One split of the organisers' layout.

    Without list_valid_test.txt the test poses are our own: of the validation faces the 75 with yaw nearest 0 and the 75
    on each side within 20 … 45 degrees (fewer where there are fewer), by a fit of the template.
    Raises: DataError for a missing or empty folder, and when more than 1 % of the files are bad.
    """
    root = Path(root)
    part = "train" if split == "train" else "valid"
    folder = root / f"{part}_lm"
    if not folder.is_dir():
        raise DataError(f"3DFAW not found: {folder} is no folder; set its key in local_config.ini or give --dataset.")
    listed = root / LIST_FILE
    if split == "train" or not listed.is_file():
        names = [(p.name.removesuffix("_lm.csv"), "", "") for p in sorted(folder.glob("*_lm.csv"))]
    else:
        names = [row for row in read_list(listed) if row[1] == split]
    if not names:
        raise DataError(f"{folder}: holds no *_lm.csv of the split '{split}'.")
    faces, kept, skipped = [], [], []
    for row in tqdm(names, desc=f"3DFAW {split}", leave=False, disable=len(names) < 1000):
        try:
            faces.append(read_face(root, part, row[0]))
            kept.append(row)
        except DataError as error:
            skipped.append(str(error))
    if len(skipped) > max(1, MAX_BAD_SHARE * len(names)) or not faces:
        raise DataError(f"{folder}: {len(skipped)} of {len(names)} files cannot be used, the first: {skipped[0]}")
    stacked = np.stack(faces).astype(np.float32)
    found = Keypoints(
        stacked[..., :2],
        stacked[..., 2],
        np.array([row[0] for row in kept]),
        np.array([row[2] for row in kept], dtype="U6"),
        tuple(skipped),
    )
    return found if split == "train" or listed.is_file() else own_split(found, split)


def own_split(faces: Keypoints, split: str) -> Keypoints:
    """Validation faces without a list → those of our test poses, or the others."""
    yaw = yaw_deg(torch.from_numpy(faces.points).double()).numpy()
    poses = np.full(len(faces), "", dtype="U6")
    sides = {"left": (yaw >= -45) & (yaw <= -20), "right": (yaw >= 20) & (yaw <= 45)}
    poses[np.argsort(np.abs(yaw), kind="stable")[:PER_POSE]] = "center"
    for name, mask in sides.items():
        poses[np.flatnonzero(mask & (poses == ""))[:PER_POSE]] = name
    chosen = (poses != "") == (split == "test")
    return Keypoints(faces.points[chosen], faces.depth[chosen], faces.ids[chosen], poses[chosen], faces.skipped)


def prepare(root: Path, out: Path) -> dict[str, Keypoints]:
    """Read all splits and write <out>/<split>.npz."""
    splits = {split: read_split(root, split) for split in SPLITS}
    for split, faces in splits.items():
        arrays = {"y_keypts": faces.points, "z_keypts": faces.depth, "ids": faces.ids}
        if split == "test":
            arrays["orientations"] = faces.poses
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_file(Path(out) / f"{split}.npz", buffer.getvalue())
    return splits


def load_split(root: Path, cache: Path, split: str) -> Keypoints:
    """A split from <cache>/<split>.npz (or from root, where prepared files lie there), prepared first when older than
    root.

    Raises: DataError for bad files, arrays of another shape and values that are not finite.
    """
    root, cache = Path(root), Path(cache)
    if (root / f"{split}.npz").is_file():
        return read_prepared(root / f"{split}.npz")
    sources = [root / name for name in ("train_lm", "valid_lm", LIST_FILE)]
    newest = max((p.stat().st_mtime for p in sources if p.exists()), default=float("inf"))
    path = cache / f"{split}.npz"
    if not path.is_file() or path.stat().st_mtime < newest:
        for name, faces in prepare(root, cache).items():
            for sentence in faces.skipped:
                warnings.warn(f"{name}: skipped {sentence}", stacklevel=2)
    return read_prepared(path)


def read_prepared(path: Path) -> Keypoints:
    """One prepared .npz. Raises: DataError naming the file."""
    points, depth = read_npz(path, ("y_keypts", "z_keypts"))
    if points.ndim != 3 or points.shape[1:] != (POINTS, 2) or depth.shape != points.shape[:2] or not len(points):
        shapes = f"{points.shape} and {depth.shape}"
        raise DataError(
            f"{path}: y_keypts and z_keypts of shapes {shapes} are not (N, 66, 2) and (N, 66); prepare it anew."
        )
    if not (np.isfinite(points).all() and np.isfinite(depth).all()):
        raise DataError(f"{path}: a keypoint is not finite; prepare it anew.")
    with np.load(path, allow_pickle=False) as content:
        there = set(content.files)
    ids = read_npz(path, ("ids",))[0] if "ids" in there else np.array([str(i) for i in range(len(points))])
    poses = read_npz(path, ("orientations",))[0] if "orientations" in there else np.full(len(points), "", dtype="U6")
    if len(ids) != len(points) or len(poses) != len(points):
        raise DataError(
            f"{path}: {len(points)} faces but {len(ids)} ids and {len(poses)} orientations; prepare it anew."
        )
    return Keypoints(points.astype(np.float32), depth.astype(np.float32), ids.astype(str), poses.astype(str))


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="3DFAW's folder")
    parser.add_argument("--out", type=Path, default=Path("data/packed/3DFAW"))
    options = parser.parse_args(arguments)
    splits = prepare(options.root, options.out)
    for split, faces in splits.items():
        sys.stdout.write(
            f"{split}: {len(faces)} faces, {len(faces.skipped)} files skipped, {options.out / split}.npz\n"
        )
        for sentence in faces.skipped:
            sys.stdout.write(f"  skipped {sentence}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
