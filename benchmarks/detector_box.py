"""How dlib's boxes lie relative to the square of the landmark rule: the constants of datasets/detection/detect.py.

    python -m benchmarks detector_box [--count 400] [--config local_config.ini]

Reads the training photos of 300-W, prints the median side and shift in units of the box side, and the miss rate.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.config import read_local_config
from common.files.images import read_image
from datasets.crop import crop_from_landmarks
from datasets.detection.detect import DlibDetector
from datasets.readers.w300 import W300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--config", type=Path, default=None)
    arguments = parser.parse_args()
    dataset = W300(read_local_config(arguments.config).dataset("w300"), "train", crop_source="lm_ground_truth")
    chosen = np.linspace(0, len(dataset) - 1, min(arguments.count, len(dataset))).astype(int)
    detector, rows, missed = DlibDetector(), [], 0
    for index in tqdm(chosen):
        annotation = dataset.annotations[index]
        square = crop_from_landmarks(annotation.landmarks, dataset.scheme, 100)
        centre, side = square.invert(np.array([[50.0, 50.0]]))[0], 100 / square.scale
        middle = annotation.landmarks.mean(axis=0)
        boxes = [detection.box for detection in detector(read_image(annotation.path))]
        hits = [box for box in boxes if (box[:2] < middle).all() and (middle < box[2:]).all()]
        if not hits:
            missed += 1
            continue
        box = hits[0]
        width = box[2] - box[0]
        rows.append([side / width, *((centre - (box[:2] + box[2:]) / 2) / width)])
    low, median, high = np.percentile(np.array(rows), [10, 50, 90], axis=0)
    for name, *values in zip(("side", "shift x", "shift y"), low, median, high, strict=True):
        print(f"{name:8s} median {values[1]:+.3f}   10 % {values[0]:+.3f}   90 % {values[2]:+.3f}   (dlib box sides)")
    print(f"missed {missed} of {len(chosen)} faces")


if __name__ == "__main__":
    main()
