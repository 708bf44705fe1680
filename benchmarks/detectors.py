"""How many annotated faces each detector misses, and how long it takes, beside the default.

    python -m benchmarks detectors                                # on drawn faces
    python -m benchmarks detectors --config local_config.ini [--split train] [--count 2012]   # on the photos of 300-W
        [--detectors yunet dlib faceboxes:FaceBoxesProd.pth] [--missed]
    python -m benchmarks detectors --packs FOLDER [--count 500]   # FOLDER/*/labels.csv beside photos.tar
    python -m benchmarks detectors --turned [--config local_config.ini]   # also turned by ±90°

A face counts as found when a box overlaps that of its landmarks (IoU > 0.4). A pack's labels.csv has the column `file`
and, where a face is annotated, either five points (p_leftimg_eye_x, …) or the box face_x, face_y, face_w, face_h; a
photo without them counts as found with any face.
"""

import argparse
import csv
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.detector_box import open_photos
from benchmarks.report import make_parser, note, row, start
from common.errors import DataError
from common.files.images import read_image
from datasets.alignment import crop_of_five
from datasets.detection.boxes import BOX_RULES, box_overlap
from datasets.detection.detect import DEFAULT_DETECTOR, DetectFaces, make_detector
from datasets.readers.w300 import W300
from datasets.sample import landmark_box

OVERLAP = 0.4
FIVE = ("leftimg_eye", "rightimg_eye", "nose", "leftimg_mouth", "rightimg_mouth")
Photos = Iterator[tuple[str, np.ndarray, np.ndarray | None]]  # name, (H, W, 3) uint8, box (4,) or None


def photos_of(dataset: W300, count: int, quarters: int = 0) -> Photos:
    """Up to count photos of a dataset, evenly spread, turned by quarters of a turn to the left (0, 1 or 3)."""
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        annotation = dataset.annotations[index]
        image, points = read_image(annotation.path), annotation.landmarks[:, :2]
        height, width = image.shape[:2]
        if quarters == 1:
            points = np.stack([points[:, 1], width - points[:, 0]], axis=1)
        elif quarters == 3:
            points = np.stack([height - points[:, 1], points[:, 0]], axis=1)
        yield annotation.name, np.ascontiguousarray(np.rot90(image, quarters)), landmark_box(points)


def photos_of_pack(folder: Path, count: int) -> Photos:
    """Up to count photos of labels.csv and photos.tar, evenly spread. Raises: DataError for a photo that is not
    there.
    """
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with tarfile.open(folder / "photos.tar") as tar:
        members = {Path(member.name).name: member for member in tar if member.isfile()}
        for index in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int):
            name = rows[index]["file"]
            member = members.get(Path(name).name)
            if member is None:
                raise DataError(f"{folder}/photos.tar: holds no {name}, which labels.csv names.")
            yield name, read_image(folder / "photos.tar", (member.offset_data, member.size)), _box_of_row(rows[index])


def _box_of_row(values: dict[str, str]) -> np.ndarray | None:
    if values.get("p_nose_x"):
        crop = crop_of_five(np.array([[float(values[f"p_{name}_{axis}"]) for axis in "xy"] for name in FIVE]))
        rule, side = BOX_RULES["landmarks"].landmark_rule, crop[2] - crop[0]
        half = side / rule.side / 2
        centre = (crop[:2] + crop[2:]) / 2 - [0, 2 * half * rule.down]
        return np.concatenate([centre - half, centre + half])
    if not values.get("face_w"):
        return None
    x, y, width, height = (float(values[f"face_{name}"]) for name in "xywh")
    return np.array([x, y, x + width, y + height])


def measure(title: str, photos: Photos, detectors: dict[str, DetectFaces], name_missed: bool) -> None:
    """Print a row of time and one of misses per detector."""
    missed: dict[str, list[str]] = {name: [] for name in detectors}
    seconds, count = dict.fromkeys(detectors, 0.0), 0
    for label, image, wanted in tqdm(photos, desc=title):
        count += 1
        for name, detector in detectors.items():
            started = time.perf_counter()
            boxes = [detection.box for detection in detector(image)]
            seconds[name] += time.perf_counter() - started
            if not any(wanted is None or box_overlap(box, wanted) > OVERLAP for box in boxes):
                missed[name].append(label)
    first = next(iter(detectors))
    for name in detectors:
        pair = (name,) if name == first else (name, first)
        row(f"{title}, {name}, photo", *(1000 * seconds[n] / count for n in pair))
        row(f"{title}, {name}, faces missed of {count}", *(100 * len(missed[n]) / count for n in pair), unit="%")
        if name_missed and missed[name]:
            note(f"missed: {', '.join(missed[name])}")


def open_detectors(names: list[str]) -> dict[str, DetectFaces]:
    """Those that are installed, by name."""
    found = {}
    for name in names:
        try:
            found[name.partition(":")[0]] = make_detector(name)
        except DataError as error:
            note(f"{name} left out: {error}")
    return found


def run(options: argparse.Namespace) -> None:
    """Packs or 300-W, with the options' detectors."""
    detectors = open_detectors(options.detectors)
    if options.packs is not None:
        for labels in sorted(options.packs.glob("*/labels.csv")):
            measure(labels.parent.name, photos_of_pack(labels.parent, options.count), detectors, options.missed)
        return
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_photos(options.config, options.split, options.count, Path(folder))
        for quarters, turn in ((1, "left"), (3, "right")) if options.turned else ((0, ""),):
            title = f"w300 {options.split}" + f", turned {turn}" * bool(turn)
            measure(title, photos_of(dataset, options.count, quarters), detectors, options.missed)


def main(arguments: list[str] | None = None) -> None:
    """Print misses and times."""
    parser = make_parser(__doc__)
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=200, help="photos of every set (default: %(default)s)")
    parser.add_argument("--detectors", nargs="+", default=[DEFAULT_DETECTOR])
    parser.add_argument("--packs", type=Path, default=None, help="folder of packs, instead of 300-W")
    parser.add_argument("--turned", action="store_true", help="turn the photos by ±90°")
    parser.add_argument("--missed", action="store_true", help="name the files whose face is missed")
    parser.add_argument("--config", type=Path, default=None, help="where w300 is named (default: drawn faces)")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.count = 2
    start(options)
    run(options)


if __name__ == "__main__":
    main()
