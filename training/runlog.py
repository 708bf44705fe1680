"""Where numbers and pictures of a training run go: one CSV per session, TensorBoard, PNG files."""

import csv
import datetime
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from common.files.pictures import save_picture


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
