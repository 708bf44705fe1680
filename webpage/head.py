"""The head that the page's sliders change: identity, expression, pose and light of the embedded face model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from common.files.meshes import write_mesh
from drawing.surfaces import shaded
from geometry.cameras import weak_perspective
from geometry.rotations import rotation_from_euler
from morphable.meshes import coloured_mesh
from morphable.model import FaceModel
from morphable.open import load_face_model
from morphable.scene import Scene

IDENTITY_SLIDERS = 6  # the components that change most
IDENTITY_LIMIT = 3.0  # standard deviations
EXPRESSIONS = {  # a slider, and the units of the model that it moves together
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "frown": ("mouthFrownLeft", "mouthFrownRight"),
    "open jaw": ("jawOpen",),
    "pucker": ("mouthPucker",),
    "puff cheeks": ("cheekPuff",),
    "blink left": ("eyeBlinkLeft",),
    "blink right": ("eyeBlinkRight",),
    "raise brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "lower brows": ("browDownLeft", "browDownRight"),
    "sneer": ("noseSneerLeft", "noseSneerRight"),
}
BACKGROUND = (38, 41, 48)
OVERSAMPLE = 2  # pixels are averages of 2 × 2
HEAD_SHARE = 0.8  # height of the mean head over that of the picture


@dataclass(frozen=True)
class HeadShape:
    """Coefficients of a head: identity (Ki,), expression (Ke,), albedo (Ka,) of the face model `source`."""

    source: str
    identity: Tensor
    expression: Tensor
    albedo: Tensor


@dataclass(frozen=True)
class HeadSliders:
    """Where the sliders stand.

    Attributes: identity: standard deviations that are added to the first components; expression: 0 … 1 added to the
        units of each of EXPRESSIONS; yaw_deg, pitch_deg of the head; azimuth_deg, elevation_deg: where the lamp stands,
        0 in front; brightness: of all light, 1 as the albedo is; contrast: 0 … 1, share of it that the lamp gives.
    """

    identity: Sequence[float] = (0.0,) * IDENTITY_SLIDERS
    expression: Sequence[float] = (0.0,) * len(EXPRESSIONS)
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    azimuth_deg: float = 30.0
    elevation_deg: float = 30.0
    brightness: float = 1.0
    contrast: float = 0.6


@lru_cache(maxsize=2)
def _model(source: str) -> FaceModel:
    return load_face_model(source)


def mean_head(source: str = "head") -> HeadShape:
    """The mean of everything."""
    sizes = _model(source).sizes
    return HeadShape(source, *(torch.zeros(size) for size in sizes))


def random_head(seed: int, source: str = "head") -> HeadShape:
    """A person drawn from the model's priors, without expression."""
    model, generator = _model(source), torch.Generator().manual_seed(seed)
    identity = torch.randn(model.sizes[0], generator=generator) * model.identity_std
    albedo = torch.randn(model.sizes[2], generator=generator) * model.albedo_std
    return HeadShape(source, identity, torch.zeros(model.sizes[1]), albedo)


def head_vertices(start: HeadShape, sliders: HeadSliders) -> Tensor:
    """(V, 3) dm, unposed."""
    model = _model(start.source)
    identity, expression = start.identity.clone(), start.expression.clone()
    change = torch.tensor(list(sliders.identity), dtype=identity.dtype)
    identity[: len(change)] += change * model.identity_std[: len(change)]
    for units, strength in zip(EXPRESSIONS.values(), sliders.expression, strict=True):
        places = [model.expression_names.index(unit) for unit in units]
        expression[places] += float(strength)
    return model.shape(identity[None], expression.clamp(0, 1)[None])[0]


def draw_head(start: HeadShape, sliders: HeadSliders, size_px: int = 512) -> np.ndarray:
    """(size, size, 3) uint8 RGB: the head before a dark background."""
    model = _model(start.source)
    vertices = head_vertices(start, sliders)
    low, high = model.mean.amin(0), model.mean.amax(0)
    side = size_px * OVERSAMPLE
    scale = HEAD_SHARE * side / float(high[1] - low[1])
    centred = (vertices - (low + high) / 2)[None]
    rotation = rotation_from_euler(torch.deg2rad(torch.tensor([[sliders.pitch_deg, sliders.yaw_deg, 0.0]])))
    screen = weak_perspective(centred, rotation, torch.tensor([scale]), torch.full((1, 2), side / 2))
    scene = Scene(screen, centred @ rotation.mT, model.triangles, (side, side))
    albedo = model.colours(start.albedo[None]) * sliders.brightness
    light = _toward(sliders.azimuth_deg, sliders.elevation_deg)
    lit = shaded(scene, albedo, light, 1 - sliders.contrast, 1.4 * sliders.contrast)
    picture = np.where(scene.mask.numpy()[..., None], lit, np.uint8(BACKGROUND))
    return cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)


def write_head(path: Path, start: HeadShape, sliders: HeadSliders) -> Path:
    """The unposed head in its albedo, as the suffix says. Raises: MeshFileError for an unknown one."""
    model = _model(start.source)
    vertices = head_vertices(start, sliders)[None]
    write_mesh(path, coloured_mesh(vertices, model.triangles, model.colours(start.albedo[None]).clamp(0, 1)))
    return path


def _toward(azimuth_deg: float, elevation_deg: float) -> tuple[float, float, float]:
    """Unit vector to a lamp: x right, y up, z toward the viewer."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return math.cos(elevation) * math.sin(azimuth), math.sin(elevation), math.cos(elevation) * math.cos(azimuth)
