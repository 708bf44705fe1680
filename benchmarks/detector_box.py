"""How dlib's boxes lie relative to the square of the landmark rule: the constants of datasets/detection/detect.py.

    python -m benchmarks detector_box                                          # on drawn faces
    python -m benchmarks detector_box --config local_config.ini [--count 400]  # on the training photos of 300-W

Medians in units of the box side, ours on these photos, the reference the constants; their ratio is 1 where they fit.
"""

import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.report import make_parser, note, row, start
from common.config import read_local_config
from common.files.images import read_image
from datasets.crop import crop_from_landmarks
from datasets.detection.detect import DLIB_TO_LANDMARK_SHIFT_Y, DLIB_TO_LANDMARK_SIDE, DlibDetector
from datasets.readers.w300 import W300
from datasets.synthetic.faces import write_dataset


def open_photos(config: Path | None, split: str, count: int, folder: Path) -> W300:
    """300-W of the configuration, without one as many drawn faces below folder."""
    if config is not None:
        return W300(read_local_config(config).dataset("w300"), split, crop_source="lm_ground_truth")
    write_dataset("w300", folder, count)
    return W300(folder, split, crop_source="lm_ground_truth")


def measure(dataset: W300, count: int) -> None:
    """Print side and shift, and how many faces were missed."""
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    detector, rows = DlibDetector(), []
    for index in tqdm(chosen):
        annotation = dataset.annotations[index]
        square = crop_from_landmarks(annotation.landmarks, dataset.scheme, 100)
        centre, side = square.invert(np.array([[50.0, 50.0]]))[0], 100 / square.scale
        middle = annotation.landmarks.mean(axis=0)
        boxes = [detection.box for detection in detector(read_image(annotation.path))]
        hits = [box for box in boxes if (box[:2] < middle).all() and (middle < box[2:]).all()]
        if hits:
            width = hits[0][2] - hits[0][0]
            rows.append([side / width, *((centre - (hits[0][:2] + hits[0][2:]) / 2) / width)])
    if rows:
        low, median, high = np.percentile(np.array(rows), [10, 50, 90], axis=0)
        constants = (DLIB_TO_LANDMARK_SIDE, 0.0, DLIB_TO_LANDMARK_SHIFT_Y)
        for i, name in enumerate(("side", "shift to the right", "shift down")):
            row(f"{name} of the landmark square", median[i], constants[i], "box")
            note(f"10 % below {low[i]:+.3f}, 10 % above {high[i]:+.3f}")
    row("faces missed", 100 * (1 - len(rows) / len(chosen)), unit="%")


def main(arguments: list[str] | None = None) -> None:
    """Print the medians."""
    parser = make_parser(__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--config", type=Path, default=None, help="where w300 is named (default: drawn faces)")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.count = 2
    start(options)
    with tempfile.TemporaryDirectory() as folder:
        measure(open_photos(options.config, "train", options.count, Path(folder)), options.count)


if __name__ == "__main__":
    main()
