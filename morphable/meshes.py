"""Reconstructed faces as meshes to be written by `common.files.meshes`: in which frame, and with which colours."""

import numpy as np
import torch
from torch import Tensor

from common.files.meshes import Mesh, join
from morphable.model import FaceModel
from morphable.scene import Scene
from morphable.texture import UnwrappedTexture, photo_colours

FRAMES = ("canonical", "posed", "image")


def in_frame(frame: str, shapes: Tensor, scene: Scene | None = None) -> Tensor:
    """(n, V, 3) vertices in a frame; all are right-handed with y up.

    Args:
        frame: "canonical", the unposed head in dm; "posed", turned as in the photo, dm; "image", on the photo in px
            with y up from its lower edge (what 3DDFA writes).
        shapes: (n, V, 3) unposed, dm. scene: needed for all but "canonical".
    Raises: ValueError for an unknown frame, or one that needs a scene.
    """
    if frame not in FRAMES:
        raise ValueError(f"unknown frame '{frame}'; choose one of {', '.join(FRAMES)}.")
    if frame == "canonical":
        return shapes
    if scene is None:
        raise ValueError(f"the frame '{frame}' needs a scene.")
    return scene.posed if frame == "posed" else scene.image_vertices


def coloured_mesh(vertices: Tensor, triangles: Tensor, colours: Tensor | None) -> Mesh:
    """One mesh of all faces: vertices (n, V, 3), triangles (F, 3), colours (n, V, 3) 0 … 1 or None."""
    points, faces = vertices.detach().double().cpu().numpy(), triangles.cpu().numpy()
    tints = [None] * len(points) if colours is None else colours.detach().double().cpu().numpy()
    return join([Mesh(p, faces, c) for p, c in zip(points, tints)])


def scene_colours(photo: np.ndarray, scene: Scene) -> Tensor:
    """(n, V, 3) colours of all vertices in the photo, hidden ones like their nearest visible neighbour; 0 … 1."""
    return torch.stack([photo_colours(photo, scene, face)[0] for face in range(len(scene.screen))])


def textured_mesh(vertices: Tensor, model: FaceModel, texture: UnwrappedTexture) -> Mesh:
    """One face, vertices (V, 3), with its unwrapped texture."""
    points, uv = (t.detach().double().cpu().numpy() for t in (vertices, texture.uv))
    triangles, uv_triangles = (t.cpu().numpy() for t in (model.triangles, texture.uv_triangles))
    return Mesh(points, triangles, uv=uv, uv_triangles=uv_triangles, texture=texture.picture)
