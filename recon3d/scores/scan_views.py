"""Pictures of real head scans from many sides under many lights, with the projected landmarks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.readers.scans import Scan
from datasets.synthetic.scene import procedural_backgrounds, random_light
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.raster.shading import sh_basis
from geometry.rotations import rotation_from_euler
from recon3d.reconstruction.renderer import Camera

YAWS_DEG, PITCHES_DEG = (0, -20, 20, -40, 40, -60, 60), (0, -15, 15)
SIZE_PX, OVERSAMPLE = 256, 2
FOCAL_PX = 600.0  # of 256 px: a face is about 120 px high
SKY_SHARE = 0.4  # of the light, so that no side is black
PLAIN = (0.72, 0.55, 0.46)  # albedo of a scan without texture


@dataclass(frozen=True)
class View:
    """image (S, S, 3) uint8 RGB; landmarks (68, 2) continuous px, NaN where the scan has none; angles pitch, yaw in
    degrees.
    """

    image: np.ndarray
    landmarks: np.ndarray
    angles_deg: tuple[float, float]


class ScanRenderer:
    """One placed scan before a pinhole 10 dm away; texture by uv, or one skin tone."""

    def __init__(self, scan: Scan) -> None:
        mesh, self.scan = scan.mesh, scan
        vertices, triangles = torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.triangles)
        # every corner is a vertex of its own, so that seams of the texture stay sharp
        self.vertices = vertices[triangles].flatten(0, 1)
        self.normals = vertex_normals(vertices[None], triangles)[0][triangles].flatten(0, 1)
        self.triangles = torch.arange(len(self.vertices)).view(-1, 3)
        self.uv = None if mesh.uv is None else torch.from_numpy(mesh.uv[mesh.uv_triangles]).float().flatten(0, 1)
        self.texture = None if mesh.texture is None else torch.from_numpy(mesh.texture[..., :3].copy()).float() / 255

    def view(self, pitch: float, yaw: float, light: Tensor, background: Tensor) -> View:
        """light (3, 9) for an ambient term of 0; background (S, S, 3) 0 … 1."""
        rotation = rotation_from_euler(torch.deg2rad(torch.tensor([[float(pitch), float(yaw), 0.0]])))
        camera = Camera(FOCAL_PX * OVERSAMPLE, size=SIZE_PX * OVERSAMPLE)
        screen = camera.project(self.vertices[None] @ rotation.mT)
        normals = self.normals[None] @ rotation.mT
        ids = rasterize(screen, self.triangles, (camera.size, camera.size), perspective=True, allow_empty=True)
        attributes = normals if self.uv is None else torch.cat([normals, self.uv[None]], -1)
        drawn = interpolate(screen, self.triangles, ids, attributes, True)
        facing = F.normalize(torch.where(drawn[..., 2:3] < 0, -drawn[..., :3], drawn[..., :3]), dim=-1)
        colours = self._albedo(drawn[..., 3:]) * (sh_basis(facing) @ light.T).clamp_min(0.02)
        behind = F.interpolate(background.permute(2, 0, 1)[None], (camera.size, camera.size)).permute(0, 2, 3, 1)
        picture = torch.where((ids >= 0)[..., None], colours.clamp(0, 1), behind)
        picture = F.avg_pool2d(picture.permute(0, 3, 1, 2), OVERSAMPLE)[0].permute(1, 2, 0)
        points = torch.from_numpy(np.nan_to_num(self.scan.landmarks)).float()[None] @ rotation.mT
        landmarks = camera.project(points)[0, :, :2].numpy().astype(np.float64) / OVERSAMPLE
        landmarks[np.isnan(self.scan.landmarks[:, 0])] = np.nan
        return View((picture * 255).round().byte().numpy(), landmarks, (float(pitch), float(yaw)))

    def _albedo(self, uv: Tensor) -> Tensor:
        """(1, H, W, 3) at texture coordinates (1, H, W, 2), v up."""
        if self.texture is None:
            return torch.tensor(PLAIN)
        grid = torch.stack([2 * uv[..., 0] - 1, 1 - 2 * uv[..., 1]], -1)
        return F.grid_sample(self.texture.permute(2, 0, 1)[None], grid, align_corners=False).permute(0, 2, 3, 1)

    def views(self, count: int | None = None, seed: int = 0) -> list[View]:
        """The first views of a fixed list: all yaws at each pitch, frontal ones first, each under a light of its
        own.
        """
        angles = [(pitch, yaw) for pitch in PITCHES_DEG for yaw in YAWS_DEG][:count]
        generator = torch.Generator().manual_seed(seed)
        lights = SKY_SHARE * _sky() + (1 - SKY_SHARE) * random_light(len(angles), generator)
        backgrounds = procedural_backgrounds(len(angles), SIZE_PX, generator)
        return [self.view(*pose, light, back) for pose, light, back in zip(angles, lights, backgrounds, strict=True)]


def _sky() -> Tensor:
    """(3, 9) the same light from everywhere."""
    light = torch.zeros(3, 9)
    light[:, 0] = 1.0
    return light


def with_landmarks(scan: Scan, find: Callable[[np.ndarray], np.ndarray | None]) -> Scan:
    """A scan without landmarks with those that a detector finds on its frontal picture, lifted onto its surface.

    Args: find: picture (H, W, 3) uint8 → (68, 2) px, or None. The scan must stand upright and look along z; it is
    centred and
        scaled to be seen whole. Raises: ValueError when no face is found on it.
    """
    vertices = scan.mesh.vertices
    middle, extent = (vertices.min(0) + vertices.max(0)) / 2, np.ptp(vertices, axis=0).max()
    seen = torch.from_numpy((vertices - middle) * (3.2 / extent)).float()[None]
    camera = Camera(FOCAL_PX * OVERSAMPLE, size=SIZE_PX * OVERSAMPLE)
    marked = Scan(scan.name, scan.mesh, np.zeros((68, 3)), 1.0)
    renderer = ScanRenderer(marked)
    renderer.vertices = seen[0][torch.from_numpy(scan.mesh.triangles)].flatten(0, 1)
    picture = renderer.view(0, 0, _sky(), torch.full((SIZE_PX, SIZE_PX, 3), 0.5)).image
    points = find(picture)
    if points is None:
        raise ValueError(f"{scan.name}: no face is found on its frontal picture.")
    triangles = torch.from_numpy(scan.mesh.triangles)
    ids = rasterize(camera.project(seen), triangles, (camera.size, camera.size), perspective=True)
    surface = interpolate(camera.project(seen), triangles, ids, torch.from_numpy(vertices).float()[None], True)[0]
    rows, columns = np.nonzero((ids[0] >= 0).numpy())
    pixels = np.stack([columns, rows], 1) + 0.5
    nearest = [int(np.linalg.norm(pixels - OVERSAMPLE * point, axis=1).argmin()) for point in points]
    lifted = surface[torch.from_numpy(rows[nearest]), torch.from_numpy(columns[nearest])].numpy().astype(np.float64)
    return Scan(scan.name, scan.mesh, lifted, scan.dm_per_unit)
