"""What the page does with a photo: one function per task, photo in; pictures, files and a mesh in a folder out."""

import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from common.errors import DataError
from common.files.atomic import write_file
from common.files.meshes import write_mesh
from common.files.pictures import save_picture
from common.files.points import format_pts
from common.pretrained import DEFAULT_LANDMARKS, list_models
from datasets.face import Face
from depthnet.pictures import depth_figure, face_square, flatten
from depthnet.predictor import DepthPredictor
from depthnet.scores.figures import save_figure
from depthnet.warping.tasks import render_rotation
from drawing.pose import draw_pose
from landmarks.detector import LandmarkDetector
from landmarks.pictures import face_tiles, photo_with_faces
from morphable.fit import fit_landmarks
from morphable.meshes import coloured_mesh, scene_colours
from morphable.model import FaceModel
from morphable.open import load_face_model
from recon3d.fitting.photo_results import Reconstruction, write_results
from recon3d.fitting.photometric import refine_photos
from recon3d.regression.drawing import draw_over, draw_sparse
from recon3d.regression.regressor import FaceRegressor
from video.movies import write_movie
from webpage.head import HeadShape

if TYPE_CHECKING:
    from recon3d.inference.reconstructor import Reconstructor

MOST_FACES = 4  # that are fitted or reconstructed; seconds each
TURNED_PX = 400  # largest side of a face that is turned
YAWS_DEG = (-45, -30, -15, 0, 15, 30, 45)
NO_FACE = "No face was found; take a photo in which a face is larger, or upright."


@dataclass(frozen=True)
class Turnable:
    """A face cut out with its 68 keypoints (K, 2) and their depths (K,), in px of the cut."""

    picture: np.ndarray
    points: np.ndarray
    depth: np.ndarray

    def turned(self, yaw_deg: float) -> np.ndarray:
        """(H, W, 3) uint8, the face turned about its own centre."""
        angles = np.deg2rad([yaw_deg])
        return flatten(render_rotation(self.picture, self.points, self.depth, "y", angles))[0]


@dataclass(frozen=True)
class Outcome:
    """What a task made of a photo.

    Attributes: faces; pictures: (file, caption); mesh: a .glb of the surest face; turnable and head: what the sliders
        start from; note: a sentence for the user, or empty.
    """

    faces: list[Face]
    pictures: list[tuple[Path, str]]
    mesh: Path | None = None
    turnable: Turnable | None = None
    head: HeadShape | None = None
    note: str = ""


@lru_cache(maxsize=8)
def landmark_detector(name: str) -> LandmarkDetector:
    """Kept between photos."""
    return LandmarkDetector.from_pretrained(name)


@lru_cache(maxsize=4)
def depth_predictor(name: str) -> DepthPredictor:
    """Kept between photos."""
    return DepthPredictor.from_pretrained(name)


@lru_cache(maxsize=4)
def face_regressor(name: str) -> FaceRegressor:
    """Kept between photos."""
    return FaceRegressor.from_pretrained(name)


@lru_cache(maxsize=4)
def reconstructor(name: str) -> "Reconstructor":
    """Kept between photos. Imported here: torchvision, which it needs, would make the page late."""
    from recon3d.inference.reconstructor import Reconstructor

    return Reconstructor.from_pretrained(name)


@lru_cache(maxsize=4)
def face_model(name: str) -> FaceModel:
    """Kept between photos."""
    return load_face_model(name)


def find_landmarks(photo: np.ndarray, name: str, folder: Path) -> Outcome:
    """Landmarks of all faces over the photo, and each face's heatmaps."""
    detector = landmark_detector(name)
    (analyses,) = detector.analyse([photo])
    faces = _found([analysis.face for analysis in analyses])
    pictures = [(folder / "landmarks.png", "landmarks")]
    save_picture(pictures[0][0], photo_with_faces(photo, [(f.box, f.landmarks) for f in faces], detector.scheme))
    for label, analysis in zip(_labels(faces), analyses, strict=True):
        points = analysis.face.crop.apply(analysis.face.landmarks)
        tiles = face_tiles(analysis.picture, analysis.reconstruction, analysis.heatmaps, points, detector.scheme)
        pictures.append((folder / f"{label}_heatmaps.png", f"{label}: what the network sees"))
        save_picture(pictures[-1][0], tiles)
        write_file(folder / f"{label}.pts", format_pts(analysis.face.landmarks))
    return Outcome(faces, pictures)


