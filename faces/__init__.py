"""Faces in PyTorch behind one import name.

    from faces import load_model, read_image

    model = load_model("landmarks_fast")          # a name of list_models(), a session of yours, or a path
    for face in model(read_image("photo.jpg")):   # (H, W, 3) uint8 RGB → list of Face
        print(face.box, face.landmarks)

An installed package has all folders of the repository below this name: `faces.landmarks`, `faces.datasets`, … In a
clone the same names mean the folders beside this one. Importing `faces` alone loads neither PyTorch nor NumPy.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; at run time a name is imported when it is first asked for
    from common.errors import UserError
    from common.files.images import read_image
    from datasets.face import Face, Predictor
    from depthnet.predictor import DepthPredictor
    from landmarks.detector import LandmarkDetector
    from model_zoo import list_models, load_model
    from morphable.open import load_face_model
    from recon3d.fitting.fitter import FaceFitter
    from recon3d.inference.reconstructor import Reconstructor
    from recon3d.regression.regressor import FaceRegressor

__version__ = "0.1.0"
__all__ = [
    "DepthPredictor",
    "Face",
    "FaceFitter",
    "FaceRegressor",
    "LandmarkDetector",
    "Predictor",
    "Reconstructor",
    "UserError",
    "list_models",
    "load_face_model",
    "load_model",
    "read_image",
]
_MODULES = {
    "common.errors": ("UserError",),
    "common.files.images": ("read_image",),
    "datasets.face": ("Face", "Predictor"),
    "depthnet.predictor": ("DepthPredictor",),
    "landmarks.detector": ("LandmarkDetector",),
    "model_zoo": ("list_models", "load_model"),
    "morphable.open": ("load_face_model",),
    "recon3d.fitting.fitter": ("FaceFitter",),
    "recon3d.inference.reconstructor": ("Reconstructor",),
    "recon3d.regression.regressor": ("FaceRegressor",),
}

if not (Path(__file__).parent / "common").is_dir():  # a clone: its folders lie beside this one
    from faces.clone import find_parts_beside

    find_parts_beside(Path(__file__).resolve().parents[1])


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
            return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
