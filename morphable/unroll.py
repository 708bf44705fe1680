"""Unroll a face onto a cylinder: texture coordinates for models without, and the anchors of the pose-adaptive
feature.
"""

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from geometry.raster.rasteriser import barycentrics, rasterize
from morphable.model import FaceModel, SurfacePoints

ANCHORS = 64
_SIDE_ANGLE = 0.5 * np.pi  # the ends of the jaw line lie at about ±90°
_FOREHEAD = 0.35  # height above the brows that anchors cover, in heights from chin to brows


def cylinder(model: FaceModel) -> Tensor:
    """(N, 3) angle in radians (0 in front, positive to the right of the picture), height dm and radius dm of the mean
    shape.

    The axis is vertical, at x = 0 and at the depth of the ends of the jaw line.
    """
    points = model.points(model.mean, "ibug68")
    axis = points[[0, 16], 2].mean()
    x, y, z = model.mean[:, 0], model.mean[:, 1], model.mean[:, 2] - axis
    return torch.stack([torch.atan2(x, z), y, (x**2 + z**2).sqrt()], dim=-1)


def with_texture_coordinates(model: FaceModel) -> tuple[Tensor, Tensor]:
    """(uv (U, 2), uv_triangles (F, 3)) of the model, or of the cylinder where the model has none.

    Triangles across the back of a closed head, where the cylinder is cut open, end at the cut.
    """
    if model.uv is not None and model.uv_triangles is not None:
        return model.uv, model.uv_triangles
    angle, height, _ = cylinder(model).unbind(-1)
    sides = angle[model.triangles]
    crosses = sides.amax(1) - sides.amin(1) > np.pi
    ends = torch.where(sides < 0, sides.new_tensor(np.pi), sides)[crosses]
    corner_height = height[model.triangles[crosses]]
    uv = torch.cat([torch.stack([angle, height], -1), torch.stack([ends, corner_height], -1).flatten(0, 1)])
    low, high = uv.amin(0), uv.amax(0)
    triangles = model.triangles.clone()
    triangles[crosses] = len(model.mean) + torch.arange(3 * int(crosses.sum()), device=triangles.device).view(-1, 3)
    return 0.01 + 0.98 * (uv - low) / (high - low), triangles


def anchors(model: FaceModel) -> SurfacePoints:
    """64 × 64 points of the surface, even in angle and height, from the upper left of the picture row by row.

    They span ±90° and the height from the chin to the forehead. Each is fixed to a triangle, so identity *and
    expression* move it as they move the mesh. (3DDFA ships anchors of its own whose expression basis is a copy of the
    shape basis.) Where the surface has a hole, such as an eye opening, the anchor is the nearest vertex.
    """
    angle, height, radius = cylinder(model).unbind(-1)
    points = model.points(model.mean, "ibug68")[:, 1]
    chin, brows = points[8], points[17:27].amax()
    top = (brows + _FOREHEAD * (brows - chin)).clamp_max(model.mean[:, 1].amax())
    unrolled = torch.stack([(angle + _SIDE_ANGLE) / (2 * _SIDE_ANGLE), (top - height) / (top - chin)], -1) * ANCHORS
    sides = angle[model.triangles]
    whole = model.triangles[sides.amax(1) - sides.amin(1) <= np.pi]
    screen = torch.cat([unrolled, -radius[:, None]], -1)[None]
    ids = rasterize(screen, whole, (ANCHORS, ANCHORS))
    weights = barycentrics(screen, whole, ids)[0].flatten(0, 1)
    vertices = whole[ids[0].flatten().clamp_min(0)]
    holes = ids[0].flatten() < 0
    row, column = holes.nonzero()[:, 0] // ANCHORS, holes.nonzero()[:, 0] % ANCHORS
    _, nearest = cKDTree(unrolled.cpu().numpy()).query(torch.stack([column, row], -1).cpu().numpy() + 0.5)
    vertices[holes] = torch.as_tensor(nearest, dtype=torch.int64).to(vertices)[:, None]
    weights[holes] = weights.new_tensor([1.0, 0, 0])
    return SurfacePoints(vertices, weights)


def pose_adaptive_feature(photo: np.ndarray, screen: Tensor, points: SurfacePoints, kernel: int = 3) -> np.ndarray:
    """PAF (Zhu et al. 2016): the pixels around each of 64 × 64 anchors, side by side.

    Args: photo (H, W, 3) uint8, mostly the 120 px crop; screen (V, 3) of one face on it; points from `anchors`; kernel,
        odd side of each patch in px.
    Returns: (64·kernel, 64·kernel, 3) uint8. Patches are shifted into the photo where they would leave it.
    Raises: ValueError for an even kernel or a photo smaller than it.
    """
    height, width = photo.shape[:2]
    if kernel < 1 or kernel % 2 == 0 or min(height, width) < kernel:
        raise ValueError(
            f"the kernel of {kernel} px must be odd and no larger than the photo of {width} × {height} px."
        )
    reach = kernel // 2
    centre = torch.floor(points.of(screen)[:, :2]).long().cpu().numpy()
    column = centre[:, 0].clip(reach, width - 1 - reach)
    row = centre[:, 1].clip(reach, height - 1 - reach)
    step = np.arange(-reach, reach + 1)
    tiles = photo[row[:, None, None] + step[:, None], column[:, None, None] + step]
    grid = tiles.reshape(ANCHORS, ANCHORS, kernel, kernel, -1).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid.reshape(ANCHORS * kernel, ANCHORS * kernel, -1))
