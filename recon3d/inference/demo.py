"""The demo's reconstruct task: R-Net on the faces of photos; .mat, meshes, pictures and landmarks out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.config import LocalConfig, option
from common.errors import ConfigError, DataError
from common.files.meshes import write_mesh
from common.logs import console
from datasets.photos import find_photos, free_name, make_folder, parse_save, process_photos
from landmarks.finder import FinderSettings, LandmarkFinder, open_finder
from morphable.meshes import FRAMES, coloured_mesh
from recon3d.fitting.given_landmarks import read_landmarks
from recon3d.inference.reconstructor import (
    APPEARANCE_HELP,
    APPEARANCES,
    ReconstructedFaces,
    Reconstructor,
    five_points_of,
)
from recon3d.inference.results import WRITERS

MANUAL = """Reconstruct the faces of photos with a weakly supervised network (Deep3D).

    python demo.py --task reconstruct photo.jpg folder/ --save strip,mat,obj
    python demo.py --task reconstruct photos/ --landmarks-from photos -c epoch_20.pth  # published, needs BFM 2009
    python demo.py --task reconstruct me1.jpg me2.jpg me3.jpg --same-person  # one identity for all

Per face: .mat with the published fields, coloured .obj (lit, and neutral), .glb, strip, overlay, depth, points.
"""

RENDERER_MANUAL = """Draw reconstructions of photos beside them: one strip input | PCA | … | normals | depth a photo.

    python demo.py renderer photo.jpg folder/                              # the bundled network
    python demo.py renderer --image_dir input --landmark_dir input --out_dir output --pretrain_weights net.pth

Writes <out>/<photo>_strip.png. All options of demo.py --task reconstruct are understood.
"""
OBJ_MANUAL = """Write the meshes of reconstructions: coloured .obj of the lit face, and of the neutral one.

    python demo.py obj photo.jpg folder/ --frame canonical                 # or posed (dm, as published), image (px)
    python demo.py obj --image_dir input --landmark_dir input --out_dir output --use_pb 0 --pretrain_weights net.pth

Writes <out>/<photo>_mesh.obj and _neutral.obj. All options of demo.py --task reconstruct are understood.
"""
BUNDLED = "reconstructor"


@dataclass(frozen=True)
class ReconstructSettings(FinderSettings):
    """demo.py --task reconstruct."""

    inputs: list[str] = option(
        [], "photos, folders or globs; none: NASA's astronaut photo of scikit-image", positional=True
    )
    task: str = option("reconstruct", "reconstruct: shape, albedo, pose and light by R-Net", group="run")
    checkpoint: str = option(BUNDLED, "bundled name, session, path, or published .pth", "-c", group="model")
    use_pb: bool | None = option(
        None, "as GCN_ResNet's demo: 1 the bundled network, 0 that of --pretrain_weights", group="model"
    )
    image_dir: Path | None = option(None, "folder of photos, beside those named", group="data")
    refiner: str = option(
        "auto", "mesh refiner: bundled name, session, path, none; auto: <checkpoint>_gcn where bundled", group="model"
    )
    texture: str = option("none", "texture refiner: session, path, or none", group="model")
    appearance: str = option("auto", APPEARANCE_HELP, choices=APPEARANCES, group="model")
    face_model: str | None = option(
        None, "face model; default: the one that the network was trained for", group="model"
    )
    landmarks_from: Path | None = option(
        None, "folder of <photo>.pts, .json or .txt (68, 98 or 5 points); none: detect", group="data"
    )
    same_person: bool = option(False, "all photos show one person: average identity and albedo", group="data")
    out: Path | None = option(None, "folder for results; default <outputs>/reconstruct", group="output")
    save: str = option(",".join(WRITERS), f"comma-separated results to write: {', '.join(WRITERS)}", group="output")
    frame: str = option(
        "posed", "of the lit mesh: canonical (unposed, dm), posed (dm) or image (px)", choices=FRAMES, group="output"
    )


@dataclass(frozen=True)
class RendererSettings(ReconstructSettings):
    """demo.py renderer: as GCN_ResNet's renderer.py."""

    task: str = option("renderer", "renderer: strips of pictures", group="run")
    save: str = option("strip", f"comma-separated results to write: {', '.join(WRITERS)}", group="output")


@dataclass(frozen=True)
class ObjSettings(ReconstructSettings):
    """demo.py obj: as GCN_ResNet's obj.py."""

    task: str = option("obj", "obj: meshes", group="run")
    save: str = option("obj", f"comma-separated results to write: {', '.join(WRITERS)}", group="output")


# name of demo.py's task → its settings and its manual; all run `run_reconstruct`
TASKS: dict[str, tuple[type[ReconstructSettings], str]] = {
    "reconstruct": (ReconstructSettings, MANUAL),
    "renderer": (RendererSettings, RENDERER_MANUAL),
    "obj": (ObjSettings, OBJ_MANUAL),
}


