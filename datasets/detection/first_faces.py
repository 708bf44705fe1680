"""The first face of every photo of a folder, found once and kept in a file."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files.atomic import write_file
from common.files.images import read_image
from datasets.detection.boxes import Detection, tight_square
from datasets.detection.detect import make_detector

SAVE_EVERY = 200  # photos


class FirstFaces:
    """Photos → boxes of the surest face in each, as tight as those of annotated landmarks.

    Args: detector: its name; folder: where the boxes of earlier runs lie, by path, size and time of the photo;
        make: makes the detector when a photo is new.
    """

    def __init__(
        self,
        detector: str,
        folder: Path,
        make: Callable[[str], Callable[[np.ndarray], list[Detection]]] = make_detector,
    ) -> None:
        self.name, self.file, self.make = detector, Path(folder) / f"{detector.partition(':')[0]}_tight.json", make

    def __call__(self, photos: Sequence[Path]) -> dict[Path, np.ndarray | None]:
        """(4,) left, top, right, bottom of every photo, None where there is no face; photos that cannot be read are
        absent.
        """
        known = self._read()
        keys = {photo: f"{photo.resolve()}:{photo.stat().st_size}:{photo.stat().st_mtime_ns}" for photo in photos}
        new = [photo for photo in photos if keys[photo] not in known]
        detect = self.make(self.name) if new else None
        for number, photo in enumerate(tqdm(new, desc=f"finding faces with {self.name}", disable=not new), start=1):
            try:
                found = detect(read_image(photo))
            except DataError:  # named and counted where crops are cut
                continue
            known[keys[photo]] = np.asarray(tight_square(found[0]), dtype=float).tolist() if found else None
            if number % SAVE_EVERY == 0:
                write_file(self.file, json.dumps(known))
        if new:
            write_file(self.file, json.dumps(known))
        boxes = {photo: known[key] for photo, key in keys.items() if key in known}
        return {photo: None if box is None else np.array(box, dtype=np.float64) for photo, box in boxes.items()}

    def _read(self) -> dict[str, list | None]:
        try:
            return json.loads(self.file.read_text())
        except (OSError, ValueError):  # none yet, or damaged: photos are searched again
            return {}
