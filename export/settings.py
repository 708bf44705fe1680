"""Settings of an export: one line each."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from export.precision import DTYPES


@dataclass(frozen=True)
class ExportSettings:
    """python -m export."""

    checkpoint: list[str] = option([], "bundled name, session, path or authors' checkpoint", positional=True)
    out: Path | None = option(None, "file to write; default: the model's name with .onnx", group="output")
    dtype: str = option(
        "fp32",
        "fp16: weights in half precision, computed in float32; int8: quantized, faster and less exact",
        choices=DTYPES,
        group="model",
    )
    calibration: Path | None = option(None, "--dtype int8: folder of photos of faces, 50 are enough", group="data")
    calibration_count: int = option(100, "photos of that folder that are used", group="data", minimum=1)
    face_model: str | None = option(
        None, "of regressor and reconstructor; default: the one that it was trained for", group="model"
    )
    whitening: Path | None = option(None, "whitening .pkl of an authors' checkpoint, default: beside it", group="model")
    dense: bool = option(False, "regressor and reconstructor: put out all vertices too", group="output")
