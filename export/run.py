"""The phases of an export: which kind of model it is, its module, its file, its precision."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.checkpoint import read_config, resolve_snapshot
from common.config import LocalConfig
from common.errors import CheckpointError, ConfigError, DataError
from common.files.atomic import replacing
from common.files.images import IMAGE_SUFFIXES, read_image
from common.logs import console
from common.pretrained import full_name, verify
from datasets.face import Predictor
from export.landmarks import ExportedLandmarks
from export.module import ExportedModule, write_onnx
from export.precision import quantize, store_in_half
from export.reconstructor import ExportedReconstructor
from export.regressor import ExportedRegressor
from export.settings import ExportSettings
from landmarks.detector import LandmarkDetector
from landmarks.models import load_model
from recon3d.inference.reconstructor import Reconstructor
from recon3d.reconstruction.models import load_reconstructor
from recon3d.reconstruction.models import open_face_model as open_reconstructor_model
from recon3d.regression.face_models import open_face_model
from recon3d.regression.models import fits, load_regressor
from recon3d.regression.regressor import FaceRegressor

DETECTOR = "yunet"
PREDICTORS = {  # that cut the calibration photos, by the kind of config.json
    "aae": LandmarkDetector,
    "landmark_net": LandmarkDetector,
    "regressor": FaceRegressor,
    "reconstructor": Reconstructor,
}


def run(settings: ExportSettings, local: LocalConfig) -> None:
    """Load, write, compare, say so. Raises: DataError, ConfigError, CheckpointError."""
    if len(settings.checkpoint) != 1:
        raise DataError("name one checkpoint to export.")
    name = settings.checkpoint[0]
    out = settings.out or Path(f"{Path(name).stem}.onnx")
    if name == DETECTOR:
        copy_detector(out, settings.dtype)
        return
    if settings.dtype == "int8" and settings.calibration is None:
        raise ConfigError("--dtype int8 needs --calibration: name a folder of photos of faces.")
    kind = kind_of(name, local)
    module = make_module(kind, name, settings, local)
    worst = write_onnx(module, out, finishing(kind, name, module.size, settings))
    size = out.stat().st_size / 2**20
    told = f"within {worst:.1e} px of PyTorch" + ("" if settings.dtype == "fp32" else " before the change of precision")
    console().info(f"wrote {out} ({size:.1f} MiB, {settings.dtype}: {', '.join(module.outputs)}); {told}")


def copy_detector(out: Path, precision: str) -> None:
    """YuNet's bundled file, which is ONNX in int8 already. Raises: ConfigError for another precision."""
    if precision == "fp16":
        raise ConfigError("--dtype fp16: yunet is stored in int8; leave the option out.")
    try:
        with replacing(out) as temporary:
            shutil.copyfile(verify(DETECTOR), temporary)
    except OSError as error:
        raise DataError(f"--out {out}: cannot be written ({error.strerror}); name another file.") from None
    console().info(f"wrote {out}: a copy of the bundled file; docs/export.md has its input and outputs")


def kind_of(name: str, local: LocalConfig) -> str:
    """What a checkpoint holds: a key of PREDICTORS. Raises: CheckpointError for what cannot be exported."""
    if name.endswith((".pth", ".tar", ".pth.tar")):
        return "regressor"
    kind = read_config(resolve_snapshot(full_name(name), local.snapshots)).get("kind")
    if kind not in PREDICTORS:
        raise CheckpointError(
            f"{name}: holds a '{kind}', which is not exported; name a model of landmarks, a regressor, a reconstructor"
            f" or {DETECTOR}."
        )
    return kind


def make_module(kind: str, name: str, settings: ExportSettings, local: LocalConfig) -> ExportedModule:
    """The module of a checkpoint. Raises: CheckpointError, DataError, FaceModelError."""
    if kind == "regressor":
        loaded = load_regressor(name, local.snapshots, settings.whitening)
        face_model = open_face_model(settings.face_model, local, loaded.model)
        fits(loaded.model, face_model, f"face model {face_model.name}")
        return ExportedRegressor(loaded.model, face_model, settings.dense)
    if kind == "reconstructor":
        net = load_reconstructor(name, local.snapshots).net
        source = settings.face_model or net.face_model
        return ExportedReconstructor(net, open_reconstructor_model(source, local, net), settings.dense)
    return ExportedLandmarks(load_model(full_name(name), local.snapshots))


def finishing(kind: str, name: str, size: int, settings: ExportSettings) -> Callable[[Path], None] | None:
    """What brings a written file to the wanted precision; None for fp32. Raises: DataError for photos without faces."""
    if settings.dtype == "fp16":
        return store_in_half
    if settings.dtype == "fp32":
        return None
    predictor = PREDICTORS[kind].from_pretrained(name, device="cpu")
    crops = calibration_crops(predictor, settings.calibration, settings.calibration_count, size)
    return lambda path: quantize(path, crops)


def calibration_crops(predictor: Predictor, folder: Path, count: int, size: int) -> np.ndarray:
    """(N, 3, S, S) uint8 as the network sees the faces of the first photos. Raises: DataError for none."""
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)[:count]
    crops = []
    for path in photos:
        image = read_image(path)
        crops += [face.crop.extract(image) for face in predictor(image) if face.crop.size == size]
    if not crops:
        raise DataError(f"--calibration {folder}: no face in {len(photos)} photos; name a folder of photos of faces.")
    return np.stack(crops).transpose(0, 3, 1, 2)
