"""The files that a reconstruction of one photo gives: pictures, textures, meshes and parameters."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from common.files.atomic import write_file
from common.files.meshes import write_mesh
from common.files.pictures import save_picture
from drawing.pose import draw_pose
from drawing.surfaces import colour_depth, normal_map, over_photo, position_codes, shaded, write_depth
from morphable.fit import Fit
from morphable.meshes import coloured_mesh, in_frame, scene_colours, textured_mesh
from morphable.model import FaceModel
from morphable.scene import Scene, metric_screen
from morphable.texture import UnwrappedTexture, unwrap

FOCAL_SHARE = 1.2  # assumed focal length in longer sides of the photo
STRIP_HEIGHT = 384  # px
_FACE_PARTS = ("face", "eyeball", "mouth_inside", "teeth", "tongue")


@dataclass(frozen=True)
class Reconstruction:
    """All faces of one photo."""

    photo: np.ndarray  # (H, W, 3) uint8 RGB
    model: FaceModel
    fit: Fit  # n faces in px of the photo
    landmarks: np.ndarray  # (n, K, 2) px, what was fitted
    colours: Tensor | None = None  # (n, V, 3) lit colours 0 … 1, after photometric refinement
    albedo: Tensor | None = None  # (n, Ka)
    gamma: Tensor | None = None  # (n, 3, 9)
    frame: str = "posed"  # of the meshes, see `morphable.meshes.in_frame`
    texture_size: int = 512
    labels: tuple[str, ...] = ()  # names of the faces' own files

    @cached_property
    def scene(self) -> Scene:
        """The faces in one z-buffer."""
        screen = metric_screen(self.fit.screen(self.model), self.fit.scale, FOCAL_SHARE * max(self.photo.shape[:2]))
        posed = self.fit.vertices(self.model) @ self.fit.rotation.mT
        return Scene(screen, posed, self.model.triangles, self.photo.shape[:2])

    @cached_property
    def face_mask(self) -> Tensor:
        """(H, W) bool: where faces are seen, without hair, ears and neck if the model tells them apart."""
        if "face" not in self.model.regions:
            return self.scene.mask
        parts = [self.model.regions[name] for name in _FACE_PARTS if name in self.model.regions]
        visible = torch.stack(parts).amax(0) * (1 - self.model.regions.get("scalp", torch.zeros_like(parts[0])))
        return self.scene.draw(visible[:, None])[..., 0] > 0.5

    @cached_property
    def textures(self) -> list[UnwrappedTexture]:
        """One texture per face."""
        count = len(self.fit.scale)
        return [unwrap(self.photo, self.scene, i, self.model, self.texture_size, "all") for i in range(count)]

    @cached_property
    def overlay(self) -> np.ndarray:
        """The faces over the photo: in their estimated colours and light, or as clay where there was no refinement."""
        if self.colours is None:
            return over_photo(self.photo, shaded(self.scene), self.face_mask, 0.7)
        lit = (self.scene.draw(self.colours).clamp(0, 1) * 255).round().byte().numpy()
        return over_photo(self.photo, lit, self.face_mask, 1.0)


def write_results(out: Path, name: str, result: Reconstruction, kinds: list[str]) -> list[Path]:
    """Write the kinds of files for one photo under its name. Returns: their paths."""
    return [path for kind in kinds for path in WRITERS[kind](out, name, result)]


def _picture(
    suffix: str, draw: Callable[[Reconstruction], np.ndarray]
) -> Callable[[Path, str, Reconstruction], list[Path]]:
    def write(out: Path, name: str, result: Reconstruction) -> list[Path]:
        path = out / f"{name}_{suffix}.png"
        save_picture(path, draw(result))
        return [path]

    return write


def _strip(result: Reconstruction) -> np.ndarray:
    """Input | fit | shape | depth, side by side."""
    tiles = [result.photo, result.overlay, shaded(result.scene), _coloured_depth(result)]
    height = min(STRIP_HEIGHT, result.photo.shape[0])
    width = max(1, round(result.photo.shape[1] * height / result.photo.shape[0]))
    return np.concatenate([cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA) for tile in tiles], 1)


def _coloured_depth(result: Reconstruction) -> np.ndarray:
    return colour_depth(result.scene.depth_mm(), result.scene.faces)


def _pose(result: Reconstruction) -> np.ndarray:
    landmarks = result.model.points(result.scene.screen, "ibug68")[..., :2].numpy()
    return draw_pose(result.photo, result.fit.rotation.numpy(), landmarks, result.fit.pose_deg().numpy())


def _write_depth(out: Path, name: str, result: Reconstruction) -> list[Path]:
    exact, coloured = out / f"{name}_depth.png", out / f"{name}_depth_coloured.png"
    write_depth(exact, result.scene.depth_mm())
    save_picture(coloured, _coloured_depth(result))
    return [exact, coloured]


def _write_textures(out: Path, name: str, result: Reconstruction) -> list[Path]:
    paths = [out / f"{label}_texture.png" for label in result.labels]
    for path, texture in zip(paths, result.textures, strict=True):
        save_picture(path, texture.picture)
    return paths


def _textured(suffix: str) -> Callable[[Path, str, Reconstruction], list[Path]]:
    def write(out: Path, name: str, result: Reconstruction) -> list[Path]:
        vertices = in_frame(result.frame, result.fit.vertices(result.model), result.scene)
        paths = [out / f"{label}_mesh.{suffix}" for label in result.labels]
        for path, face, texture in zip(paths, vertices, result.textures, strict=True):
            write_mesh(path, textured_mesh(face, result.model, texture))
        return paths

    return write


def _write_ply(out: Path, name: str, result: Reconstruction) -> list[Path]:
    vertices = in_frame(result.frame, result.fit.vertices(result.model), result.scene)
    path = out / f"{name}_mesh.ply"
    write_mesh(path, coloured_mesh(vertices, result.model.triangles, scene_colours(result.photo, result.scene)))
    return [path]


def _write_parameters(out: Path, name: str, result: Reconstruction) -> list[Path]:
    fit = result.fit
    values = {
        "pose_deg": fit.pose_deg(),
        "rotation": fit.rotation,
        "scale_px_per_dm": fit.scale,
        "translation_px": fit.translation,
        "identity": fit.identity,
        "expression": fit.expression,
        "albedo": result.albedo,
        "gamma": result.gamma,
        "error_percent_of_box": fit.error,
        "landmarks": torch.from_numpy(result.landmarks),
    }
    rows = {key: np.round(value.double().numpy(), 5).tolist() for key, value in values.items() if value is not None}
    faces = [{key: value[i] for key, value in rows.items()} for i in range(len(fit.scale))]
    content = {"photo": name, "model": result.model.name, "licence": result.model.licence, "faces": faces}
    path = out / f"{name}_fit.json"
    write_file(path, json.dumps(content))
    return [path]


WRITERS: dict[str, Callable[[Path, str, Reconstruction], list[Path]]] = {
    "overlay": _picture("overlay", lambda result: result.overlay),
    "strip": _picture("strip", _strip),
    "depth": _write_depth,
    "pncc": _picture("pncc", lambda result: position_codes(result.scene, result.model)),
    "normals": _picture("normals", lambda result: normal_map(result.scene)),
    "pose": _picture("pose", _pose),
    "texture": _write_textures,
    "obj": _textured("obj"),
    "ply": _write_ply,
    "glb": _textured("glb"),
    "json": _write_parameters,
}
