"""Rendered faces with exact truth: an endless, seeded stream of batches.

    faces = SyntheticFaces(load_face_model("head"), SyntheticSettings(size_px=128), seed=0)
    batch = faces.batch(index=7, count=32)      # the same index gives the same batch

Identity, expression, pose to ±90°, skin, light, eyes, hair, hats, glasses, hands, background and camera are random.
Colours are painted per pixel, so detail does not depend on the mesh.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datasets.synthetic.accessories import Accessories, Tailor, Wardrobe
from datasets.synthetic.scene import photograph, procedural_backgrounds, random_light
from datasets.synthetic.skin import (
    Complexion,
    Surface,
    grain_coordinates,
    paint,
    random_complexions,
    skin_colour,
    surface_of,
)
from geometry.cameras import weak_perspective
from geometry.mesh.contour import silhouette_choice
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import barycentrics, rasterize
from geometry.raster.shading import sh_basis
from geometry.rotations import rotation_from_euler
from morphable.model import FaceModel

IRIS_RADIUS, PUPIL_RADIUS = 0.058, 0.021  # dm
OCCLUSION_TOLERANCE = 0.06  # dm that something must lie in front of a landmark to hide it
SHININESS, SPECULAR = 18.0, 0.12
FACES_AT_ONCE = 4


@dataclass(frozen=True)
class SyntheticSettings:
    """What the faces look like."""

    size_px: int = 160  # side of the square pictures
    oversample: int = 2  # pixels are averages of oversample² samples
    face_share: tuple[float, float] = (0.42, 0.62)  # height of the 68 landmarks of a frontal face over the side
    offset_share: float = 0.06  # how far the face's centre lies from the picture's, over the side
    yaw_std_deg: float = 28.0  # of most faces
    any_yaw: float = 0.25  # share of faces with any yaw up to ±90°
    pitch_std_deg: float = 11.0
    roll_std_deg: float = 9.0
    identity_std: float = 1.0  # spread of identity in units of the model's prior
    expressive: float = 0.75  # share of faces with an expression
    wardrobe: Wardrobe = field(default_factory=Wardrobe)


@dataclass(frozen=True)
class SyntheticBatch:
    """B faces and everything that is known of them. Pixels are continuous, y down, depth toward the viewer where named
    z.
    """

    images: Tensor  # (B, S, S, 3) uint8 RGB
    landmarks: dict[str, Tensor]  # scheme → (B, K, 3) x, y px and z px toward the viewer, fixed to the skin
    landmarks_2d: Tensor  # (B, 68, 2) as 300-W marks them: the far jaw lies on the silhouette
    visibility: dict[str, Tensor]  # scheme → (B, K) 0 or 1: seen by the camera, through accessories too
    depth: Tensor  # (B, S, S) z px toward the viewer; NaN in the background
    normals: Tensor  # (B, S, S, 3) unit, camera frame; 0 in the background
    skin: Tensor  # (B, S, S) bool, facial skin that is seen
    identity: Tensor  # (B, Ki)
    expression: Tensor  # (B, Ke)
    rotation: Tensor  # (B, 3, 3)
    angles_deg: Tensor  # (B, 3) pitch, yaw, roll, convention aflw2000
    scale: Tensor  # (B,) px per dm
    translation: Tensor  # (B, 2) px
    gamma: Tensor  # (B, 3, 9) light, for sh_shade with ambient = 0

    def __len__(self) -> int:
        return len(self.images)


Backgrounds = Callable[
    [int, int, torch.Generator], Tensor
]  # (count, size, generator) → (count, size, size, 3) in 0 … 1


class SyntheticFaces:
    """Batches by index; any two machines that run the same torch draw the same people."""

    def __init__(
        self,
        model: FaceModel,
        settings: SyntheticSettings = SyntheticSettings(),
        seed: int = 0,
        device: torch.device | str = "cpu",
        backgrounds: Backgrounds | None = None,
    ) -> None:
        """backgrounds: what lies behind the heads; default `procedural_backgrounds`;
        `datasets.synthetic.backgrounds.PhotoBackgrounds` cuts them from photos."""
        self.model, self.settings, self.seed = model.to(device), settings, seed
        self.device = torch.device(device)
        self.tailor = Tailor(self.model)
        self.backgrounds = backgrounds or procedural_backgrounds
        self.pupils = self.model.points(self.model.mean, "wflw98")[96:98]
        surface = surface_of(self.model)
        names = [name for name in Surface.__dataclass_fields__ if name not in ("positions", "iris", "pupil")]
        self.region_names = names
        self.painted = torch.cat([surface.positions, torch.stack([getattr(surface, name) for name in names], -1)], -1)

    def batch(self, index: int, count: int) -> SyntheticBatch:
        """Faces number index·count … of the stream. Raises: ValueError for count < 1."""
        if count < 1:
            raise ValueError(f"a batch of {count} faces; ask for at least one.")
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, index, count))
        identity, expression = self._shapes(count, generator)
        people = random_complexions(count, generator, self.device)
        rotation, angles, scale, translation = self._cameras(count, generator)
        head = self.model.shape(identity, expression)
        tone = skin_colour(people.melanin, people.blood)
        worn = self.tailor.dress(head, people.hair, tone, self.settings.wardrobe, generator)
        vertices = torch.cat([head, worn.vertices], 1)
        triangles = torch.cat([self.model.triangles, worn.triangles + self.model.num_vertices])
        screen = weak_perspective(vertices, rotation, scale, translation)
        normals = vertex_normals(vertices @ rotation.mT, triangles, "area")
        gamma = random_light(count, generator).to(self.device)
        size, factor = self.settings.size_px, self.settings.oversample
        fine = screen * factor
        ids = rasterize(fine, triangles, (size * factor,) * 2, allow_empty=True)
        weights = barycentrics(fine, triangles, ids)
        scene = self._shade(ids, weights, triangles, normals, worn, people, gamma, generator)
        background = self.backgrounds(count, size, generator).to(self.device)
        images = scene["colour"] + background * (1 - scene["alpha"])
        images = (photograph(images, generator) * 255).round().to(torch.uint8)
        z = self._pick(ids, weights, triangles, -screen[..., 2:])[..., 0]
        picked = slice(factor // 2, None, factor)
        depth = torch.where(ids >= 0, z, torch.nan)[:, picked, picked]
        landmarks, visibility = self._landmarks(screen, torch.where(ids >= 0, z, -torch.inf), scale, factor)
        return SyntheticBatch(
            images=images,
            landmarks=landmarks,
            landmarks_2d=self._drawn_landmarks(head, screen, rotation, landmarks["ibug68"]),
            visibility=visibility,
            depth=depth,
            normals=scene["normals"][:, picked, picked],
            skin=scene["skin"][:, picked, picked],
            identity=identity,
            expression=expression,
            rotation=rotation,
            angles_deg=angles,
            scale=scale,
            translation=translation,
            gamma=gamma,
        )

    def _shapes(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Coefficients from the priors; blendshapes are sparse, left and right mostly together."""
        model, settings = self.model, self.settings
        identity = (
            torch.randn(count, model.sizes[0], generator=generator) * settings.identity_std * model.identity_std.cpu()
        )
        if model.expression_prior == "unit":
            expression = _random_blendshapes(count, model.expression_names, generator)
        else:
            expression = torch.randn(count, model.sizes[1], generator=generator) * model.expression_std.cpu()
        expression = expression * (torch.rand(count, 1, generator=generator) < settings.expressive)
        return identity.to(self.device), expression.to(self.device)

    def _cameras(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rotation, angles in degrees, scale and translation that put the face into the middle of the picture."""
        settings = self.settings
        yaw = torch.randn(count, generator=generator) * settings.yaw_std_deg
        anything = torch.rand(count, generator=generator) * 180 - 90
        yaw = torch.where(torch.rand(count, generator=generator) < settings.any_yaw, anything, yaw).clamp(-90, 90)
        pitch = torch.randn(count, generator=generator) * settings.pitch_std_deg
        roll = torch.randn(count, generator=generator) * settings.roll_std_deg
        angles = torch.stack([pitch.clamp(-40, 40), yaw, roll], -1)
        rotation = rotation_from_euler(torch.deg2rad(angles))
        points = self.model.points(self.model.mean, "ibug68").cpu()
        height = float(points[:, 1].max() - points[:, 1].min())
        low, high = settings.face_share
        share = low + (high - low) * torch.rand(count, generator=generator)
        scale = share * settings.size_px / height
        middle = points.mean(0).expand(count, 3)
        centre = (rotation @ middle[..., None])[:, :2, 0] * scale[:, None] * torch.tensor([1.0, -1.0])
        jitter = (torch.rand(count, 2, generator=generator) * 2 - 1) * settings.offset_share * settings.size_px
        translation = settings.size_px / 2 + jitter - centre
        return tuple(t.to(self.device) for t in (rotation, angles, scale, translation))

    def _pick(self, ids: Tensor, weights: Tensor, triangles: Tensor, attributes: Tensor) -> Tensor:
        """(B, V, C) attributes at every pixel (B, H, W, C); 0 in the background."""
        corners = triangles[ids.clamp_min(0)]
        out = 0.0
        for corner in range(3):
            index = corners[..., corner].flatten(1)[..., None].expand(-1, -1, attributes.shape[-1])
            out = out + weights[..., corner, None] * attributes.gather(1, index).unflatten(1, ids.shape[1:])
        return out

    def _shade(
        self, ids, weights, triangles, normals, worn: Accessories, people, gamma, generator
    ) -> dict[str, Tensor]:
        """Premultiplied colours (B, S, S, 3), alpha (B, S, S, 1), and fine normals and skin mask."""
        count, num_vertices = normals.shape[:2]
        seeds = torch.randint(0, 2**31 - 1, (count,), generator=generator)
        rest = torch.cat([self.painted[:, :3].expand(count, -1, -1), worn.vertices], 1)
        facing = torch.where(normals[..., 2:] < 0, -normals, normals)  # sheets are lit on both sides
        light = (sh_basis(facing) @ gamma.mT).clamp_min(0.02)
        own = torch.cat([facing, light, grain_coordinates(rest, seeds)], -1).flatten(0, 1)
        extra = worn.vertices.shape[1]
        shared = torch.cat([self.painted, self.painted.new_zeros(extra, self.painted.shape[1])])
        skin = torch.cat([self.model.regions["skin"], self.painted.new_zeros(extra)])[:, None]
        covered = ids >= 0
        out = {
            "colour": torch.zeros(*ids.shape, 4, device=ids.device),
            "normals": torch.zeros(*ids.shape, 3, device=ids.device),
            "skin": torch.zeros_like(covered),
        }
        step = FACES_AT_ONCE if ids.device.type == "cpu" else count
        for group in (slice(first, first + step) for first in range(0, count, step)):
            # groups keep the per-pixel work in the processor's cache
            seen = covered[group].nonzero(as_tuple=True)
            person = seen[0] + group.start
            corners, blend = triangles[ids[group][seen]], weights[group][seen]
            points = _blend(shared, corners, blend)
            normal, shade, grain = _blend(own, corners + person[:, None] * num_vertices, blend).split(3, -1)
            accessory = corners[:, 0] >= self.model.num_vertices
            colour = self._colours(points, grain, people.at(person))
            piece = _accessory_colours(
                worn, corners[accessory] - self.model.num_vertices, person[accessory], grain[accessory]
            )
            colour[accessory] = piece
            normal = functional.normalize(normal, dim=-1)
            gloss = SPECULAR * normal[:, 2].clamp_min(0) ** SHININESS * shade.mean(-1) * ~accessory
            colour = (colour * shade + gloss[:, None]).clamp(0, 1)
            out["colour"][group][seen] = torch.cat([colour, torch.ones_like(colour[:, :1])], -1)
            out["normals"][group][seen] = normal
            out["skin"][group][seen] = _blend(skin, corners, blend)[:, 0] > 0.5
        averaged = functional.avg_pool2d(out["colour"].permute(0, 3, 1, 2), self.settings.oversample).permute(
            0, 2, 3, 1
        )
        return out | {"colour": averaged[..., :3], "alpha": averaged[..., 3:]}

    def _colours(self, points: Tensor, grain: Tensor, owners: Complexion) -> Tensor:
        """(P, 3) albedo of points (P, 3 + regions) of the heads."""
        positions = points[:, :3]
        values = dict(zip(self.region_names, points[:, 3:].unbind(-1), strict=True))
        distance = (positions[:, None] - self.pupils).norm(dim=-1).amin(-1)
        iris = ((IRIS_RADIUS - distance) / 0.008).clamp(0, 1) * values["eyeball"]
        pupil = ((PUPIL_RADIUS - distance) / 0.006).clamp(0, 1) * values["eyeball"]
        return paint(Surface(positions=positions, iris=iris, pupil=pupil, **values), owners, grain)

    def _landmarks(self, screen: Tensor, fine_z: Tensor, scale: Tensor, factor: int) -> tuple[dict, dict]:
        """Landmarks of all schemes and whether the camera sees them."""
        landmarks, visibility = {}, {}
        side = fine_z.shape[-1]
        for name, points in self.model.landmarks.items():
            at = points.of(screen)
            z = -at[..., 2]
            column, row = ((at[..., axis] * factor).long().clamp(0, side - 1) for axis in (0, 1))
            nearest = fine_z.flatten(1).gather(1, row * side + column)
            inside = ((at[..., :2] >= 0) & (at[..., :2] < self.settings.size_px)).all(-1)
            seen = nearest - z < OCCLUSION_TOLERANCE * scale[:, None]
            landmarks[name] = torch.cat([at[..., :2], z[..., None]], -1)
            visibility[name] = (seen & inside).float()
        return landmarks, visibility

    def _drawn_landmarks(self, head: Tensor, screen: Tensor, rotation: Tensor, fixed: Tensor) -> Tensor:
        """(B, 68, 2): as annotators mark them, jaw points of the far side on the silhouette."""
        if self.model.contour is None:
            return fixed[..., :2]
        lines = self.model.contour
        choice, moved = silhouette_choice(head[:, lines], rotation)
        chosen = lines[torch.arange(len(lines), device=choice.device), choice]  # (B, 17) vertex ids
        slid = screen[..., :2].gather(1, chosen[..., None].expand(-1, -1, 2))
        jaw = torch.where(moved[..., None], slid, fixed[:, : len(lines), :2])
        return torch.cat([jaw, fixed[:, len(lines) :, :2]], 1)


def mixed_seed(*numbers: int) -> int:
    """One seed of 63 bits from several integers of any sign, the same on every machine and in every version."""
    words = [number & 0xFFFFFFFFFFFFFFFF for number in numbers]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


def _blend(table: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of table rows: (V, C), (P, 3), (P, 3) → (P, C)."""
    return functional.embedding_bag(corners, table, per_sample_weights=weights, mode="sum")


def _accessory_colours(worn: Accessories, corners: Tensor, person: Tensor, grain: Tensor) -> Tensor:
    """(P, 3) colours of points of accessories; hair varies along its strands."""
    colour = worn.colours[person, corners[:, 0]]
    strands = worn.strands[corners[:, 0]]
    wave = torch.sin(grain @ grain.new_tensor([41.0, 7.0, 37.0])) * torch.sin(
        grain @ grain.new_tensor([-23.0, 5.0, 61.0])
    )
    return (colour * (1 + 0.35 * strands * wave)[:, None]).clamp(0, 1)


def _random_blendshapes(count: int, names: tuple[str, ...], generator: torch.Generator) -> Tensor:
    """(B, Ke) weights in 0 … 1: a few active units a face; partners of the two sides move mostly together."""
    stems = [name.removesuffix("Left").removesuffix("Right") for name in names]
    unique = sorted(set(stems))
    column = torch.tensor([unique.index(stem) for stem in stems])
    share = torch.tensor([BUSY_UNITS.get(stem, 0.12) for stem in unique])
    active = torch.rand(count, len(unique), generator=generator) < share
    strength = torch.rand(count, len(unique), generator=generator) * active
    sides = 1 + 0.25 * torch.randn(count, len(names), generator=generator)
    weights = (strength[:, column] * sides).clamp(0, 1)
    values = {name: i for i, name in enumerate(names)}
    if "mouthClose" in values and "jawOpen" in values:  # closing lips is defined on an open jaw only
        weights[:, values["mouthClose"]] = torch.minimum(
            weights[:, values["mouthClose"]], weights[:, values["jawOpen"]]
        )
    return weights


BUSY_UNITS = {
    "jawOpen": 0.35,
    "mouthSmile": 0.4,
    "eyeBlink": 0.2,
    "eyeSquint": 0.3,
    "tongueOut": 0.02,
    "mouthClose": 0.03,
}
