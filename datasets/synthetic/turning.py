"""A rendered head that turns, nods, talks and walks through a video, with known truth at every instant."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.synthetic.rendered import SyntheticBatch, SyntheticFaces, SyntheticSettings, mixed_seed
from geometry.rotations import rotation_from_euler
from morphable.model import EMBEDDED_HEAD, FaceModel

YAW_DEG, PITCH_DEG, ROLL_DEG = (30.0, 3.7), (8.0, 2.3), (6.0, 5.1)  # each with its period in s
WALK = (0.06, 4.3)  # way to the sides over the picture's side, and its period in s
JAW = (0.5, 0.9)  # largest opening, and its period in s
FACE_SHARE = 0.4  # height of the landmarks over the picture's side


@dataclass(frozen=True)
class TurningFrame:
    """One instant: image (S, S, 3) uint8 RGB; landmarks (68, 2) px as annotators mark them; expression (Ke,)."""

    image: np.ndarray
    landmarks: np.ndarray
    expression: np.ndarray


class TurningHead(SyntheticFaces):
    """One person, one light, one background; pose and mouth are smooth functions of time.

    Args: size_px, side of the pictures; seed of the person; noise, spread of the camera's noise in grey levels, new in
        every frame; still: the head does not move at all.
    """

    def __init__(self, size_px: int = 360, seed: int = 0, noise: float = 3.0, still: bool = False) -> None:
        super().__init__(FaceModel.load(EMBEDDED_HEAD), SyntheticSettings(size_px=size_px), seed)
        self.noise, self.still, self._seconds = noise, still, 0.0

    def at(self, seconds: float) -> TurningFrame:
        """The frame of an instant; the same instant gives the same frame."""
        self._seconds = 0.0 if self.still else seconds
        batch: SyntheticBatch = self.batch(0, 1)
        rng = np.random.default_rng(mixed_seed(self.seed, round(seconds * 1e6)))
        image = batch.images[0].numpy() + rng.normal(0, self.noise, batch.images.shape[1:])
        return TurningFrame(
            np.clip(image, 0, 255).round().astype(np.uint8),
            batch.landmarks_2d[0].double().numpy(),
            batch.expression[0].numpy(),
        )

    def _shapes(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        identity, expression = super()._shapes(count, generator)
        expression = torch.zeros_like(expression)
        most, period = JAW
        jaw = self.model.expression_names.index("jawOpen")
        expression[:, jaw] = most * (0.5 - 0.5 * np.cos(2 * np.pi * self._seconds / period))
        return identity, expression

    def _cameras(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        size = self.settings.size_px
        waves = [most * np.sin(2 * np.pi * self._seconds / period) for most, period in (PITCH_DEG, YAW_DEG, ROLL_DEG)]
        angles = torch.tensor([waves], dtype=torch.float32).expand(count, 3)
        rotation = rotation_from_euler(torch.deg2rad(angles))
        points = self.model.points(self.model.mean, "ibug68")
        scale = torch.full((count,), FACE_SHARE * size / float(np.ptp(points[:, 1].numpy())))
        centre = (rotation @ points.mean(0)[:, None])[:, :2, 0] * scale[:, None] * torch.tensor([1.0, -1.0])
        way = torch.tensor([WALK[0] * size * np.sin(2 * np.pi * self._seconds / WALK[1]), 0.0], dtype=torch.float32)
        return rotation, angles, scale, size / 2 + way - centre
