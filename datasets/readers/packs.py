"""Photos packed in `photos.tar` with labels of any columns and YuNet's five points in `labels.csv` beside it."""

from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.images import read_image
from common.files.tables import read_csv
from common.files.tar import index_tar

# the order of `datasets.alignment`: the person's right eye is on the left of the picture
FIVE = tuple(f"{part}_{axis}" for part in ("reye", "leye", "nose", "rmouth", "lmouth") for axis in "xy")


class PackedPhotos:
    """A folder of labels.csv and photos.tar.

    Attributes: rows, file name → its labels. Points count from 0 at pixel centres.
    Raises: DataError naming the file that is missing or without a needed column.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...] = ()) -> None:
        self.folder = Path(folder)
        table = read_csv(self.folder / "labels.csv", ("file", *FIVE, *columns))
        self.rows = {row["file"]: row for _, row in table}
        self._spans = index_tar(self.folder / "photos.tar")

    def image(self, name: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises: DataError for a photo that is not there."""
        if name not in self._spans:
            raise DataError(f"{self.folder / 'photos.tar'}: holds no {name}, which is asked for.")
        return read_image(self.folder / "photos.tar", self._spans[name])

    def five(self, name: str) -> np.ndarray | None:
        """(5, 2) continuous px; None for a photo that has no labels or in which YuNet found no face."""
        row = self.rows.get(name)
        if row is None or any(not row[column] for column in FIVE):
            return None
        return np.array([float(row[column]) for column in FIVE]).reshape(5, 2) + 0.5
