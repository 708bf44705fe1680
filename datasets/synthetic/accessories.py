"""What covers heads in synthetic photos: hair, hats, glasses and hands, as meshes that follow each head.

All people of a batch share one topology; what somebody does not wear shrinks to a point inside the head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from geometry.mesh.normals import vertex_normals
from geometry.schemes import IBUG_68
from morphable.model import FaceModel

SHELL_FLOOR_FRONT, SHELL_FLOOR_BACK = (
    0.40,
    -0.95,
)  # dm, lowest vertex that hair may cover in front of and behind the ears
HIDDEN_DEPTH = -0.08  # dm below the skin, for hair that somebody does not have
RING_STEPS, FINGERS, CAPSULE_RINGS, CAPSULE_STEPS = 20, 5, 5, 8


@dataclass(frozen=True)
class Accessories:
    """Extra geometry of B heads: vertices (B, A, 3) in model space, triangles (T, 3) of it, colour and strandedness."""

    vertices: Tensor
    triangles: Tensor  # ids count from the first accessory vertex
    colours: Tensor  # (B, A, 3) sRGB
    strands: Tensor  # (A,) 1 for hair, whose colour varies along it


@dataclass(frozen=True)
class Wardrobe:
    """Shares of people that wear something, 0 … 1."""

    hair: float = 0.85
    long_hair: float = 0.4
    hat: float = 0.12
    glasses: float = 0.22
    sunglasses: float = 0.25  # of those with glasses
    hand: float = 0.12


class Tailor:
    """Makes accessories that fit one face model."""

    def __init__(self, model: FaceModel) -> None:
        """Raises: KeyError for a model without the regions ears and mouth_inside."""
        mean = model.mean
        body = (model.regions["eyeball"] + model.regions["teeth"] + model.regions["tongue"]) < 0.5
        behind = mean[:, 2] < -0.25
        floor = torch.where(behind, SHELL_FLOOR_BACK, SHELL_FLOOR_FRONT)
        inside = model.regions["ears"] + model.regions["mouth_inside"] > 0.3
        member = body & (mean[:, 1] > floor) & ~inside
        # ears belong to no shell, so hair leaves them free
        kept = member[model.triangles].all(1)
        self.shell, triangles = model.triangles[kept].unique(return_inverse=True)
        self.shell_triangles = triangles.reshape(-1, 3)
        self.shell_rest = mean[self.shell]
        self.triangles, self.eyes = model.triangles, model.landmarks["ibug68"]
        self.ring_triangles = _ring_triangles()
        self.capsule_triangles = _capsule_triangles()

    def dress(
        self, vertices: Tensor, hair_colour: Tensor, skin_colour: Tensor, wardrobe: Wardrobe, generator: torch.Generator
    ) -> Accessories:
        """Accessories for B heads.

        Args: vertices (B, N, 3) unposed heads; hair_colour, skin_colour (B, 3) sRGB; wardrobe; generator (CPU), which
        decides.
        """
        count = len(vertices)
        draw = _Draw(count, generator, vertices.device)
        normals = vertex_normals(vertices, self.triangles)[:, self.shell]
        skin = vertices[:, self.shell]
        wears_hat = draw.chance(wardrobe.hat)
        hair = self._hair(skin, normals, draw, wardrobe)
        hat, hat_colour = self._hat(skin, normals, draw, wears_hat), draw.uniform(0.03, 0.9, 3)
        rings, lenses, frame_colour = self._glasses(vertices, draw, wardrobe)
        hands = self._hand(vertices, draw, wardrobe)
        shell = len(self.shell)
        parts = [hair, hat, rings, lenses, hands]
        meshes = [self.shell_triangles, self.shell_triangles, *self._glasses_triangles(), self._hand_triangles()]
        offsets = torch.tensor([0, *[p.shape[1] for p in parts[:-1]]]).cumsum(0).tolist()
        triangles = torch.cat([m.to(vertices.device) + o for m, o in zip(meshes, offsets, strict=True)])
        colours = [
            hair_colour[:, None].expand(-1, shell, -1),
            hat_colour[:, None].expand(-1, shell, -1),
            frame_colour[:, None].expand(-1, rings.shape[1], -1),
            (frame_colour[:, None] * 0.3).expand(-1, lenses.shape[1], -1),
            skin_colour[:, None].expand(-1, hands.shape[1], -1),
        ]
        strands = torch.cat([torch.full((p.shape[1],), float(i == 0)) for i, p in enumerate(parts)]).to(vertices.device)
        return Accessories(torch.cat(parts, 1), triangles, torch.cat(colours, 1), strands)

    def _hair(self, skin: Tensor, normals: Tensor, draw: "_Draw", wardrobe: Wardrobe) -> Tensor:
        """The skin's shell pushed outwards above a random hairline; below it, hidden under the skin."""
        rest = self.shell_rest.to(skin)
        x, y, z = rest.unbind(-1)
        frontal = ((z + 0.1) / 0.5).clamp(0, 1)
        hairline = draw.uniform(0.5, 0.95)[:, None] - draw.uniform(0.0, 0.5)[:, None] * x.abs() * frontal
        parting = 0.06 * torch.sin(x * draw.uniform(3, 14)[:, None] + draw.uniform(0, 6.3)[:, None])
        nape = draw.uniform(-0.75, -0.1)[:, None]
        border = frontal * (hairline + parting) + (1 - frontal) * nape
        has = draw.chance(wardrobe.hair)[:, None]
        above = ((y - border) / 0.06).clamp(0, 1) * has
        wave = draw.waves(rest)
        thickness = draw.uniform(0.03, 0.3)[:, None] * (0.5 + 0.5 * ((y - border) / 0.5).clamp(0, 1)) * wave
        long = (draw.chance(wardrobe.long_hair)[:, None] * has * (1 - frontal)).clamp(0, 1)
        drop = long * ((0.1 - y) / 0.6).clamp(0, 1)
        offset = torch.where(above > 0, above * thickness + 0.01, HIDDEN_DEPTH)
        out = skin + normals * offset[..., None]
        sideways = torch.stack([x.sign() * 0.25, torch.full_like(x, -1.0), torch.full_like(x, -0.1)], -1)
        return out + sideways * (drop * draw.uniform(0.3, 1.2)[:, None])[..., None]

    def _hat(self, skin: Tensor, normals: Tensor, draw: "_Draw", wears: Tensor) -> Tensor:
        """A cap: a thicker shell above a horizontal rim, with a brim pulled out in front."""
        rest = self.shell_rest.to(skin)
        rim = draw.uniform(0.5, 0.75)[:, None]
        above = ((rest[:, 1] - rim) / 0.03).clamp(0, 1) * wears[:, None]
        thickness = draw.uniform(0.15, 0.4)[:, None]
        offset = torch.where(above > 0, above * thickness, HIDDEN_DEPTH)
        out = skin + normals * offset[..., None]
        near_rim = (1 - (rest[:, 1] - rim).abs() / 0.12).clamp(0, 1) * (rest[:, 2] / 0.3).clamp(0, 1) * wears[:, None]
        brim = draw.uniform(0.0, 0.6)[:, None] * near_rim
        return out + torch.stack([torch.zeros_like(brim), -0.1 * brim, brim], -1)

    def _glasses(self, vertices: Tensor, draw: "_Draw", wardrobe: Wardrobe) -> tuple[Tensor, Tensor, Tensor]:
        """Rims with bridge and temples (B, 4·RING_STEPS + 12, 3), lenses (B, 2·RING_STEPS, 3) and the frame's colour
        (B, 3).
        """
        points = self.eyes.of(vertices)
        eyes = torch.stack([points[:, list(group)].mean(1) for group in IBUG_68.five_points[:2]], 1)
        nose = points[:, 27]
        front = torch.maximum(nose[:, 2], eyes[..., 2].amax(1)) + 0.06
        angle = torch.arange(RING_STEPS, device=vertices.device) / RING_STEPS * 2 * torch.pi
        power = draw.uniform(0.45, 1.0)[:, None]
        circle = torch.stack([_power(angle.cos(), power), _power(angle.sin(), power)], -1)  # superellipse (B, S, 2)
        half = torch.stack([draw.uniform(0.19, 0.27), draw.uniform(0.14, 0.23)], -1)[:, None]
        thickness = 1 + draw.uniform(0.06, 0.2)[:, None, None]
        centre = eyes[..., :2] + torch.tensor([0.0, -0.03], device=vertices.device)
        rims, lenses = [], []
        for side in (0, 1):
            inner = centre[:, side, None] + circle * half
            outer = centre[:, side, None] + circle * half * thickness
            depth = (front[:, None, None] - 0.12 * (inner[..., :1] ** 2)).expand(-1, RING_STEPS, 1)
            rims += [torch.cat([inner, depth + 0.01], -1), torch.cat([outer, depth], -1)]
            lenses.append(torch.cat([inner, depth], -1))
        bars = []
        for side, sign in ((0, -1.0), (1, 1.0)):
            start = centre[:, side] + torch.tensor([sign, 0.0], device=vertices.device) * half[:, 0, :1] * 1.05
            ear = torch.stack([sign * vertices[..., 0].abs().amax(1).clamp(max=0.9) * 0.92, start[:, 1]], -1)
            bars.append(_bar(start, front - 0.08, ear, front - 1.1))
        bridge_left, bridge_right = (
            centre[:, s] + torch.tensor([d, 0.03], device=vertices.device) * half[:, 0, :1]
            for s, d in ((0, 0.95), (1, -0.95))
        )
        bars.append(_bar(bridge_left, front, bridge_right, front))
        wears = draw.chance(wardrobe.glasses)
        dark = wears * draw.chance(wardrobe.sunglasses)
        frame = torch.cat([*rims, *bars], 1)
        return _collapse(frame, wears), _collapse(torch.cat(lenses, 1), dark), draw.uniform(0.02, 0.6, 3) ** 1.5

    def _glasses_triangles(self) -> tuple[Tensor, Tensor]:
        steps = RING_STEPS
        bars = [torch.tensor([[0, 1, 2], [1, 3, 2]]) + 4 * steps + 4 * i for i in range(3)]
        frame = torch.cat([self.ring_triangles, self.ring_triangles + 2 * steps, *bars])
        fan = torch.stack([torch.zeros(steps - 2), torch.arange(1, steps - 1), torch.arange(2, steps)], -1).long()
        return frame, torch.cat([fan, fan + steps])

    def _hand(self, vertices: Tensor, draw: "_Draw", wardrobe: Wardrobe) -> Tensor:
        """A fist of capsules somewhere in front of the lower face."""
        points = self.eyes.of(vertices)
        target = points[:, 8] + draw.uniform(-0.7, 0.7, 3) * torch.tensor([1.0, 0.6, 0.0], device=vertices.device)
        target = target + torch.tensor([0.0, 0.15, 0.35], device=vertices.device)
        direction = torch.stack([draw.uniform(-0.8, 0.8), draw.uniform(0.3, 1.0), draw.uniform(-0.3, 0.1)], -1)
        direction = direction / direction.norm(dim=-1, keepdim=True)
        across = torch.linalg.cross(
            direction, torch.tensor([[0.0, 0.0, 1.0]], device=vertices.device).expand_as(direction)
        )
        across = across / across.norm(dim=-1, keepdim=True)
        capsules = []
        for finger in range(FINGERS):
            thumb = finger == FINGERS - 1
            length = draw.uniform(0.5, 0.9) * (0.6 if thumb else 1)
            start = target + across * (0.19 * (finger - 1.5)) - direction * (0.25 if thumb else 0.0)
            heading = direction + across * (0.7 if thumb else 0.06 * (finger - 1.5))
            capsules.append(_capsule(start, heading, length, draw.uniform(0.075, 0.1)))
        palm = _capsule(target - direction * 0.75, direction, draw.uniform(0.55, 0.7), draw.uniform(0.33, 0.42))
        return _collapse(torch.cat([*capsules, palm], 1), draw.chance(wardrobe.hand))

    def _hand_triangles(self) -> Tensor:
        each = CAPSULE_RINGS * CAPSULE_STEPS
        return torch.cat([self.capsule_triangles + i * each for i in range(FINGERS + 1)])


