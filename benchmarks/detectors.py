"""How many annotated faces of 300-W each detector misses, and how long it takes.

    python -m benchmarks detectors [--split train] [--count 2012] [--faceboxes FaceBoxesProd.pth] [--yunet yunet.onnx]

A face counts as found when a box holds the middle of its landmarks and the two boxes overlap (IoU > 0.3).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.config import read_local_config
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=2012)
    parser.add_argument("--faceboxes", type=Path, default=None)
    parser.add_argument("--yunet", type=Path, default=None)
    parser.add_argument("--config", type=Path, default=None)
    arguments = parser.parse_args()
    dataset = W300(read_local_config(arguments.config).dataset("w300"), arguments.split)
    chosen = np.linspace(0, len(dataset) - 1, min(arguments.count, len(dataset))).astype(int)
    detectors = {"dlib": make_detector("dlib")}
    try:
        detectors["yunet"] = make_detector("yunet", arguments.yunet)
    except DataError as error:
        print(f"yunet left out: {error}")
    if arguments.faceboxes is not None:
        detectors["faceboxes"] = FaceBoxesDetector(arguments.faceboxes)
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
        share, each = 100 * missed[name] / len(chosen), 1000 * seconds[name] / len(chosen)
        print(f"{name:10s} missed {missed[name]:4d} of {len(chosen)} ({share:.2f} %)   {each:.1f} ms per photo")


if __name__ == "__main__":
    main()