def network_of(settings: ReconstructSettings) -> str:
    """Which network --checkpoint (GCN_ResNet's --pretrain_weights) and --use_pb name together.

    Raises: ConfigError where they contradict each other, or name a TensorFlow graph.
    """
    name = settings.checkpoint
    if settings.use_pb and name != BUNDLED:
        raise ConfigError(f"--use_pb 1 takes the bundled network, but {name} is named; leave one out, or --use_pb 0.")
    if settings.use_pb is False and name == BUNDLED:
        raise ConfigError("--use_pb 0 takes a network of yours: name it with --pretrain_weights.")
    if name.endswith((".pb", ".ckpt", ".meta", ".index")) or ".ckpt-" in name:
        raise ConfigError(
            f"{name}: TensorFlow's files are not read; give a session of train_recon3d.py or a .pth of"
            " Deep3DFaceRecon_pytorch."
        )
    return name


def run_reconstruct(settings: ReconstructSettings, local: LocalConfig) -> None:
    """Process all inputs; a photo that fails is named and the others go on.

    Raises: DataError or ConfigError for a wrong option, and DataError at the end when some photo gave no result.
    """
    kinds = parse_save(settings.save, list(WRITERS))
    if settings.landmarks_from is not None and not settings.landmarks_from.is_dir():
        raise DataError(f"--landmarks-from {settings.landmarks_from}: no such folder.")
    finder = open_finder(settings, local)
    taken: set[str] = set()
    inputs = settings.inputs if settings.image_dir is None else [*settings.inputs, str(settings.image_dir)]
    photos = list(find_photos(inputs, taken))
    reconstructor = Reconstructor.from_pretrained(
        network_of(settings),
        local,
        face_model=settings.face_model,
        device=settings.device,
        refiner=settings.refiner,
        texture=settings.texture,
        appearance=settings.appearance,
    )
    out = settings.out or local.outputs / settings.task
    make_folder(out)
    together: list[tuple[str, np.ndarray, np.ndarray]] = []
    ordered = settings.landmarks_from is not None  # a user's files are checked, detected profiles may cross

    def work(name: str, path: Path, image: np.ndarray) -> str:
        five = faces_of(settings, finder, path, image)
        if len(five) == 0:
            return "no face found; give its place with --box x,y,w,h or its landmarks with --landmarks-from"
        if settings.same_person:
            if len(five) > 1:
                raise DataError(f"{len(five)} faces; with --same-person every photo must show one, chosen with --box.")
            together.append((name, image, five[0]))
            return "one face"
        names = [name] if len(five) == 1 else [free_name(f"{name}_{i}", taken) for i in range(len(five))]
        faces = reconstructor.reconstruct([image] * len(five), list(five), ordered)
        return write_faces(out, names, faces, kinds, settings.frame)

    try:
        process_photos(photos, work, console().info)
    finally:
        if together:
            names, images, five = zip(*together, strict=True)
            faces = reconstructor.as_one_person(reconstructor.reconstruct(images, five, ordered))
            console().info(write_faces(out, list(names), faces, kinds, settings.frame))
            console().info(f"wrote {write_person(out / 'person.obj', faces)}")


def faces_of(settings: ReconstructSettings, finder: LandmarkFinder, path: Path, image: np.ndarray) -> np.ndarray:
    """(n, 5, 2) px of the faces of a photo; n = 0 without a face."""
    if settings.landmarks_from is not None:
        scheme, points = read_landmarks(settings.landmarks_from, path)
        return five_points_of(scheme, points)[None]
    scheme, landmarks = finder.points(image)
    return five_points_of(scheme, landmarks)


def write_faces(out: Path, names: list[str], faces: ReconstructedFaces, kinds: list[str], frame: str) -> str:
    """Write all kinds for all faces; a line of poses and files. Raises: DataError for what the geometry refuses."""
    try:
        written = [
            path for i, name in enumerate(names) for kind in kinds for path in WRITERS[kind](out, name, faces, i, frame)
        ]
    except ValueError as error:
        raise DataError(str(error)) from None
    rows = faces.coefficients.pose_deg().tolist()
    poses = "; ".join("yaw {1:.1f}°, pitch {0:.1f}°, roll {2:.1f}°".format(*row) for row in rows)
    return f"{poses}; wrote {', '.join(map(str, written))}"


def write_person(path: Path, faces: ReconstructedFaces) -> Path:
    """The mean person without expression, coloured by its albedo."""
    shape = faces.neutral_shapes()[:1]
    write_mesh(path, coloured_mesh(shape, faces.model.triangles, torch.clamp(faces.albedo[:1], 0, 1)))
    return path