class _Draw:
    """Random numbers of B people from a CPU generator, on the device of the heads."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        self.count, self.generator, self.device = count, generator, device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(self.count, *shape, generator=self.generator)).to(self.device)

    def chance(self, share: float) -> Tensor:
        return (torch.rand(self.count, generator=self.generator) < share).float().to(self.device)

    def waves(self, rest: Tensor) -> Tensor:
        """(B, P) smooth factors about 1."""
        frequency = torch.randn(self.count, 3, 4, generator=self.generator).to(self.device) * 5
        phase = self.uniform(0, 6.3, 4)
        return 1 + 0.12 * torch.sin(rest @ frequency + phase[:, None]).sum(-1)


def _power(values: Tensor, exponent: Tensor) -> Tensor:
    """sign(v)·|v|^p: (S,), (B, 1) → (B, S)."""
    return values.sign() * values.abs().clamp_min(1e-6) ** exponent


def _collapse(vertices: Tensor, worn: Tensor) -> Tensor:
    """Shrink what is not worn to the origin, inside the head."""
    return vertices * worn[:, None, None]


def _bar(start: Tensor, start_depth: Tensor, end: Tensor, end_depth: Tensor) -> Tensor:
    """(B, 4, 3) flat bar 0.04 dm high between two points (B, 2)."""
    lift = torch.tensor([0.0, 0.02], device=start.device)
    corners = [
        (start - lift, start_depth),
        (start + lift, start_depth),
        (end - lift, end_depth),
        (end + lift, end_depth),
    ]
    return torch.stack([torch.cat([xy, z[:, None]], -1) for xy, z in corners], 1)


def _ring_triangles() -> Tensor:
    """Triangles between an inner and an outer ring of RING_STEPS vertices."""
    inner = torch.arange(RING_STEPS)
    ahead = (inner + 1) % RING_STEPS
    outer, outer_ahead = inner + RING_STEPS, ahead + RING_STEPS
    return torch.cat([torch.stack([inner, outer, ahead], -1), torch.stack([ahead, outer, outer_ahead], -1)])


def _capsule(start: Tensor, direction: Tensor, length: Tensor, radius: Tensor) -> Tensor:
    """(B, RINGS·STEPS, 3) surface of a capsule that begins at start (B, 3)."""
    direction = direction / direction.norm(dim=-1, keepdim=True)
    helper = torch.tensor([[0.0, 0.0, 1.0]], device=start.device).expand_as(direction)
    right = torch.linalg.cross(direction, helper)
    right = right / right.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    up = torch.linalg.cross(right, direction)
    along = torch.linspace(0, 1, CAPSULE_RINGS, device=start.device)
    profile = (1 - (2 * along - 1) ** 6).clamp_min(1e-4).sqrt()
    angle = torch.arange(CAPSULE_STEPS, device=start.device) / CAPSULE_STEPS * 2 * torch.pi
    around = angle.cos()[:, None] * right[:, None] + angle.sin()[:, None] * up[:, None]  # (B, steps, 3)
    axis = start[:, None] + direction[:, None] * (along * length[:, None])[..., None]
    ring = radius[:, None, None, None] * profile[:, None, None] * around[:, None]
    return (axis[:, :, None] + ring).flatten(1, 2)


def _capsule_triangles() -> Tensor:
    """Outward triangles of the grid of `_capsule`."""
    ring, step = torch.meshgrid(torch.arange(CAPSULE_RINGS - 1), torch.arange(CAPSULE_STEPS), indexing="ij")
    here, ahead = ring * CAPSULE_STEPS + step, ring * CAPSULE_STEPS + (step + 1) % CAPSULE_STEPS
    above, above_ahead = here + CAPSULE_STEPS, ahead + CAPSULE_STEPS
    both = [torch.stack([here, above, ahead], -1), torch.stack([ahead, above, above_ahead], -1)]
    return torch.cat([b.reshape(-1, 3) for b in both])
