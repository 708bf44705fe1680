"""The demo's fit task: a 3D face model fitted to the faces of photos; pictures, textures, meshes and parameters out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.config import LocalConfig, option
from common.errors import DataError
from common.limits import MAX_TEXTURE
from common.logs import console
from datasets.photos import find_photos, free_name, make_folder, parse_save, process_photos
from landmarks.finder import FinderSettings, open_finder
from morphable.fit import fit_landmarks
from morphable.meshes import FRAMES
from morphable.model import FaceModel
from morphable.open import load_face_model
from recon3d.fitting.given_landmarks import read_landmarks, with_five_points
from recon3d.fitting.photo_results import WRITERS, Reconstruction, write_results
from recon3d.fitting.photometric import refine_photos

MANUAL = """Fit a 3D face model to all faces of photos, by landmarks and then by the pixels.

    python demo.py --task fit photo.jpg folder/ --save strip,glb
    python demo.py --task fit photos/ --landmarks-from points/ --model-3d ict:ict_light.npz

Per photo: overlay, strip (input, fit, shape, depth), depth (16 bit and coloured), position codes, normals, pose,
textures, meshes and parameters; several faces share one depth buffer.
"""


@dataclass(frozen=True)
class FitDemoSettings(FinderSettings):
    """demo.py --task fit."""

    inputs: list[str] = option(
        [], "photos, folders or globs; none: NASA's astronaut photo of scikit-image", positional=True
    )
    task: str = option("fit", "fit: a 3D face model to landmarks and pixels", group="run")
    model_3d: str = option(
        "head", "face model: head, head#photos, ict:<path>, 3ddfa:<path>, … or a file", group="model"
    )
    photometric: bool = option(True, "refine the landmark fit by the pixels (0: landmarks only)", group="protocol")
    landmarks_from: Path | None = option(
        None, "folder of <photo>.pts, .json or .txt with 68, 98 or 5 points; none: detect them", group="data"
    )
    out: Path | None = option(None, "folder for results; default <outputs>/fit", group="output")
    save: str = option(",".join(WRITERS), f"comma-separated results to write: {', '.join(WRITERS)}", group="output")
    frame: str = option(
        "posed", "of the meshes: canonical (unposed, dm), posed (dm) or image (px)", choices=FRAMES, group="output"
    )
    texture_size: int = option(512, "side of the unwrapped texture in texels", group="output", minimum=0)
    device: str = option("auto", "of the landmark networks: auto, cpu, cuda or mps", group="run")


def run_fit(settings: FitDemoSettings, local: LocalConfig) -> None:
    """Process all inputs; a photo that fails is named and the others go on.

    Raises: DataError for a wrong option, and at the end when some photo failed.
    """
    kinds = parse_save(settings.save, list(WRITERS))
    if not 16 <= settings.texture_size <= MAX_TEXTURE:
        raise DataError(f"--texture-size {settings.texture_size}: choose 16 … {MAX_TEXTURE} texels.")
    if settings.landmarks_from is not None and not settings.landmarks_from.is_dir():
        raise DataError(f"--landmarks-from {settings.landmarks_from}: no such folder.")
    finder = open_finder(settings, local)
    taken: set[str] = set()
    photos = list(find_photos(settings.inputs, taken))
    model = with_five_points(load_face_model(settings.model_3d, local))
    out = settings.out or local.outputs / "fit"
    make_folder(out)

    def work(name: str, path: Path, image: np.ndarray) -> str:
        if settings.landmarks_from is None:
            scheme, landmarks = finder.points(image)
        else:
            scheme, points = read_landmarks(settings.landmarks_from, path)
            landmarks = points[None]
        if len(landmarks) == 0:
            return "no face found; give its place with --box x,y,w,h or its landmarks with --landmarks-from"
        names = [name] if len(landmarks) == 1 else [free_name(f"{name}_{i}", taken) for i in range(len(landmarks))]
        try:
            result = reconstruct(model, image, scheme, landmarks, settings, tuple(names))
            written = write_results(out, name, result, kinds)
        except ValueError as error:  # of the geometry: a face outside the photo, nothing visible
            raise DataError(str(error)) from None
        poses = "; ".join(
            "yaw {1:.1f}°, pitch {0:.1f}°, roll {2:.1f}°".format(*row) for row in result.fit.pose_deg().tolist()
        )
        return f"{poses}; wrote {', '.join(map(str, written))}"

    process_photos(photos, work, console().info)


def reconstruct(
    model: FaceModel,
    image: np.ndarray,
    scheme: str,
    landmarks: np.ndarray,
    settings: FitDemoSettings = FitDemoSettings(),
    labels: tuple[str, ...] = (),
) -> Reconstruction:
    """Fit all faces of one photo (H, W, 3) uint8 to landmarks (n, K, 2) px of a scheme that the model knows.

    Refinement by pixels needs the 68 points; fits to others stay as the landmarks say.
    """
    start = fit_landmarks(model, torch.from_numpy(np.ascontiguousarray(landmarks)), scheme)
    fields = {"frame": settings.frame, "texture_size": settings.texture_size, "labels": labels}
    if not settings.photometric or scheme != "ibug68":
        return Reconstruction(image, model, start, landmarks, **fields)
    refined = refine_photos(model, [image] * len(landmarks), landmarks, start)
    colours = refined.colours(model)
    return Reconstruction(image, model, refined.fit, landmarks, colours, refined.albedo, refined.gamma, **fields)
