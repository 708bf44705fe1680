"""How many annotated faces each detector misses, and how long it takes, beside dlib.

    python -m benchmarks detectors                                # on drawn faces
    python -m benchmarks detectors --config local_config.ini [--split train] [--count 2012]   # on the photos of 300-W
        [--faceboxes FaceBoxesProd.pth] [--yunet yunet.onnx]

A face counts as found when a box holds the middle of its landmarks and the two boxes overlap (IoU > 0.3).
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.detector_box import open_photos
from benchmarks.report import make_parser, note, row, start
from common.errors import DataError
from common.files.images import read_image
from datasets.detection.detect import make_detector
from datasets.detection.faceboxes import FaceBoxesDetector
from datasets.readers.w300 import W300
from datasets.sample import landmark_box


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inner = np.prod(np.clip(high - low, 0, None))
    return inner / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner)


def measure(dataset: W300, count: int, detectors: dict) -> None:
    """Print a row of time and one of misses per detector."""
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    missed, seconds = dict.fromkeys(detectors, 0), dict.fromkeys(detectors, 0.0)
    for index in tqdm(chosen):
        annotation = dataset.annotations[index]
        image, wanted = read_image(annotation.path), landmark_box(annotation.landmarks)
        middle = annotation.landmarks[:, :2].mean(axis=0)
        for name, detector in detectors.items():
            started = time.perf_counter()
            boxes = [detection.box for detection in detector(image)]
            seconds[name] += time.perf_counter() - started
            missed[name] += not any(
                (box[:2] < middle).all() and (middle < box[2:]).all() and overlap(box, wanted) > 0.3 for box in boxes
            )
    for name in detectors:
        other = None if name == "dlib" else "dlib"
        row(f"{name}, photo", *(1000 * seconds[n] / len(chosen) for n in (name, other) if n))
        row(f"{name}, faces missed of {len(chosen)}", *(100 * missed[n] / len(chosen) for n in (name, other) if n), unit="%")


def main(arguments: list[str] | None = None) -> None:
    """Print misses and times."""
    parser = make_parser(__doc__)
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--faceboxes", type=Path, default=None)
    parser.add_argument("--yunet", type=Path, default=None)
    parser.add_argument("--config", type=Path, default=None, help="where w300 is named (default: drawn faces)")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.count = 2
    start(options)
    detectors = {"dlib": make_detector("dlib")}
    try:
        detectors["yunet"] = make_detector("yunet", options.yunet)
    except DataError as error:
        note(f"yunet left out: {error}")
    if options.faceboxes is not None:
        detectors["faceboxes"] = FaceBoxesDetector(options.faceboxes)
    with tempfile.TemporaryDirectory() as folder:
        measure(open_photos(options.config, options.split, options.count, Path(folder)), options.count, detectors)


if __name__ == "__main__":
    main()
