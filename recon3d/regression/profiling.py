"""Face profiling and short videos: a photo turned out of plane by its fitted mesh, as 300W-LP was made, and moved like a clip.

Zhu et al. 2016, section 5 (profiling); Guo et al. 2020, section 3.4 (3D aided short-video synthesis).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from geometry.face_model import FaceModel
from geometry.rasteriser import interpolate, rasterize
from geometry.rotations import rotation_from_euler
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.params import DEPTH_COLUMN, Layout, Parts, join, transform_parameters

FALL_OFF = 0.25  # of the crop's side: how far beside the face the background follows it
BLUR_TAPS = 5


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
    """Turns crops with fitted parameters out of plane by warping their pixels.

    Where the turned face lies, each pixel comes from where the same point of the surface was; beside it the background follows
    the outline, less and less. Sides that the photo hides are smeared from its rim: turn by little, or away from the camera.
    Args: model, layout of the parameters, which count in the continuous convention.
    """

    def __init__(self, model: FaceModel, layout: Layout) -> None:
        self.layout, self.triangles = layout, model.triangles
        self.decoder = FaceDecoder(model, layout)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, parameters: Tensor, angles: Tensor) -> tuple[np.ndarray, Tensor]:
        """(S, S, 3) uint8, (P,), (3,) radians pitch, yaw, roll → turned picture and its parameters."""
        new = turned(parameters[None], self.layout, self.decoder, angles[None])
        side = image.shape[0]
        before, after = (self._screen(p, side) for p in (parameters[None], new))
        ids = rasterize(after, self.triangles, (side, side))
        source = interpolate(after, self.triangles, ids, before[..., :2], False)[0].numpy()
        return warp_by(image, source, ids[0].numpy() >= 0), new[0]

    def _screen(self, parameters: Tensor, side: int) -> Tensor:
        points = CONVENTIONS["continuous"].to_crop(self.decoder(parameters), side, torch.ones(1))
        return points * torch.tensor([1.0, 1.0, -1.0])


def warp_by(image: np.ndarray, source: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Pixels from `source` (H, W, 2; continuous px) where covered (H, W), elsewhere from a flow that falls off beside it."""
    height, width = covered.shape
    if not covered.any():
        return image.copy()
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    here = np.stack([columns, rows], axis=-1)
    distance, nearest = distance_transform_edt(~covered, return_indices=True)
    flow = (source - here)[nearest[0], nearest[1]]
    flow = cv2.GaussianBlur(flow, (0, 0), 2.0) * (~covered)[..., None] + flow * covered[..., None]
    flow *= np.exp(-((distance / (FALL_OFF * width)) ** 2))[..., None]
    place = (here + flow - 0.5).astype(np.float32)
    return cv2.remap(image, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True)
class ShortVideo:
    """Ranges of the change from frame to frame, and of what happens to each frame (Guo et al. 2020).

    Attributes: frames; scale ± share; rotation_deg ±; shift_px ±; turn_deg ± of yaw and pitch; noise, spread in grey levels;
        motion_blur, share of the frames that get a 5-tap blur along their own motion.
    """

    frames: int = 8
    scale: float = 0.05
    rotation_deg: float = 3.0
    shift_px: float = 5.0
    turn_deg: float = 5.0
    noise: float = 3.0
    motion_blur: float = 0.5


def synthesise(
    image: np.ndarray, parameters: Tensor, profiler: FaceProfiler, options: ShortVideo, seed: int
) -> tuple[np.ndarray, Tensor]:
    """A short video from one crop: in-plane and out-of-plane changes accumulate, the first frame is the crop itself.

    Args: image (S, S, 3) uint8; parameters (P,), continuous. Returns: (n, S, S, 3) uint8 and (n, P).
    """
    rng = np.random.default_rng(seed)
    side = image.shape[0]
    planar, turn = np.eye(3), np.zeros(3)
    frames, labels = [image], [parameters]
    for _ in range(options.frames - 1):
        step, shift = _random_similarity(rng, options, side)
        planar = step @ planar
        turn[:2] += np.deg2rad(rng.uniform(-1, 1, 2) * options.turn_deg)
        picture, label = profiler(image, parameters, torch.tensor(turn, dtype=torch.float32))
        matrix = torch.tensor(planar[None, :2], dtype=torch.float32)
        depth = label[DEPTH_COLUMN].clone()
        label = transform_parameters(label[None], matrix, side, side)[0]
        label[DEPTH_COLUMN] = depth
        picture = _warp_planar(picture, planar)
        if rng.random() < options.motion_blur:
            picture = motion_blur(picture, shift)
        noisy = picture + rng.normal(0, options.noise, picture.shape)
        frames.append(noisy.round().clip(0, 255).astype(np.uint8))
        labels.append(label)
    return np.stack(frames), torch.stack(labels)


def _random_similarity(rng: np.random.Generator, options: ShortVideo, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) about the middle of the crop, and its shift (2,) px."""
    scale = 1 + rng.uniform(-1, 1) * options.scale
    angle = np.deg2rad(rng.uniform(-1, 1) * options.rotation_deg)
    shift = rng.uniform(-1, 1, 2) * options.shift_px
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, side / 2)
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, middle + shift - linear @ middle
    return matrix, shift


def _warp_planar(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    centres = np.linalg.inv(half) @ matrix @ half
    return cv2.warpAffine(image, centres[:2], image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def motion_blur(image: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Mean of five pixels along a direction (2,) x, y; none for a direction of length 0. (H, W, 3) uint8."""
    length = np.linalg.norm(direction)
    if length < 1e-6:
        return image
    kernel = np.zeros((BLUR_TAPS, BLUR_TAPS), np.float32)
    for t in range(-(BLUR_TAPS // 2), BLUR_TAPS // 2 + 1):
        x, y = np.round(t * direction / np.abs(direction).max()).astype(int) + BLUR_TAPS // 2
        kernel[y, x] += 1
    return cv2.filter2D(image, -1, kernel / kernel.sum())
