"""Datasets by the key that command lines and local_config.ini use."""

from pathlib import Path

from datasets.errors import DataError
from datasets.sample import FaceDataset
from datasets.w300 import W300
from datasets.youtube_faces import YoutubeFaces
from geometry.schemes import get_scheme

DATASETS: dict[str, type[FaceDataset]] = {cls.name: cls for cls in (W300, YoutubeFaces)}


def build_dataset(
    key: str, root: Path, split: str, image_size: int, crop_source: str, align: bool = False, scheme: str | None = None
) -> FaceDataset:
    """Open a dataset. `scheme` is for datasets that do not know their own (folder).

    Raises: DataError for an unknown key, and whatever the dataset raises.
    """
    if key not in DATASETS:
        raise DataError(f"unknown dataset '{key}'; choose one of: {', '.join(DATASETS)}.")
    extra = {"scheme": get_scheme(scheme)} if scheme is not None and key == "folder" else {}
    return DATASETS[key](root, split, image_size, crop_source, align, **extra)
