"""Write pictures; the one place that does."""

from pathlib import Path

import numpy as np
from PIL import Image

from common.files.atomic import replacing


def save_picture(path: Path, image: np.ndarray) -> Path:
    """(H, W), (H, W, 3) or (H, W, 4) uint8, or (H, W) uint16, to a file whose suffix says the format; whole or not at
    all. Returns: the path.
    """
    path = Path(path)
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format=Image.registered_extensions()[path.suffix.lower()])
    return path
