"""Procedural albedo of heads: skin from melanin and blood, lips, brows, eyes, stubble, make-up, freckles, hair.

One function paints any points of a head's surface, vertices as well as pixels, from where they lie in the rest pose.
Skin is a two-layer diffuse model: the epidermis absorbs twice, the dermis reflects (Jensen et al. 2001, eq. 4, with the
absorption and scattering of Jacques, Phys. Med. Biol. 58 (2013) R37; blood from the molar extinction of oxyhaemoglobin,
Prahl's table).
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from morphable.model import FaceModel

WAVELENGTHS = (610.0, 550.0, 465.0)  # nm, centres of the R, G and B primaries
OXYHAEMOGLOBIN = (1506.0, 43016.0, 38800.0)  # cm⁻¹/M at these wavelengths
BLOOD_ABSORPTION = 2.303 * 150 / 64500  # whole blood of 150 g/l: cm⁻¹ per molar extinction
EPIDERMIS_CM = 0.006
INTERNAL_REFLECTION = 3.0  # A of Jensen et al. for an index of 1.4
SURFACE_REFLECTION = 0.012  # light that never enters the skin, averaged over directions
MELANIN_RANGE = (0.012, 0.40)  # volume fraction in the epidermis, light to dark skin
BLOOD_RANGE = (0.0015, 0.008)  # volume fraction in the dermis

HAIR_COLOURS = torch.tensor(  # sRGB; black, dark brown, brown, auburn, blond, grey, white
    [
        [0.09, 0.08, 0.08],
        [0.17, 0.12, 0.10],
        [0.28, 0.19, 0.13],
        [0.36, 0.19, 0.12],
        [0.58, 0.46, 0.30],
        [0.45, 0.44, 0.43],
        [0.72, 0.71, 0.69],
    ]
)
IRIS_COLOURS = torch.tensor(  # brown, dark brown, hazel, green, blue, grey
    [
        [0.27, 0.16, 0.09],
        [0.14, 0.08, 0.05],
        [0.36, 0.27, 0.14],
        [0.33, 0.38, 0.24],
        [0.36, 0.47, 0.58],
        [0.42, 0.46, 0.48],
    ]
)
CLOTH_BRIGHTNESS = (0.05, 0.9)
FIXED_COLOURS = {  # sRGB of what differs little between people
    "mouth_inside": (0.24, 0.07, 0.07),
    "tongue": (0.58, 0.26, 0.25),
    "teeth": (0.82, 0.78, 0.70),
    "eyeball": (0.80, 0.77, 0.75),
}
PUPIL_COLOUR = (0.02, 0.02, 0.02)


@dataclass(frozen=True)
class Surface:
    """Points of a head in its rest pose and what they belong to; P points, weights 0 … 1."""

    positions: Tensor  # (P, 3) dm
    lips: Tensor
    eyelids: Tensor
    ears: Tensor
    mouth_inside: Tensor
    brows: Tensor
    beard: Tensor
    cheeks: Tensor
    scalp: Tensor
    cloth: Tensor
    eyeball: Tensor
    iris: Tensor  # 1 inside the iris, 0 outside
    pupil: Tensor
    teeth: Tensor
    tongue: Tensor


@dataclass(frozen=True)
class Complexion:
    """What distinguishes B people; all (B,) or (B, 3)."""

    melanin: Tensor  # volume fraction
    blood: Tensor  # volume fraction
    flush: Tensor  # extra blood in cheeks, nose and ears
    hair: Tensor  # (B, 3) sRGB
    iris: Tensor  # (B, 3) sRGB
    brow_density: Tensor
    stubble: Tensor
    lipstick: Tensor  # 0 … 1
    lip_colour: Tensor  # (B, 3)
    eye_shadow: Tensor
    freckles: Tensor
    mottling: Tensor  # strength of the smooth variation of the skin
    cloth: Tensor  # (B, 3)
    baldness: Tensor

    def at(self, person: Tensor) -> "Complexion":
        """The complexions of the owners (P,) of points."""
        return Complexion(**{f.name: getattr(self, f.name)[person] for f in fields(self)})


def skin_colour(melanin: Tensor, blood: Tensor) -> Tensor:
    """sRGB albedo of skin.

    Args: melanin, blood: (...) volume fractions of the epidermis and the dermis.
    Returns: (..., 3), 0 … 1.
    """
    wavelength = melanin.new_tensor(WAVELENGTHS)
    baseline = 0.244 + 85.3 * torch.exp(-(wavelength - 154) / 66.2)
    epidermis = melanin[..., None] * 6.6e11 * wavelength**-3.33 + (1 - melanin[..., None]) * baseline
    haemoglobin = melanin.new_tensor(OXYHAEMOGLOBIN) * BLOOD_ABSORPTION
    dermis = blood[..., None] * haemoglobin + (1 - blood[..., None]) * baseline
    scattering = 14.74 * (wavelength / 1000) ** -0.22 + 2.2e11 * wavelength**-4.0
    reduced = scattering / (scattering + dermis)
    depth = (3 * (1 - reduced)).sqrt()
    diffuse = reduced / 2 * (1 + torch.exp(-4 / 3 * INTERNAL_REFLECTION * depth)) * torch.exp(-depth)
    return srgb(diffuse * torch.exp(-2 * epidermis * EPIDERMIS_CM) * 1.3 + SURFACE_REFLECTION)


def srgb(linear: Tensor) -> Tensor:
    """IEC 61966-2-1 transfer function, linear light 0 … 1 → encoded 0 … 1."""
    linear = linear.clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def random_complexions(count: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Complexion:
    """B people drawn from the ranges at the head of this file; the generator decides, also about the device's
    numbers.
    """

    def uniform(low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    def switched(share: float, values: Tensor) -> Tensor:
        return values * (torch.rand(count, generator=generator) < share)

    def log_uniform(low: float, high: float) -> Tensor:
        return torch.exp(uniform() * torch.log(torch.tensor(high / low))) * low

    melanin = log_uniform(*MELANIN_RANGE)
    dark = (torch.log(melanin / MELANIN_RANGE[0]) / torch.log(torch.tensor(MELANIN_RANGE[1] / MELANIN_RANGE[0])))[
        :, None
    ]
    # dark skin comes with dark hair and brown eyes; grey hair comes with anyone
    light_hair = HAIR_COLOURS[torch.randint(0, len(HAIR_COLOURS), (count,), generator=generator)]
    dark_hair = HAIR_COLOURS[torch.randint(0, 2, (count,), generator=generator)]
    grey = (torch.rand(count, 1, generator=generator) < 0.1).float()
    take_dark = (uniform()[:, None] < 0.25 + dark).float() * (1 - grey)
    hair = (take_dark * dark_hair + (1 - take_dark) * light_hair) * uniform(0.7, 1.3)[:, None]
    light_eyes = IRIS_COLOURS[torch.randint(0, len(IRIS_COLOURS), (count,), generator=generator)]
    dark_eyes = IRIS_COLOURS[torch.randint(0, 2, (count,), generator=generator)]
    iris = torch.where(uniform()[:, None] < 0.2 + dark, dark_eyes, light_eyes) * uniform(0.7, 1.3)[:, None]
    values = Complexion(
        melanin=melanin,
        blood=log_uniform(*BLOOD_RANGE),
        flush=uniform(0.0, 0.006),
        hair=hair.clamp(0, 1),
        iris=iris.clamp(0, 1),
        brow_density=uniform(0.25, 1.0),
        stubble=switched(0.4, uniform(0.1, 0.9)),
        lipstick=switched(0.3, uniform(0.2, 0.9)),
        lip_colour=torch.stack([uniform(0.45, 0.85), uniform(0.05, 0.35), uniform(0.1, 0.4)], -1),
        eye_shadow=switched(0.25, uniform(0.1, 0.6)),
        freckles=switched(0.2, uniform(0.2, 0.8)) * (1 - dark[:, 0]),
        mottling=uniform(0.2, 1.0),
        cloth=uniform(*CLOTH_BRIGHTNESS, 3),
        baldness=switched(0.2, uniform(0.3, 1.0)),
    )
    return Complexion(**{f.name: getattr(values, f.name).to(device) for f in fields(values)})


def grain_coordinates(positions: Tensor, seeds: Tensor) -> Tensor:
    """Where each person's skin lies in the noise field: a random turn and shift of the rest positions.

    Args: positions (P, 3) or (B, P, 3) dm; seeds (B,) int64. The same seed gives the same skin at any set of points, so
    a texture, its vertices and its pixels agree; the map is affine, so it may be interpolated.
    Returns: (B, P, 3).
    """
    turns, shifts = [], []
    for seed in seeds.tolist():
        generator = torch.Generator().manual_seed(int(seed))
        turns.append(torch.linalg.qr(torch.randn(3, 3, generator=generator))[0])
        shifts.append(torch.randn(1, 3, generator=generator) * 10)
    return positions @ torch.stack(turns).to(positions) + torch.stack(shifts).to(positions)


def smooth_noise(coordinates: Tensor, waves_per_dm: float, octaves: int = 1, waves: int = 8) -> Tensor:
    """A sum of plane waves in random directions, about N(0, 1): (P, 3) → (P,)."""
    generator = torch.Generator().manual_seed(round(waves_per_dm * 100) + octaves)
    direction = torch.randn(3, waves * octaves, generator=generator)
    scale = waves_per_dm * 2.0 ** torch.arange(octaves).repeat_interleave(waves)
    frequency = (direction / direction.norm(dim=0) * scale * 2 * torch.pi).to(coordinates)
    phase = (torch.rand(waves * octaves, generator=generator) * 2 * torch.pi).to(coordinates)
    return torch.sin(torch.addmm(phase, coordinates, frequency)).sum(-1) * (2 / (waves * octaves)) ** 0.5


def paint(surface: Surface, people: Complexion, grain: Tensor) -> Tensor:
    """Albedo of surface points.

    Args: surface, P points; people, the complexion of each point's owner (`Complexion.at`); grain (P, 3),
    `grain_coordinates`.
    Returns: (P, 3) sRGB, 0 … 1.
    """
    coarse = smooth_noise(grain, 0.7)
    fine = smooth_noise(grain, 6.0, octaves=2)
    strands = 0.75 + 0.25 * smooth_noise(grain, 18.0)
    lips = surface.lips
    spots = torch.sigmoid(6 * (fine - 1.3)) * (0.3 + 0.7 * surface.cheeks)
    melanin = people.melanin * torch.exp(0.18 * people.mottling * coarse) + people.freckles * spots * 0.06
    ruddy = (surface.cheeks + 0.8 * surface.ears + 0.6 * surface.eyelids).clamp(0, 1)
    blood = people.blood * torch.exp(0.15 * people.mottling * fine) + people.flush * ruddy + 0.014 * lips
    skin = skin_colour((melanin * (1 - 0.3 * lips)).clamp(0.005, 0.6), blood.clamp(0.0005, 0.1))
    scalp = ((surface.scalp - people.baldness) * 1.5).clamp(0, 1)
    hair = people.hair
    layers = [  # bottom to top: how much of what covers the skin
        (people.lipstick * lips, people.lip_colour),
        (people.eye_shadow * surface.eyelids, people.lip_colour * 0.4),
        (people.stubble * surface.beard * strands.clamp(0.3, 1), hair),
        (people.brow_density * surface.brows * strands.clamp(0.5, 1), hair * 0.9),
        (scalp, hair * strands[..., None].clamp(0.6, 1.2)),
        (surface.cloth, people.cloth),
        *((getattr(surface, name), skin.new_tensor(colour)) for name, colour in FIXED_COLOURS.items()),
        (surface.iris, people.iris),
        (surface.pupil, skin.new_tensor(PUPIL_COLOUR)),
    ]
    for amount, colour in layers:
        skin = torch.lerp(skin, colour.expand_as(skin), amount.clamp(0, 1)[..., None])
    return skin.clamp(0, 1)


def surface_of(model: FaceModel) -> Surface:
    """The vertices of a model as points to paint; regions that the model does not have are empty."""
    none = torch.zeros(model.num_vertices, device=model.mean.device)
    return Surface(
        model.mean, **{f.name: model.regions.get(f.name, none) for f in fields(Surface) if f.name != "positions"}
    )
