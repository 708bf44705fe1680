"""Datasets by the key that command lines and local_config.ini use."""

from collections.abc import Callable
from pathlib import Path

from common.errors import DataError
from datasets.readers.affectnet import AffectNet
from datasets.readers.aflw import Aflw
from datasets.readers.boxed import CelebA, Ffhq
from datasets.readers.folder import Folder
from datasets.readers.lp3d import Aflw20003d, Wlp300
from datasets.readers.menpo import Ls3dW, Menpo, Menpo2d
from datasets.readers.palsy import Meei, NeuroFace, Palsy
from datasets.readers.vggface2 import VggFace2
from datasets.readers.w300 import W300
from datasets.readers.wflw import Wflw
from datasets.readers.youtube_faces import YoutubeFaces
from datasets.sample import FaceDataset
from datasets.synthetic.faces import Synthetic, Synthetic3D
from geometry.schemes import LandmarkScheme, get_scheme

_CLASSES = (
    VggFace2,
    AffectNet,
    W300,
    Wflw,
    Aflw,
    Wlp300,
    Aflw20003d,
    Menpo2d,
    Menpo,
    Ls3dW,
    Palsy,
    NeuroFace,
    Meei,
    CelebA,
    Ffhq,
    YoutubeFaces,
    Synthetic,
    Synthetic3D,
    Folder,
)
DATASETS: dict[str, type[FaceDataset]] = {cls.name: cls for cls in _CLASSES}


def _scheme(scheme: str) -> LandmarkScheme:
    try:
        return get_scheme(scheme)
    except ValueError as error:
        raise DataError(f"--scheme: {error}.") from None


def build_dataset(
    key: str,
    root: Path,
    split: str,
    image_size: int,
    crop_source: str,
    align: bool = False,
    scheme: str | None = None,
    faces: Callable[[list[Path]], dict] | None = None,
) -> FaceDataset:
    """Open a dataset. `scheme` and `faces` (boxes of photos without points) are for folders of photos.

    Raises: DataError for an unknown key, and whatever the dataset raises.
    """
    if key not in DATASETS:
        raise DataError(f"unknown dataset '{key}'; choose one of: {', '.join(DATASETS)}.")
    extra = {"scheme": _scheme(scheme)} if scheme is not None and key == "folder" else {}
    if key == "folder":
        extra["faces"] = faces
    return DATASETS[key](root, split, image_size, crop_source, align, **extra)
