"""Write a regressor with its decoding as ONNX: crops in, parameters, landmarks and (with --dense) all vertices out.

    python -m recon3d.regression.export mb05_120x120.pth --face-model 3ddfa:train.configs --out mb05.onnx
    python -m recon3d.regression.export my_session --dense --out mine.onnx

Input `crops` (B, 3, S, S) uint8 RGB. Outputs `parameters` (B, P), `landmarks` (B, 68, 3), `head_landmarks` (B, K, 2)
where the network has that head, `vertices` (B, V, 3) with --dense: crop px as the model's convention counts them,
decoded ones y up. The file is compared with PyTorch before it appears.
"""

import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from common.config import LocalConfig, option
from common.errors import DataError
from common.logs import console
from common.scripts import run_script
from morphable.model import FaceModel
from recon3d.regression.decode import FaceDecoder
from recon3d.regression.face_models import SCHEME, open_face_model
from recon3d.regression.models import ParameterRegressor, fits, load_regressor, normalise

OPSET = 17
TOLERANCE_PX = 1e-2


@dataclass(frozen=True)
class ExportSettings:
    """python -m recon3d.regression.export."""

    checkpoint: list[str] = option([], "bundled name, session, path or authors' checkpoint", positional=True)
    face_model: str | None = option(None, "face model; default: the one that the checkpoint was trained for")
    whitening: Path | None = option(None, "whitening .pkl of an authors' checkpoint, default: beside it")
    out: Path = option(Path("regressor.onnx"), "file to write")
    dense: bool = option(False, "put out all vertices too")


class ExportedRegressor(nn.Module):
    """Crops → parameters, landmarks, head landmarks (if any), vertices (if dense); see the module's first lines."""

    def __init__(self, model: ParameterRegressor, face_model: FaceModel, dense: bool) -> None:
        super().__init__()
        self.model = model
        self.landmarks = FaceDecoder(face_model, model.layout, face_model.landmarks[SCHEME])
        self.dense = FaceDecoder(face_model, model.layout) if dense else None

    @property
    def outputs(self) -> list[str]:
        """Names in order."""
        head = ["head_landmarks"] if self.model.network.fc_lm is not None else []
        return ["parameters", "landmarks", *head, *(["vertices"] if self.dense is not None else [])]

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) uint8 → as `outputs` names them."""
        pixels, head = normalise(crops), ()
        if self.model.network.fc_lm is None:
            whitened = self.model.network(pixels)
        else:
            whitened, points = self.model.network.with_landmarks(pixels)
            middle = self.model.config.input_size / 2
            head = (points * middle + middle,)
        parameters = whitened * self.model.std + self.model.mean
        dense = () if self.dense is None else (self.dense(parameters),)
        return parameters, self.landmarks(parameters), *head, *dense


def export(regressor: ExportedRegressor, path: Path) -> float:
    """Write the file, whole or not at all; the largest difference of its landmarks from PyTorch's, crop px.

    Raises: DataError when it differs by more than 0.01 px, or when onnx and onnxruntime are not installed.
    """
    try:
        import onnx  # noqa: F401  the exporter needs it
        import onnxruntime
    except ImportError as error:
        raise DataError(f"ONNX export needs {error.name}; pip install onnx onnxruntime.") from None
    regressor.eval()
    size = regressor.model.config.input_size
    crops = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = regressor.outputs
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder) / "model.onnx"
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # the exporter advises on its own successor, which needs onnxscript
            torch.onnx.export(
                regressor,
                (crops,),
                str(temporary),
                input_names=["crops"],
                output_names=names,
                opset_version=OPSET,
                dynamic_axes={name: {0: "batch"} for name in ("crops", *names)},
                dynamo=False,
            )
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        worst = 0.0
        for batch in (crops, crops[:1], crops.repeat(3, 1, 1, 1)):
            with torch.inference_mode():
                expected = regressor(batch)
            found = session.run(None, {"crops": batch.numpy()})
            scale = [1e-3, *[1.0] * (len(names) - 1)]  # parameters differ by decades; points decide
            for one, other, factor in zip(found, expected, scale, strict=True):
                worst = max(worst, factor * float(np.abs(one - other.numpy()).max()))
        if worst > TOLERANCE_PX:
            raise DataError(f"{path}: ONNX differs from PyTorch by {worst:.3g} px, so it is not written.")
        temporary.replace(path)
    return worst


def run(settings: ExportSettings, local: LocalConfig) -> None:
    """Load, write, compare, say so. Raises: DataError, CheckpointError."""
    if len(settings.checkpoint) != 1:
        raise DataError("name one checkpoint to export.")
    loaded = load_regressor(settings.checkpoint[0], local.snapshots, settings.whitening)
    face_model = open_face_model(settings.face_model, local, loaded.model)
    fits(loaded.model, face_model, f"face model {face_model.name}")
    regressor = ExportedRegressor(loaded.model, face_model, settings.dense)
    worst = export(regressor, settings.out)
    size = settings.out.stat().st_size / 2**20
    console().info(
        f"wrote {settings.out} ({size:.1f} MiB: {', '.join(regressor.outputs)}); within {worst:.1e} px of PyTorch"
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(run, ExportSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
