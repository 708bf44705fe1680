"""All models by name: one list, one way to load them.

    python model_zoo.py                          # the list, with scores and their protocols
    python model_zoo.py --verify                 # compare the bundled weights with their SHA-256

From Python:

    from model_zoo import list_models, load_model
    model = load_model("landmarks_fast")         # a name of list_models(), a session of yours, or a path
    faces = model(image)                         # (H, W, 3) uint8 RGB → list of Face
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from common.checkpoint import read_config, resolve_snapshot
from common.config import read_local_config
from common.errors import CheckpointError
from common.pretrained import (
    TASKS,
    find_entry,
    full_name,
    list_models,
    markdown_table,
    model_entries,
    model_entry,
    verify,
)
from common.runtime import choose_device
from common.scripts import exits_with_user_errors

if TYPE_CHECKING:
    from torch import nn

    from datasets.detection.detect import DetectFaces
    from datasets.face import Predictor
    from morphable.model import FaceModel

__all__ = ["list_models", "load_model"]
KINDS = {
    "aae": "landmarks",
    "landmark_net": "landmarks",
    "depthnet": "depth",
    "aign": "depth",
    "regressor": "mesh",
    "reconstructor": "reconstruct",
    "mesh_refiner": "refine",
    "identity": "identity",
}


@overload
def load_model(name: Literal["yunet"], task: None = None, **options: Any) -> "DetectFaces": ...
@overload
def load_model(
    name: Literal["identity", "reconstructor_small_gcn"], task: None = None, **options: Any
) -> "nn.Module": ...
@overload
def load_model(name: Literal["albedo_photos"], task: None = None, **options: Any) -> "FaceModel": ...
@overload
def load_model(name: str, task: str | None = None, **options: Any) -> "Predictor": ...
def load_model(name: str, task: str | None = None, **options: Any) -> object:
    """A model ready to be called.

    Args:
        name: bundled name or alias, session, session/epoch, or path, an author's checkpoint too.
        task: one of `common.pretrained.TASKS`; needed for an author's checkpoint whose name the list does not hold.
        options: as the predictor's `from_pretrained` takes them (device, detector, face_model, …).
    Returns: for landmarks, depth, mesh, fit and reconstruct a predictor (image, boxes=None) → list of Face; for
        detection a detector (image) → list of Detection; for refine and identity the network; for albedo the face model
        with it.
    Raises: CheckpointError for an unknown name, naming those that are known; other UserErrors of the loader.
    """
    snapshots = read_local_config().snapshots
    _check_present(name)
    return _LOADERS[task or _task_of(name, snapshots)](full_name(name), snapshots, options)


def _check_present(name: str) -> None:
    """Raises: CheckpointError saying where to get an author's file that is not where it was said to be."""
    for entry in model_entries():
        if not entry.bundled and Path(name).name == entry.name and not Path(name).exists():
            raise CheckpointError(f"{name}: no such file; {entry.origin.removeprefix('authors: ')}.")


def _task_of(name: str, snapshots: Path) -> str:
    """From the list, or from what the snapshot says of itself."""
    entry = find_entry(name) or find_entry(Path(name).name)
    if entry is not None:
        return entry.task
    try:
        kind = read_config(resolve_snapshot(name, snapshots)).get("kind")
    except CheckpointError:
        raise CheckpointError(
            f"no model, session or path '{name}'; known models: {', '.join(list_models())}. For an author's"
            " file name its task."
        ) from None
    if kind not in KINDS:
        raise CheckpointError(f"{name}: holds a '{kind}', which is no model to call; choose one of {', '.join(KINDS)}.")
    return KINDS[kind]


def _detection(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from datasets.detection.detect import make_detector

    return make_detector(name, **options)


def _landmarks(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from landmarks.detector import LandmarkDetector

    return LandmarkDetector.from_pretrained(name, snapshots, **options)


def _depth(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from depthnet.predictor import DepthPredictor

    return DepthPredictor.from_pretrained(name, snapshots, **options)


def _mesh(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from recon3d.regression.regressor import FaceRegressor

    return FaceRegressor.from_pretrained(name, snapshots=snapshots, **options)


def _fit(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from recon3d.fitting.fitter import FaceFitter

    return FaceFitter.from_pretrained(name, snapshots, **options)


def _reconstruct(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from recon3d.inference.reconstructor import Reconstructor

    return Reconstructor.from_pretrained(name, read_local_config(), **options)


def _refine(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from recon3d.refinement.refiner import load_refiner

    return load_refiner(name, snapshots).refiner.to(choose_device(**options))


def _identity(name: str, snapshots: Path, options: dict[str, Any]) -> object:
    from recon3d.identity.features import load_small_identity

    return load_small_identity(name, snapshots)[0].to(choose_device(**options))


def _albedo(name: str, snapshots: Path, options: dict[str, Any]) -> "FaceModel":
    from morphable.open import load_face_model

    return load_face_model(name.replace("albedo_", "head#"), **options)


_LOADERS = {
    "detection": _detection,
    "landmarks": _landmarks,
    "depth": _depth,
    "mesh": _mesh,
    "fit": _fit,
    "reconstruct": _reconstruct,
    "refine": _refine,
    "identity": _identity,
    "albedo": _albedo,
}


def _print_list() -> None:
    for task in TASKS:
        for name in list_models(task):
            entry = model_entry(name)
            size = f"{entry.bytes / 1e6:.1f} MB, " if entry.bundled else ""
            sys.stdout.write(f"{name}  [{task}] {entry.does}; {entry.method}; {size}{entry.licence}\n")
            sys.stdout.write("".join(f"    {s.metric} {s.value:g}: {s.protocol}\n" for s in entry.scores))
            if not entry.bundled:
                sys.stdout.write(f"    {entry.origin}\n")


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 when a bundled file is not the published one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="the bundled models as the table of README.md")
    parser.add_argument("--verify", action="store_true", help="compare the bundled weights with their SHA-256")
    options = parser.parse_args(arguments)
    if options.markdown:
        sys.stdout.write(markdown_table() + "\n")
    elif options.verify:
        for name in list_models(bundled=True):
            sys.stdout.write(f"{verify(name)}: as published\n")
    else:
        _print_list()
    return 0


if __name__ == "__main__":
    sys.exit(main())
