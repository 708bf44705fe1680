"""Where numbers and pictures of a run go: console with time stamps, one CSV per session, TensorBoard, PNG files."""

import csv
import datetime
import logging
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from storage.atomic import replacing


def save_picture(path: Path, image: np.ndarray) -> None:
    """(H, W, 3) uint8 RGB to a file whose suffix says the format; whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)


class TqdmHandler(logging.Handler):
    """Console lines that do not break the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record))


def console() -> logging.Logger:
    """The logger of all scripts: `[YYYY-mm-dd HH:MM:SS] text` on standard output."""
    logger = logging.getLogger("faces")
    if not logger.handlers:
        handler = TqdmHandler()
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


class RunLog:
    """Scalars to TensorBoard and a long-format CSV (epoch, step, phase, name, value), pictures to TensorBoard and PNG.

    Args: folder: <outputs>/logs/<session>; active: only on the first process.
    """

    def __init__(self, folder: Path, active: bool = True) -> None:
        self.folder, self.active = Path(folder), active
        self._writer: SummaryWriter | None = None

    def _board(self) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder))
        return self._writer

    def scalars(self, epoch: int, step: int, phase: str, values: dict[str, float]) -> None:
        """Append one row per value."""
        if not self.active or not values:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "scalars.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["time", "epoch", "step", "phase", "name", "value"])
            now = datetime.datetime.now().isoformat(timespec="seconds")
            for name, value in values.items():
                writer.writerow([now, epoch, step, phase, name, f"{value:.6g}"])
        for name, value in values.items():
            self._board().add_scalar(f"{phase}/{name}", value, step)

    def picture(self, name: str, image: np.ndarray, step: int, path: Path) -> None:
        """(H, W, 3) uint8 RGB to a PNG or JPEG file and to TensorBoard."""
        if not self.active:
            return
        save_picture(path, image)
        self._board().add_image(name, image, step, dataformats="HWC")

    def histogram(self, name: str, values: Tensor, step: int) -> None:
        """All values of a tensor to TensorBoard."""
        if self.active:
            self._board().add_histogram(name, values.detach().float().cpu(), step)

    def close(self) -> None:
        """Flush TensorBoard."""
        if self._writer is not None:
            self._writer.close()
