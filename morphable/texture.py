"""The face's texture, unwrapped from the photo through its mesh; texels that the photo does not show are left out or
mirrored.

Every texel of the texture is a point of the surface. It goes to the photo with the mesh; it is seen if it lies inside
the photo, faces the camera, and no face of the scene lies in front of it.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor

from geometry.raster.rasteriser import barycentrics, rasterize
from geometry.units import MM_PER_DM
from morphable.model import FaceModel
from morphable.scene import Scene
from morphable.unroll import with_texture_coordinates

COMPLETIONS = ("none", "symmetry", "all")
_TOLERANCE_MM = 2.0  # how far behind the visible surface a texel may lie and still be that surface
_LEAST_COSINE = 0.17  # surfaces steeper than 80° are smeared over too few pixels
_STEEP_COSINE = 0.5  # below it the mirrored side is the better witness, if it is seen at a better angle
_PURE = 0.99  # least weight, in the interpolation, of pixels that show the face itself
_MARGIN_TEXELS = 8  # colours run on that far beyond the surface, so that filtering at seams finds no background


@dataclass(frozen=True)
class UnwrappedTexture:
    """A texture and where its colours come from."""

    picture: np.ndarray  # (H, W, 4) uint8 RGBA, alpha 0 where there is no colour
    visible: np.ndarray  # (H, W) bool: texels that the photo shows
    uv: Tensor  # (U, 2), v up
    uv_triangles: Tensor  # (F, 3)


def unwrap(
    photo: np.ndarray, scene: Scene, face: int, model: FaceModel, size: int = 512, complete: str = "none"
) -> UnwrappedTexture:
    """The texture of one face of a scene.

    Args:
        photo: (H, W, 3) uint8, of the scene's size.
        scene, face: all faces of the photo, and the number of the one to unwrap.
        model: gives texture coordinates (a cylinder's if it has none) and mirror partners.
        size: side of the texture in texels.
        complete: "none" leaves hidden texels transparent, "symmetry" takes them from the mirrored point where that is
            seen and blends steep ones with it, "all" also fills what then remains with the nearest colour.
    Raises: ValueError for a photo of another size, an unknown way to complete or a face that the photo does not show.
    """
    if photo.shape[:2] != tuple(scene.size):
        raise ValueError(
            f"the photo has {photo.shape[1]} × {photo.shape[0]} px, the scene {scene.size[1]} × {scene.size[0]}."
        )
    if complete not in COMPLETIONS:
        raise ValueError(f"complete is '{complete}'; choose one of {', '.join(COMPLETIONS)}.")
    uv, uv_triangles = with_texture_coordinates(model)
    filled, corners, weights = _texels(uv, uv_triangles, model.triangles.to(uv_triangles), size)
    colours, facing = _look_up(photo, scene, face, corners, weights)
    seen = known = facing > 0
    if complete != "none":
        mirrored, mirror_facing = _look_up(photo, scene, face, mirror_ids(model)[corners], weights)
        share = _mirror_share(facing, mirror_facing)[:, None]
        colours, known = (1 - share) * colours + share * mirrored, seen | (mirror_facing > 0)
    if not known.any():
        raise ValueError(f"face {face} of the photo: no texel of its texture is visible.")
    picture, visible = np.zeros((size, size, 4), np.uint8), np.zeros((size, size), bool)
    has_colour, on_surface = np.zeros((size, size), bool), filled.cpu().numpy()
    picture[on_surface, :3] = colours.round().clamp(0, 255).byte().cpu().numpy()
    visible[on_surface], has_colour[on_surface] = seen.cpu().numpy(), known.cpu().numpy()
    opaque = on_surface if complete == "all" else has_colour
    return UnwrappedTexture(_extend(picture, has_colour, opaque, on_surface), visible, uv, uv_triangles)


def photo_colours(photo: np.ndarray, scene: Scene, face: int) -> tuple[Tensor, Tensor]:
    """Colours of one face's vertices in the photo, (V, 3) 0 … 1, and which of them are seen, (V,) bool.

    A hidden vertex takes the colour of the seen vertex that is nearest on the mesh's screen.
    """
    count = scene.screen.shape[1]
    corners = torch.arange(count, device=scene.screen.device)[:, None].expand(-1, 3)
    weights = scene.screen.new_tensor([1.0, 0, 0]).expand(count, 3)
    colours, facing = _look_up(photo, scene, face, corners, weights)
    seen = facing > 0
    if seen.any() and not seen.all():
        places = scene.screen[face, :, :2].cpu().numpy()
        _, nearest = cKDTree(places[seen.cpu().numpy()]).query(places[(~seen).cpu().numpy()])
        colours[~seen] = colours[seen][torch.as_tensor(nearest).to(colours.device)]
    return colours / 255, seen


def _texels(uv: Tensor, uv_triangles: Tensor, triangles: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which texels lie on the surface (H, W) bool, and of those (T, 3) vertices and (T, 3) barycentric weights."""
    flat = torch.stack([uv[:, 0] * size, (1 - uv[:, 1]) * size, torch.zeros_like(uv[:, 0])], dim=-1)[None]
    ids = rasterize(flat, uv_triangles, (size, size))
    weights = barycentrics(flat, uv_triangles, ids)
    filled = ids[0] >= 0
    return filled, triangles[ids[0][filled]], weights[0][filled]


def mirror_ids(model: FaceModel) -> Tensor:
    """(N,) mirror partner of each vertex; for an asymmetric mean shape the vertex nearest to the mirror image."""
    if model.symmetry is not None:
        return model.symmetry
    mean = model.mean.cpu().numpy()
    _, partner = cKDTree(mean).query(mean * (-1, 1, 1))
    return torch.as_tensor(partner, dtype=torch.int64).to(model.triangles.device)


def _look_up(photo: np.ndarray, scene: Scene, face: int, corners: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (T, 3) 0 … 255 of points of one face in the photo, and the cosine to the line of sight (T,), 0 if not
    seen.
    """
    screen = scene.screen[face]
    place = _project(screen[corners], weights, scene.perspective)
    height, width = scene.size
    inside = (place[:, 0] >= 0) & (place[:, 0] < width) & (place[:, 1] >= 0) & (place[:, 1] < height)
    behind_mm = (place[:, 2] - _surface_depth(scene, place)) * MM_PER_DM
    facing = (scene.facing[face][corners] * weights).sum(1)
    image = torch.from_numpy(np.ascontiguousarray(photo)).to(place)
    sampled = _sample(torch.cat([image, (scene.faces == face).to(place)[..., None]], dim=-1), place[:, :2])
    # At the outline, pixels of the background or of another face must not take part in the interpolation.
    pure = sampled[:, 3] > _PURE
    seen = inside & pure & (behind_mm <= _TOLERANCE_MM) & (facing > _LEAST_COSINE)
    return sampled[:, :3], torch.where(seen, facing, 0.0)


def _mirror_share(facing: Tensor, mirror_facing: Tensor) -> Tensor:
    """Share (T,) of the mirrored colour: 1 where only that is seen, rising from 0 as the surface turns away from the
    camera.
    """
    steep = ((_STEEP_COSINE - facing) / (_STEEP_COSINE - _LEAST_COSINE)).clamp(0, 1)
    return torch.where(mirror_facing > facing, torch.where(facing > 0, steep, 1.0), 0.0)


def _project(corners: Tensor, weights: Tensor, perspective: bool) -> Tensor:
    """Screen position (T, 3) of points given by barycentric weights on the surface: corners (T, 3, 3), weights (T,
    3).
    """
    if not perspective:
        return (corners * weights[..., None]).sum(1)
    # A pinhole's x and y are linear in space only after multiplication by the depth.
    scaled = weights * corners[..., 2]
    depth = scaled.sum(1, keepdim=True)
    return torch.cat([(corners[..., :2] * scaled[..., None]).sum(1) / depth, depth], dim=1)


def _surface_depth(scene: Scene, place: Tensor) -> Tensor:
    """Depth (T,) of the scene's visible surface at continuous positions: the plane of the triangle that the pixel there
    sees.

    Infinite where nothing is.
    """
    height, width = scene.size
    column, row = place[:, 0].floor().long().clamp(0, width - 1), place[:, 1].floor().long().clamp(0, height - 1)
    ids = scene.ids[0, row, column]
    corners = scene.joined[0][scene.all_triangles[ids.clamp_min(0)]]
    # A plane in space is linear in the screen in depth, or for a pinhole in 1 / depth.
    level = 1 / corners[..., 2] if scene.perspective else corners[..., 2]
    (x0, y0), (x1, y1), (x2, y2) = ((corners[:, i, :2] - place[:, :2]).unbind(-1) for i in range(3))
    edges = torch.stack([x1 * y2 - y1 * x2, x2 * y0 - y2 * x0, x0 * y1 - y0 * x1], -1)
    total = edges.sum(-1)
    inner = (edges / torch.where(total == 0, 1, total)[:, None]).clamp(0, 1)  # no reaching beyond it
    at = (inner / inner.sum(1, keepdim=True) * level).sum(1)
    return torch.where(ids >= 0, 1 / at if scene.perspective else at, torch.inf)


def _sample(image: Tensor, place: Tensor) -> Tensor:
    """Bilinear values (T, C) of an image (H, W, C) at continuous positions (T, 2); the border pixel outside."""
    height, width = image.shape[:2]
    grid = place / place.new_tensor([width, height]) * 2 - 1
    found = F.grid_sample(image.permute(2, 0, 1)[None], grid[None, None], padding_mode="border", align_corners=False)
    return found[0, :, 0].T


def _extend(picture: np.ndarray, has_colour: np.ndarray, opaque: np.ndarray, on_surface: np.ndarray) -> np.ndarray:
    """Colour texels without colour like the nearest that has one; alpha 255 for opaque ones and a margin off the
    surface.
    """
    row, column = distance_transform_edt(~has_colour, return_distances=False, return_indices=True)
    margin = ~on_surface & (distance_transform_edt(~opaque) <= _MARGIN_TEXELS)
    out = picture[row, column]
    out[..., 3] = np.where(opaque | margin, 255, 0)
    return out