def estimate_depth(photo: np.ndarray, name: str, folder: Path) -> Outcome:
    """The depth of each face's landmarks as pictures and csv ("x,y,z", px, z toward the viewer)."""
    faces = _found(depth_predictor(name)(photo))
    pictures = []
    for label, face in zip(_labels(faces), faces, strict=True):
        square = face_square(face.landmarks[:, :2])
        pictures.append((folder / f"{label}_depth.png", f"{label}: depth of the landmarks"))
        points = square.apply(face.landmarks[:, :2])
        save_figure(depth_figure(square.extract(photo), points, -face.depth * square.scale), pictures[-1][0])
        rows = np.column_stack([face.landmarks[:, :2], face.depth])
        write_file(folder / f"{label}_depth.csv", "".join("{:.3f},{:.3f},{:.3f}\n".format(*row) for row in rows))
    return Outcome(faces, pictures)


def turn_face(photo: np.ndarray, name: str, folder: Path) -> Outcome:
    """The surest face turned: seven yaws side by side and a movie; the slider turns it further."""
    face = _found(depth_predictor(name)(photo))[0]
    square = face_square(face.landmarks[:, :2], TURNED_PX)
    points, depth = square.apply(face.landmarks[:, :2]), -face.depth.astype(np.float64) * square.scale
    turnable = Turnable(square.extract(photo), points, depth)
    strip = [turnable.turned(yaw) for yaw in YAWS_DEG]
    save_picture(folder / "face_turned.png", np.concatenate(strip, axis=1))
    there_and_back = 45 * np.sin(np.linspace(0, 2 * math.pi, 48, endpoint=False))
    write_movie(folder / "face_turning.gif", [turnable.turned(yaw) for yaw in there_and_back])
    pictures = [(folder / "face_turning.gif", "turning"), (folder / "face_turned.png", "yaw -45° to 45°")]
    return Outcome([face], pictures, turnable=turnable)


def regress_mesh(photo: np.ndarray, name: str, folder: Path) -> Outcome:
    """A face model regressed for every face: points, mesh, depth and pose over the photo; all faces in one .glb."""
    regressor = face_regressor(name)
    faces = _found(regressor(photo))
    scene = regressor.scene(faces, photo.shape[:2])
    landmarks = np.stack([face.landmarks for face in faces])
    pose = draw_pose(photo, np.stack([f.rotation for f in faces]), landmarks, np.stack([f.angles_deg for f in faces]))
    drawn = {"mesh": draw_over("3d", photo, scene, regressor), "landmarks": draw_sparse(photo, landmarks), "pose": pose}
    drawn["depth"] = draw_over("depth", photo, scene, regressor)
    colours = scene_colours(photo, scene)
    mesh = folder / "face_mesh.glb"
    write_mesh(mesh, coloured_mesh(scene.posed[:1], scene.triangles, colours[:1]))
    write_mesh(folder / "all_faces.obj", coloured_mesh(scene.image_vertices, scene.triangles, colours))
    return Outcome(faces, _saved(folder, drawn), mesh)


def fit_model(photo: np.ndarray, name: str, folder: Path) -> Outcome:
    """A face model fitted to landmarks and pixels, with texture."""
    model = face_model(name)
    found = _found(landmark_detector(DEFAULT_LANDMARKS)(photo))
    faces = found[:MOST_FACES]
    landmarks = np.stack([face.landmarks[:, :2] for face in faces])
    labels = tuple(_labels(faces))
    start = fit_landmarks(model, torch.from_numpy(landmarks), "ibug68")
    refined = refine_photos(model, [photo] * len(faces), landmarks, start)
    colours = refined.colours(model)
    result = Reconstruction(photo, model, refined.fit, landmarks, colours, refined.albedo, refined.gamma, labels=labels)
    captions = {"overlay": "model over the photo", "normals": "normals", "depth": "depth", "pose": "pose"}
    written = {kind: write_results(folder, "photo", result, [kind])[-1] for kind in captions}
    meshes = write_results(folder, "photo", result, ["glb"])
    write_results(folder, "photo", result, ["texture", "json"])
    poses = refined.fit.pose_deg().numpy()
    faces = [replace(face, angles_deg=pose) for face, pose in zip(faces, poses, strict=True)]
    head = HeadShape(name, refined.fit.identity[0], refined.fit.expression[0], refined.albedo[0])
    return Outcome(faces, [(written[k], c) for k, c in captions.items()], meshes[0], head=head, note=_left_out(found))


