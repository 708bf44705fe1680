"""FaceWarper's files: keypoints, depths, affines and pictures in folders; rendering such a folder or the lines of
stdin.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from common.errors import DataError
from common.files.atomic import write_file
from common.files.images import read_image
from common.files.pictures import save_picture
from common.files.points import read_text
from common.logs import console
from depthnet.warping.warper import POINTS, warp_faces

PARTS = ("keypoints", "depth", "affine")
IDENTITY = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])


def write_item(
    root: Path, name: str, keypoints: np.ndarray, depth: np.ndarray, affine: np.ndarray, integer: bool = True
) -> None:
    """keypoints/NAME.txt (68, 2), depth/NAME.txt (68,), affine/NAME.txt (2, 4), each ending with a newline.

    Args: integer: whole pixels, as FaceWarper's example has them; False keeps fractions, which it reads too.
    """
    form = "{:.0f} {:.0f}\n" if integer else "{:.6f} {:.6f}\n"
    rounded = np.trunc(keypoints) if integer else keypoints
    write_file(root / "keypoints" / f"{name}.txt", "".join(form.format(x, y) for x, y in rounded))
    write_file(root / "depth" / f"{name}.txt", "".join(f"{z:f}\n" for z in depth))
    write_file(root / "affine" / f"{name}.txt", "".join(" ".join(f"{v:f}" for v in row) + "\n" for row in affine))


@dataclass(frozen=True)
class Item:
    """What one rendering takes, by path."""

    image: Path
    keypoints: Path
    depth: Path
    affine: Path


def read_numbers(path: Path, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) white-space separated numbers; rows beyond are ignored, as FaceWarper does.

    Raises: DataError naming the file for fewer rows, another column count, or values that are not finite.
    """
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if len(lines) < rows:
        raise DataError(f"{path}: {len(lines)} rows where {rows} are expected.")
    wrong = next((i for i, words in enumerate(lines[:rows], start=1) if len(words) != columns), None)
    if wrong is not None:
        raise DataError(f"{path}:{wrong}: {len(lines[wrong - 1])} columns where {columns} are expected.")
    try:
        values = np.array([[float(word) for word in words] for words in lines[:rows]])
    except ValueError:
        raise DataError(f"{path}: expected numbers separated by spaces.") from None
    if not np.isfinite(values).all():
        raise DataError(f"{path}: a value is not finite; correct or remove the file.")
    return values


def render_item(item: Item, mode: str, identity: bool = False) -> np.ndarray:
    """(H, W, 4) uint8 of one item. Raises: DataError naming the file that cannot be used."""
    image = read_image(item.image)
    keypoints, depth = read_numbers(item.keypoints, POINTS, 2), read_numbers(item.depth, POINTS, 1)[:, 0]
    affine = IDENTITY if identity else read_numbers(item.affine, 2, 4)
    return warp_faces(image[None], keypoints[None], depth[None], affine[None], mode)[0]


def dataset_items(root: Path, image_override: Path | None = None, folder: str = "source") -> list[tuple[str, Item]]:
    """(id, item) of a FaceWarper folder, sorted by id; ids are the files of `folder` without their last extension.

    Raises: DataError when there is none.
    """
    directory = Path(root) / folder
    if not directory.is_dir():
        raise DataError(
            f"{directory}: no such folder; expected FaceWarper's folders source, keypoints, depth and affine."
        )
    names = sorted(path.stem for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    if not names:
        raise DataError(f"{directory}: the folder is empty.")
    items = []
    for name in names:
        image = image_override or Path(root) / "source" / f"{name}.png"
        items.append((name, Item(image, *(Path(root) / part / f"{name}.txt" for part in PARTS))))
    return items


def render_dataset(
    items: list[tuple[str, Item]], results: Path, mode: str, identity: bool = False, start: int = 0
) -> tuple[int, list[str]]:
    """Write results/ID.png of all items from the start-th on; an item that cannot be used is named, skipped and
    counted.

    Returns: number of pictures written, sentences about the others.
    """
    written, failed, began = 0, [], time.monotonic()
    for name, item in items[start:]:
        try:
            save_picture(Path(results) / f"{name}.png", render_item(item, mode, identity))
            written += 1
        except DataError as error:
            failed.append(str(error))
            console().info(f"skipped {name}: {error}")
        if written and written % 1000 == 0:
            console().info(f"{written} faces, {written / (time.monotonic() - began):.0f} per second")
    return written, failed


def serve(lines: Iterable[str], out: TextIO, mode: str = "compat") -> int:
    """FaceWarper's server: lines `image keypoints depth affine result` in, "ready" out at the start and after each.

    Paths hold no spaces and count from the current folder. A line that cannot be used answers "error: …" before
    "ready".
    Returns: number of lines that failed.
    """
    failed = 0
    out.write("ready\n")
    out.flush()
    for line in lines:
        words = line.split()
        if not words:
            continue
        try:
            if len(words) != 5:
                raise DataError(f"{len(words)} words where 5 are expected: image keypoints depth affine result.")
            *paths, result = (Path(word) for word in words)
            save_picture(result, render_item(Item(*paths), mode))
        except (DataError, OSError) as error:
            failed += 1
            out.write(f"error: {error}\n")
        out.write("ready\n")
        out.flush()
    return failed
