"""Photos behind rendered heads."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, read_image

LEAST_SHARE = 0.5  # of a photo's shorter side, the smallest square that is cut out of it


class PhotoBackgrounds:
    """Random squares of the photos below a folder, mirrored half of the time; for `SyntheticFaces`.

    Args: folder with pictures, at any depth. Photos with faces in them put unlabelled faces behind the heads.
    Raises: DataError when it holds none, and when one that is drawn cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        if not Path(folder).is_dir():
            raise DataError(f"--backgrounds {folder}: no such folder; name a folder of photos.")
        self.paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not self.paths:
            raise DataError(f"--backgrounds {folder}: holds no picture; name a folder of photos.")

    def __call__(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """(count, size, size, 3) RGB 0 … 1; the generator decides."""
        draws = torch.rand(count, 5, generator=generator).tolist()
        return torch.from_numpy(np.stack([self._square(size, *row) for row in draws])).float() / 255

    def _square(self, size: int, which: float, share: float, across: float, down: float, mirror: float) -> np.ndarray:
        photo = read_image(self.paths[int(which * len(self.paths))])
        side = max(1, round(min(photo.shape[:2]) * (LEAST_SHARE + (1 - LEAST_SHARE) * share)))
        top, left = (int(draw * (length - side + 1)) for draw, length in zip((down, across), photo.shape, strict=False))
        cut = photo[top : top + side, left : left + side]
        cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
        return cut[:, ::-1].copy() if mirror < 0.5 else cut