def reconstruct(photo: np.ndarray, name: str, folder: Path) -> Outcome:
    """Shape, albedo, pose and light by R-Net."""
    from recon3d.inference.reconstructor import five_points_of
    from recon3d.inference.results import WRITERS

    network = reconstructor(name)
    found = _found(network.finder(photo))
    faces = found[:MOST_FACES]
    points = np.stack([face.landmarks[:, :2] for face in faces])
    five = five_points_of(network.finder.detector.scheme.name, points)
    rebuilt = network.reconstruct([photo] * len(faces), list(five), ordered=False)
    captions = {"overlay": "shape over the photo", "strip": "input, model, normals, depth"}
    pictures, meshes = [], []
    for i, label in enumerate(_labels(faces)):
        for kind, caption in captions.items():
            paths = WRITERS[kind](folder, label, rebuilt, i, "posed")
            pictures += [(path, f"{label}: {caption}") for path in paths]
        meshes += WRITERS["glb"](folder, label, rebuilt, i, "posed")
        WRITERS["landmarks"](folder, label, rebuilt, i, "posed")
    return Outcome(rebuilt.faces(faces), pictures, meshes[0], note=_left_out(found))


@dataclass(frozen=True)
class PhotoTask:
    """One entry of the page's list."""

    label: str
    models: tuple[str, ...]
    run: Callable[[np.ndarray, str, Path], Outcome]


def photo_tasks() -> dict[str, PhotoTask]:
    """All tasks by name, with the bundled models of each. Raises: CheckpointError for a damaged list of models."""

    def bundled(task: str) -> tuple[str, ...]:
        return tuple(list_models(task, bundled=True))

    return {
        "landmarks": PhotoTask("Landmarks", bundled("landmarks"), find_landmarks),
        "depth": PhotoTask("Depth of the landmarks", bundled("depth"), estimate_depth),
        "rotate": PhotoTask("Turn the face", bundled("depth"), turn_face),
        "mesh": PhotoTask("3D mesh, regressed", bundled("mesh"), regress_mesh),
        "fit": PhotoTask("3D head, fitted", ("head", "head#photos"), fit_model),
        "reconstruct": PhotoTask("Reconstruction", bundled("reconstruct"), reconstruct),
    }


def write_summary(folder: Path, task: str, model: str, photo: np.ndarray, faces: list[Face]) -> Path:
    """faces.json: box, score, landmarks, pose and parameters of every face, in continuous px of the photo."""
    content = {
        "task": task,
        "model": model,
        "size": [photo.shape[1], photo.shape[0]],
        "convention": "continuous",
        "faces": [face.to_json() for face in faces],
    }
    write_file(folder / "faces.json", json.dumps(content, indent=1))
    return folder / "faces.json"


def zip_folder(folder: Path, path: Path) -> Path:
    """All files of a folder in one .zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def _found(faces: list[Face]) -> list[Face]:
    if not faces:
        raise DataError(NO_FACE)
    return faces


def _labels(faces: list[Face]) -> list[str]:
    return ["face"] if len(faces) == 1 else [f"face_{i + 1}" for i in range(len(faces))]


def _left_out(found: list[Face]) -> str:
    return f"Of {len(found)} faces the {MOST_FACES} surest were taken." if len(found) > MOST_FACES else ""


def _saved(folder: Path, drawn: dict[str, np.ndarray]) -> list[tuple[Path, str]]:
    for name, picture in drawn.items():
        save_picture(folder / f"{name}.png", picture)
    return [(folder / f"{name}.png", name) for name in drawn]
