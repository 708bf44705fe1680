"""How the boxes of a detector lie relative to the squares that networks see: the table of datasets/detection/boxes.py.

    python -m benchmarks detector_box                                          # on drawn faces
    python -m benchmarks detector_box --config local_config.ini [--count 500]  # on the training photos of 300-W
        [--detectors landmarks yunet dlib faceboxes:FaceBoxesProd.pth]

Medians in units of √(width · height) of the box, ours on these photos, the reference the table; the ratio of sides is 1
where they fit. `landmarks` stands for tight boxes around the annotated points.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.report import make_parser, note, row, start
from common.config import read_local_config
from common.errors import DataError
from common.files.images import read_image
from datasets.crop import crop_from_landmarks
from datasets.detection.boxes import BOX_RULES, Detection, box_overlap
from datasets.detection.detect import make_detector
from datasets.readers.w300 import W300
from datasets.sample import Annotation, landmark_box
from datasets.synthetic.faces import write_dataset

OVERLAP = 0.3  # with the box of the landmarks, from which a box is the annotated face
TARGETS = ("square of the landmark rule", "square around the landmarks")


def open_photos(config: Path | None, split: str, count: int, folder: Path) -> W300:
    """300-W of the configuration, without one as many drawn faces below folder."""
    if config is not None:
        return W300(read_local_config(config).dataset("w300"), split, crop_source="lm_ground_truth")
    write_dataset("w300", folder, count)
    return W300(folder, split, crop_source="lm_ground_truth")


def squares(annotation: Annotation, dataset: W300) -> np.ndarray:
    """(2, 3) centre x, centre y and side of TARGETS, photo px."""
    crop, tight = crop_from_landmarks(annotation.landmarks, dataset.scheme, 1), landmark_box(annotation.landmarks)
    centre = crop.invert(np.array([[0.5, 0.5]]))[0]
    return np.array([[*centre, 1 / crop.scale], [*(tight[:2] + tight[2:]) / 2, (tight[2:] - tight[:2]).max()]])


def measure(kind: str, detect: Callable[[np.ndarray], list[Detection]] | None, dataset: W300, count: int) -> None:
    """Print side and shift of both squares for one kind of boxes; detect: None for the tight boxes themselves."""
    rows = []
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    for index in tqdm(chosen):
        annotation = dataset.annotations[index]
        box = tight = landmark_box(annotation.landmarks)
        if detect is not None:
            found = [face.box for face in detect(read_image(annotation.path))]
            box = max(found, key=lambda box: box_overlap(box, tight), default=None)
        if box is not None and box_overlap(box, tight) > OVERLAP:
            middle, unit = (box[:2] + box[2:]) / 2, np.prod(box[2:] - box[:2]) ** 0.5
            rows.append((squares(annotation, dataset) - [*middle, 0]) / unit)
    note(f"{kind}: {len(rows)} of {len(chosen)} faces")
    if not rows:
        return
    low, median, high = np.percentile(np.array(rows), [10, 50, 90], axis=0)
    for target, rule in enumerate(BOX_RULES[kind]):
        row(f"{kind}: {TARGETS[target]}, side", median[target, 2], rule.side, "box")
        note(f"10 % below {low[target, 2]:.3f}, 10 % above {high[target, 2]:.3f}")
        for column, reference, name in ((1, rule.down, "down"), (0, 0.0, "to the right")):
            middle, ends = median[target, column], (low[target, column], high[target, column])
            note(
                f"shift {name} {middle:+.3f} (table {reference:+.3f}), 10 % below {ends[0]:+.3f}, 10 % above"
                f" {ends[1]:+.3f}"
            )


def main(arguments: list[str] | None = None) -> None:
    """Print the medians."""
    parser = make_parser(__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--detectors", nargs="+", default=["landmarks", "yunet"])
    parser.add_argument("--config", type=Path, default=None, help="where w300 is named (default: drawn faces)")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.count = 2
    start(options)
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_photos(options.config, "train", options.count, Path(folder))
        for name in options.detectors:
            try:
                detect = None if name == "landmarks" else make_detector(name)
            except DataError as error:
                note(f"{name} left out: {error}")
                continue
            measure(name.partition(":")[0], detect, dataset, options.count)


if __name__ == "__main__":
    main()
