"""Face profiling: photos turned out of plane by their fitted meshes, as 300W-LP was made, a whole batch at once on the
device.

Zhu et al. 2016, section 5: the face moves with its mesh, what surrounds it follows, and hidden parts must be filled.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.rotations import rotation_from_euler
from morphable.model import FaceModel
from morphable.texture import mirror_ids
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.params import DEPTH_COLUMN, Layout, Parts, join

TOLERANCE = 0.02  # of the crop's side: a point this far behind the surface is still seen
STRETCH = (1.5, 3.0)  # growth of a point's area by the turn: below it is painted from the photo, above it is filled
LEAST_FACING = (
    0.2,
    0.5,
)  # cosine to the line of sight from which, and up to which, a mirrored point counts as evidence
RIM = 0.02  # of the side: skin beside a fit that is too small, not to be left behind
RIM_DEG = 10.0  # turn from which all of the rim is taken away


def turned(parameters: Tensor, layout: Layout, decoder: FaceDecoder, angles: Tensor) -> Tensor:
    """Parameters of faces turned about the middle of their vertices.

    Args: parameters (B, P); angles (B, 3) pitch, yaw, roll in radians, applied after the face's own rotation.
    Returns: (B, P); t_z stays as it is.
    """
    parts = layout.split(parameters)
    rotation = rotation_from_euler(angles)
    centre = decoder(parameters).mean(1)
    translation = (rotation @ (parts.translation - centre)[..., None])[..., 0] + centre
    moved = join(Parts(rotation @ parts.matrix, translation, parts.identity, parts.expression))
    moved[:, DEPTH_COLUMN] = parameters[:, DEPTH_COLUMN]
    return moved


class FaceProfiler:
    """Turns crops with fitted parameters out of plane.

    A pixel of the turned face shows what the photo shows of the same point of the surface. Points that the photo hides
    or shows edge-on come from the mirrored point where that is seen well, else from their neighbours' colours. The
    surroundings are carried along, less and less toward the crop's borders; where the face was, they are filled in.
    Args: model; layout of the parameters, which count in the continuous convention.
    """

    def __init__(self, model: FaceModel, layout: Layout) -> None:
        self.layout, self.triangles, self.partners = layout, model.triangles, mirror_ids(model)
        self.decoder = FaceDecoder(model, layout).to(model.mean.device)

    @torch.no_grad()
    def __call__(self, images: Tensor, parameters: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) 0 … 255, (B, P), (B, 3) radians pitch, yaw, roll → turned pictures float32 and their
        parameters.
        """
        images, side = images.float(), images.shape[-1]
        new = turned(parameters, self.layout, self.decoder, angles)
        (before, facing), (after, facing_after) = (self._screen(p, side) for p in (parameters, new))
        seen_before, ids = (
            rasterize(s, self.triangles, (side, side), False, True, allow_empty=True) for s in (before, after)
        )
        surface = torch.where(
            seen_before >= 0, interpolate(before, self.triangles, seen_before, before[..., 2:])[..., 0], torch.inf
        )
        source = torch.cat([before, facing], dim=-1)
        attributes = torch.cat([source, source[:, self.partners], facing_after], dim=-1)
        own, mirrored, now = interpolate(after, self.triangles, ids, attributes).split([4, 4, 1], dim=-1)
        covered = (ids >= 0)[:, None].float()

        growth = now[..., 0] / own[..., 3].clamp_min(1e-3)
        share = (_seen(own, surface) * (1 - _ramp(growth, STRETCH)))[:, None]
        witness = (_seen(mirrored, surface) * _ramp(mirrored[..., 3], LEAST_FACING))[:, None] * (1 - share)
        known = share + witness
        colours = share * sample(images, own[..., :2]) + witness * sample(images, mirrored[..., :2])
        face = spread(colours / known.clamp_min(1e-6), known * covered)
        flow = spread(own[..., :2].permute(0, 3, 1, 2) - _centres(side, images), share * covered)
        turn = torch.rad2deg(angles[:, :2].norm(dim=1) / RIM_DEG).clamp(max=1)[:, None, None, None]
        backdrop = self._backdrop(images, (seen_before >= 0)[:, None].float(), covered, flow, turn)
        alpha = covered * (1 - turn * (1 - F.avg_pool2d(covered, 3, 1, 1)))  # a soft edge that adds nothing to the face
        return alpha * face + (1 - alpha) * backdrop, new

    def _screen(self, parameters: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """(B, V, 3) px and depth, (B, V, 1) cosine to the line of sight."""
        points = self.decoder(parameters)
        facing = vertex_normals(points, self.triangles, "area")[..., 2:]
        flat = CONVENTIONS["continuous"].to_crop(points, side, torch.ones_like(parameters[:, 0]))
        return flat * flat.new_tensor([1.0, 1.0, -1.0]), facing

    def _backdrop(self, images: Tensor, was: Tensor, now: Tensor, flow: Tensor, turn: Tensor) -> Tensor:
        """The surroundings, carried along and without the face; holes of the mesh, as in an open mouth, keep what they
        show.
        """
        side = images.shape[-1]
        here, rim = _centres(side, images), max(1, round(RIM * side))
        near = _grown(was, rim)
        hidden = torch.maximum(was, near * turn)
        clean = images * (1 - hidden) + spread(images, 1 - near) * hidden
        steps = here[0, 0, 0]
        border = torch.minimum(steps, side - steps) / (side / 6)
        weight = _soft(torch.maximum(was, now)) * torch.minimum(border[:, None], border).clamp(max=1)
        outside = sample(clean, (here + flow * weight).permute(0, 2, 3, 1))
        hole = 1 - _grown(1 - _grown(now, 2 * rim), 2 * rim)
        return torch.where(hole > now, sample(images, (here + flow).permute(0, 2, 3, 1)), outside)


def _centres(side: int, like: Tensor) -> Tensor:
    """(1, 2, S, S) x and y of the pixels' centres."""
    steps = torch.arange(side, device=like.device, dtype=like.dtype) + 0.5
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"))[None]


def _grown(mask: Tensor, by: int) -> Tensor:
    return F.max_pool2d(mask, 2 * by + 1, 1, by)


def sample(images: Tensor, places: Tensor) -> Tensor:
    """Bilinear samples of (B, C, H, W) at (B, h, w, 2) continuous px, the border's value outside."""
    size = places.new_tensor([images.shape[-1], images.shape[-2]])
    return F.grid_sample(images, 2 * places / size - 1, padding_mode="border", align_corners=False)


def spread(values: Tensor, weights: Tensor) -> Tensor:
    """Fill in (B, C, H, W) where weights (B, 1, H, W), 0 … 1, are small, from the nearest others (push-pull)."""
    if min(values.shape[-2:]) <= 1:
        return values
    low = F.avg_pool2d(weights, 2, ceil_mode=True)
    coarse = F.avg_pool2d(values * weights, 2, ceil_mode=True) / low.clamp_min(1e-6)
    filled = F.interpolate(spread(coarse, (4 * low).clamp(max=1)), size=values.shape[-2:], mode="bilinear")
    return weights * values + (1 - weights) * filled


def _seen(points: Tensor, surface: Tensor) -> Tensor:
    """(B, H, W) whether points (B, H, W, 4: x, y, depth, facing) face the camera and lie on the surface (B, S, S) of
    depths.
    """
    side = surface.shape[-1]
    columns, rows = (points[..., axis].long().clamp(0, side - 1) for axis in (0, 1))
    there = surface.flatten(1).gather(1, (rows * side + columns).flatten(1)).view_as(rows)
    inside = ((points[..., :2] >= 0) & (points[..., :2] < side)).all(-1)
    return (inside & (points[..., 2] <= there + TOLERANCE * side) & (points[..., 3] > 0)).float()


def _ramp(values: Tensor, ends: tuple[float, float]) -> Tensor:
    return ((values - ends[0]) / (ends[1] - ends[0])).clamp(0, 1)


def _soft(mask: Tensor) -> Tensor:
    """A mask (B, 1, S, S) with a slope of about a fifth of the side around it."""
    wide = F.max_pool2d(F.avg_pool2d(mask, 4, ceil_mode=True), 5, 1, 2)
    for _ in range(2):
        wide = F.avg_pool2d(wide, 7, 1, 3, count_include_pad=False)
    return F.interpolate(wide, size=mask.shape[-2:], mode="bilinear")
