"""The files that a reconstruction gives: Deep3D's .mat, meshes, pictures and landmarks in the full photo."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.io import savemat

from common.files.atomic import write_file
from common.files.meshes import write_mesh
from common.files.pictures import save_picture
from common.files.points import format_pts
from drawing.surfaces import colour_depth, normal_map, over_photo, shaded, write_depth
from morphable.meshes import coloured_mesh, in_frame, textured_mesh
from morphable.scene import Scene
from morphable.texture import unwrap
from recon3d.inference.reconstructor import ReconstructedFaces
from recon3d.reconstruction.strips import overlay, shape_picture, to_bytes, with_dots

TEXTURE_PX = 512
_HALF_PIXEL = 0.5  # .mat files count pixels from 0 at their centres, as the published ones do; y runs down


def mat_fields(faces: ReconstructedFaces, i: int) -> dict[str, np.ndarray]:
    """All fields of the published `.mat` files, TF's and PyTorch's, for face i.

    Landmarks run y down (the TF code writes lm_68p y up, though it says otherwise). Beside the published fields: tri
    (1-based), trans_params, lm_68p_photo and lm_5p_photo in the full photo, neutral_shape. Where the shape was refined,
    all fields are of the refined one, and face_shape_pca and lm_68p_pca of the face model's; likewise face_texture_pca.
    """
    one = faces.coefficients[i : i + 1]
    picture = faces.picture()
    alpha = picture.mask[i].cpu().numpy()[..., None]
    photo = faces.photos[i]
    values = {
        "coeff": one.vector(),
        "face_shape": faces.geometry.posed[i],
        "face_texture": 255 * faces.albedo[i],
        "face_color": 255 * faces.colours[i],
        "id": one.identity,
        "exp": one.expression,
        "tex": one.albedo,
        "angle": one.angles,
        "gamma": one.gamma.flatten(1),
        "trans": one.translation,
        "neutral_shape": faces.neutral_shapes()[i],
    }
    fields = {name: value.cpu().numpy().astype(np.float32) for name, value in values.items()}
    landmarks = faces.geometry.landmarks[i].cpu().numpy()
    crop = faces.crops[i]
    fields |= {
        "cropped_img": faces.images[i],
        "recon_img": np.concatenate([255 * picture.colours[i].clamp(0, 1).cpu().numpy(), alpha], 2).astype(np.float32),
        "lm_68p": landmarks - _HALF_PIXEL,
        "lm68": (landmarks - _HALF_PIXEL)[None],
        "lm_5p": crop.apply(faces.five[i]) - _HALF_PIXEL,
        "lm_68p_photo": faces.landmarks_in_photo(i) - _HALF_PIXEL,
        "lm_5p_photo": faces.five[i] - _HALF_PIXEL,
        "tri": faces.model.triangles.cpu().numpy() + 1,
        "trans_params": faces.alignments[i].trans_params(photo.shape[1::-1]),
    }
    if faces.refined:
        fields["face_shape_pca"] = faces.pca.posed[i].cpu().numpy().astype(np.float32)
        fields["lm_68p_pca"] = faces.pca.landmarks[i].cpu().numpy() - _HALF_PIXEL
    if faces.textured:
        fields["face_texture_pca"] = 255 * faces.pca_albedo[i].cpu().numpy().astype(np.float32)
    return fields


def _write_mat(out: Path, name: str, faces: ReconstructedFaces, i: int, frame: str) -> list[Path]:
    buffer = io.BytesIO()
    savemat(buffer, mat_fields(faces, i), do_compression=True)
    write_file(out / f"{name}.mat", buffer.getvalue())
    return [out / f"{name}.mat"]


def _write_obj(out: Path, name: str, faces: ReconstructedFaces, i: int, frame: str) -> list[Path]:
    """Coloured vertices: the lit face in the wanted frame, and the neutral shape in its own albedo, canonical."""
    model, scene = faces.model, faces.scene(i)
    posed, neutral = out / f"{name}_mesh.obj", out / f"{name}_neutral.obj"
    vertices = in_frame(frame, faces.geometry.shape[i : i + 1].cpu(), scene)
    write_mesh(posed, coloured_mesh(vertices, model.triangles, faces.colours[i : i + 1].clamp(0, 1)))
    write_mesh(
        neutral, coloured_mesh(faces.neutral_shapes()[i : i + 1], model.triangles, faces.albedo[i : i + 1].clamp(0, 1))
    )
    return [posed, neutral]


def _write_glb(out: Path, name: str, faces: ReconstructedFaces, i: int, frame: str) -> list[Path]:
    """With the texture that the photo shows."""
    scene, path = faces.scene(i), out / f"{name}_mesh.glb"
    model = faces.model.to("cpu")
    texture = unwrap(faces.photos[i], scene, 0, model, TEXTURE_PX, "all")
    vertices = in_frame(frame, faces.geometry.shape[i : i + 1].cpu(), scene)[0]
    write_mesh(path, textured_mesh(vertices, model, texture))
    return [path]


def _write_strip(out: Path, name: str, faces: ReconstructedFaces, i: int, frame: str) -> list[Path]:
    path = out / f"{name}_strip.png"
    save_picture(path, strip(faces, i))
    return [path]


def strip(faces: ReconstructedFaces, i: int) -> np.ndarray:
    """(224, W, 3) of the crop: input | face over it | landmarks | shape | normals | depth; where it was refined input |
    face model | refined | normals | depth.
    """
    picture = faces.picture()
    photo = torch.from_numpy(faces.images).to(picture.colours) / 255
    covered = to_bytes(overlay(photo, picture)[i])
    scene = crop_scene(faces, i)
    if faces.refined or faces.textured:
        lit = faces.renderer.lit(faces.coefficients, faces.pca, faces.pca_albedo)
        middle = [to_bytes(overlay(photo, faces.renderer.picture(faces.pca, lit))[i]), covered]
    else:
        dots = with_dots(faces.images[i], faces.geometry.landmarks[i])
        middle = [covered, dots, to_bytes(shape_picture(faces.renderer, faces.geometry).colours[i])]
    tiles = [faces.images[i], *middle, normal_map(scene), colour_depth(scene.depth_mm())]
    return np.concatenate(tiles, 1)


def crop_scene(faces: ReconstructedFaces, i: int) -> Scene:
    """Face i on its crop."""
    geometry, size = faces.geometry, faces.images.shape[1:3]
    return Scene(
        geometry.screen[i : i + 1].cpu(), geometry.posed[i : i + 1].cpu(), faces.model.triangles.cpu(), size, True
    )


def _write_overlay(out: Path, name: str, faces: ReconstructedFaces, i: int, frame: str) -> list[Path]:
    """The shape over the whole photo, with landmarks."""
    path = out / f"{name}_overlay.png"
    scene = faces.scene(i)
    weights = faces.renderer.face_weights.cpu()
    lit = (scene.draw(faces.colours[i : i + 1].cpu()).clamp(0, 1) * 255).round().byte().numpy()
    drawn = over_photo(faces.photos[i], lit, scene.draw(weights)[..., 0] > 0.5, 1.0)
    points = torch.from_numpy(faces.landmarks_in_photo(i))
    height = min(640, drawn.shape[0])
    width = max(1, round(drawn.shape[1] * height / drawn.shape[0]))
    tiles = [cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA) for tile in (drawn, shaded(scene))]
    tiles[0] = with_dots(tiles[0], points * (height / drawn.shape[0]))
    save_picture(path, np.concatenate(tiles, 1))
    return [path]


def _write_depth(out: Path, name: str, faces: ReconstructedFaces, i: int, frame: str) -> list[Path]:
    path = out / f"{name}_depth.png"
    write_depth(path, faces.scene(i).depth_mm())
    return [path]


def _write_landmarks(out: Path, name: str, faces: ReconstructedFaces, i: int, frame: str) -> list[Path]:
    """68 points in the full photo: .pts, and .json with pose and coefficients."""
    points, one = faces.landmarks_in_photo(i), faces.coefficients[i : i + 1]
    write_file(out / f"{name}.pts", format_pts(points))
    content = {
        "convention": "continuous",
        "landmarks": np.round(points, 3).tolist(),
        "pose_deg": dict(zip(("pitch", "yaw", "roll"), one.pose_deg()[0].tolist(), strict=True)),
        "model": faces.model.name,
        "licence": faces.model.licence,
        "coefficients": one.vector()[0].tolist(),
    }
    write_file(out / f"{name}.json", json.dumps(content))
    return [out / f"{name}.pts", out / f"{name}.json"]


WRITERS: dict[str, Callable[[Path, str, ReconstructedFaces, int, str], list[Path]]] = {
    "mat": _write_mat,
    "obj": _write_obj,
    "glb": _write_glb,
    "strip": _write_strip,
    "overlay": _write_overlay,
    "depth": _write_depth,
    "landmarks": _write_landmarks,
}
