"""Augmentation of whole batches on the device: one affine resampling, then colour, blur, JPEG and occlusion.

Every random number is a hash of (seed, draw, sample index, what it is for), so that a run does not depend on workers,
batch order or number of processes, and resumes exactly.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Level:
    """Ranges of the affine part: degrees, fraction of the padded crop's side, factor range, degrees."""

    rotation_deg: float = 0.0
    translation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear_deg: float = 0.0
    isotropic: bool = False  # one scale for both axes, uniform in its logarithm


# 3FabRec's --daug; levels 4 (autoencoder) and 6 (landmarks) are those of the paper. Flips happen at every level.
# Level 8 is ours: what the boxes of detectors and users do to a crop (±12 % of its inner side, sizes from 0.77 to
# 1.25).
LEVELS: tuple[Level, ...] = (
    Level(),
    Level(3, 0.025, (0.975, 1.025), 0),
    Level(3, 0.035, (0.97, 1.03), 2),
    Level(20, 0.035, (0.97, 1.03), 0),
    Level(45, 0.035, (0.94, 1.03), 5),
    Level(60, 0.035, (0.94, 1.03), 5),
    Level(30, 0.04, (0.94, 1.05), 5),
    Level(0, 0.04, (0.94, 1.05), 5),
    Level(30, 0.085, (0.77, 1.25), 3, isotropic=True),
)


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """Probabilities that a sample gets a treatment; the default does nothing."""

    occlusion: float = 0.0  # a rectangle of another sample of the batch pasted over the face
    colour: float = 0.0  # brightness, contrast and saturation
    blur: float = 0.0  # Gaussian, σ of 0.3 to 1.5 % of the side
    jpeg: float = 0.0  # re-compression at quality 8 to 25
    grey: float = 0.0  # no colour at all
    noise: float = 0.0  # of the sensor, σ of 0 to 8 % of white


@dataclass(frozen=True)
class Augmentation(Degradation):
    """What is done to a training batch; the default does nothing but flip.

    Attributes: level 0–8 of LEVELS; flip and those of Degradation are the probability that a sample gets that
        treatment.
    """

    level: int = 0
    flip: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.level < len(LEVELS):
            raise ValueError(f"augmentation level {self.level} is not in 0..{len(LEVELS) - 1}")


def hash_uniform(seed: int, draw: int, indices: Tensor, stream: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1) that depend on their arguments alone (splitmix64 finaliser).

    Args: indices (B,) int64; stream separates uses. Returns: (B, count) float32 on the device of indices.
    """
    key = indices.long()[:, None] * 1_000_003 + torch.arange(count, device=indices.device)
    salt = (seed * 0x2545F4914F6CDD1D + draw * 0x5851F42D4C957F2D + stream * 0x14057B7EF767814F) % 2**63
    key = key * 0x1F123BB5 + salt
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = key ^ _shift_right(key, shift)
        key = key * (factor - 2**64)
    key = key ^ _shift_right(key, 31)
    return _shift_right(key, 40).float() / 2**24


def _shift_right(key: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which PyTorch shifts arithmetically."""
    return (key >> bits) & (2 ** (64 - bits) - 1)


def sample_matrices(level: Level, uniform: Tensor, resolution: int, size: int, flip: Tensor) -> Tensor:
    """Random affine about the centre of the padded crop, centre-cropped to the inner size.

    Args:
        uniform: (B, 6) in [0, 1): rotation, two translations, two scales, shear.
        resolution: R, size: S, in pixels.  flip: (B,) bool.
    Returns:
        (B, 2, 3) float32; inner_xy = matrix @ [padded_x, padded_y, 1].
    """
    signed = 2 * uniform - 1
    angle = torch.deg2rad(signed[:, 0] * level.rotation_deg)
    shift = (signed[:, 1:3] * level.translation * resolution).round()
    low, high = level.scale
    scale = low + uniform[:, 3:5] * (high - low)
    if level.isotropic:
        scale = (low * (high / low) ** uniform[:, 3:4]).expand(-1, 2)
    shear = torch.deg2rad(signed[:, 5] * level.shear_deg)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    # rotation · shear · scale, as in skimage's AffineTransform
    linear = torch.stack(
        [
            torch.stack([scale[:, 0] * cosine, -scale[:, 1] * torch.sin(angle + shear)], 1),
            torch.stack([scale[:, 0] * sine, scale[:, 1] * torch.cos(angle + shear)], 1),
        ],
        1,
    )
    mirror = torch.where(flip, -1.0, 1.0).to(linear)
    linear = linear * torch.stack([mirror, torch.ones_like(mirror)], 1)[:, None, :]
    offset = (resolution - size) // 2
    centre = torch.full((2, 1), resolution / 2, device=uniform.device)
    inner_centre = centre - offset
    translation = inner_centre + shift[:, :, None] - linear @ centre
    return torch.cat([linear, translation], dim=2)


def warp(images: Tensor, matrices: Tensor, size: int) -> Tensor:
    """The one resampling on the device: bilinear, black outside.

    Args: images (B, 3, R, R) uint8 or float; matrices (B, 2, 3) source → target pixels. Returns: (B, 3, size, size)
    float32, in the unit of the input.
    """
    source = images.shape[-1]
    back = inverse_matrices(matrices)  # target → source pixels
    # affine_grid works in [−1, 1] with align_corners=False, where pixel p has coordinate 2p/side − 1
    theta = back.clone()
    theta[:, :, :2] = back[:, :, :2] * (size / source)
    theta[:, :, 2] = (back[:, :, :2].sum(2) * size + 2 * back[:, :, 2]) / source - 1
    # F.affine_grid multiplies matrices for what is one broadcast sum of a column term and a row term
    steps = (torch.arange(size, device=images.device, dtype=theta.dtype) * 2 + 1) / size - 1
    columns = steps[None, :, None] * theta[:, None, :, 0] + theta[:, None, :, 2]
    rows = steps[None, :, None] * theta[:, None, :, 1]
    grid = columns[:, None] + rows[:, :, None]
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def inverse_matrices(matrices: Tensor) -> Tensor:
    """(B, 2, 3) affine maps → those that lead back."""
    linear = torch.linalg.inv(matrices[:, :, :2])
    return torch.cat([linear, -linear @ matrices[:, :, 2:]], dim=2)


def transform_points(matrices: Tensor, landmarks: Tensor) -> Tensor:
    """(B, 2, 3) on (B, K, 2 or 3) landmarks; a depth is scaled by the square root of the matrix's area factor."""
    points = torch.einsum("bij,bkj->bki", matrices[:, :, :2], landmarks[..., :2]) + matrices[:, None, :, 2]
    if landmarks.shape[-1] == 2:
        return points
    scale = torch.linalg.det(matrices[:, :, :2]).abs().sqrt()
    return torch.cat([points, landmarks[..., 2:] * scale[:, None, None]], dim=-1)


@dataclass(frozen=True)
class Batch:
    """A batch on the device, ready for the networks.

    Attributes:
        images: (B, 3, S, S) float32 in [0, 1], minus the pixel mean where the networks want it.
        landmarks: (B, K, 2 or 3) float32 in pixels of the inner crop.  visibility: (B, K) float32.
        indices: (B,) int64 position in the dataset.
    """

    images: Tensor
    landmarks: Tensor
    visibility: Tensor
    indices: Tensor


class BatchTransform:
    """uint8 padded crops → normalised inner crops, with or without augmentation, all on the device of the images.

    Args:
        size: S.  flip_permutation: (K,) of the scheme, or None for images without landmarks.
        pixel_mean: (3,) RGB subtracted after division by 255, or None.
        augmentation: None for validation: exact centre crop, no flip.
    """

    def __init__(
        self,
        size: int,
        pixel_mean: tuple[float, float, float] | None,
        flip_permutation=None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.size, self.pixel_mean, self.augmentation, self.seed = size, pixel_mean, augmentation, seed
        self.flip_permutation = None if flip_permutation is None else torch.as_tensor(flip_permutation)

    def __call__(self, images: Tensor, landmarks: Tensor, visibility: Tensor, indices: Tensor, draw: int = 0) -> Batch:
        """images (B, 3, R, R) uint8, landmarks (B, K, 2|3) in padded pixels, visibility (B, K), indices (B,) →
        Batch.
        """
        resolution = images.shape[-1]
        if self.augmentation is None:
            offset = (resolution - self.size) // 2
            window = images[..., offset : offset + self.size, offset : offset + self.size].float() / 255
            moved = landmarks.clone()
            moved[..., :2] -= offset
            return Batch(self._normalise(window), moved, visibility, indices)
        level = LEVELS[self.augmentation.level]
        uniform = hash_uniform(self.seed, draw, indices, 0, 7)
        flip = uniform[:, 6] < self.augmentation.flip
        matrices = sample_matrices(level, uniform[:, :6], resolution, self.size, flip)
        warped = warp(images, matrices, self.size) / 255
        moved = transform_points(matrices, landmarks)
        if landmarks.shape[1]:
            moved, visibility = self._permute(moved, visibility, flip)
        warped = degrade(warped, self.augmentation, hash_uniform(self.seed, draw, indices, 1, 18))
        return Batch(self._normalise(warped), moved, visibility, indices)

    def _permute(self, landmarks: Tensor, visibility: Tensor, flip: Tensor) -> tuple[Tensor, Tensor]:
        """Mirrored faces swap left and right points."""
        if self.flip_permutation is None:
            return landmarks, visibility
        permutation = self.flip_permutation.to(landmarks.device)
        mirrored = torch.where(flip[:, None, None], landmarks[:, permutation], landmarks)
        return mirrored, torch.where(flip[:, None], visibility[:, permutation], visibility)

    def _normalise(self, images: Tensor) -> Tensor:
        if self.pixel_mean is None:
            return images
        return images - torch.tensor(self.pixel_mean, device=images.device)[:, None, None]


def degrade(images: Tensor, options: Degradation, uniform: Tensor) -> Tensor:
    """Colour, blur, noise, JPEG and occlusion. images (B, 3, S, S) in 0 … 1; uniform (B, 18) in [0, 1)."""
    if options.colour:
        images = jitter_colour(images, uniform[:, 0] < options.colour, uniform[:, 1:4])
    if options.grey:
        chosen = (uniform[:, 15] < options.grey)[:, None, None, None]
        images = torch.where(chosen, images.mean(dim=1, keepdim=True), images)
    if options.blur:
        sigma = torch.where(uniform[:, 4] < options.blur, 0.003 + 0.012 * uniform[:, 5], 0.0)
        images = blur(images, sigma * images.shape[-1])
    if options.noise:
        sigma = torch.where(uniform[:, 16] < options.noise, 0.08 * uniform[:, 17], 0.0)
        images = images + sigma[:, None, None, None] * torch.randn_like(images)
    if options.jpeg:
        images = recompress(images, uniform[:, 6] < options.jpeg, 8 + uniform[:, 7] * 17)
    if options.occlusion:
        images = occlude(images, uniform[:, 8] < options.occlusion, uniform[:, 9:15])
    return images


def jitter_colour(images: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
    """Brightness ±0.2, contrast and saturation factor 0.7–1.3 where chosen. (B, 3, H, W) in [0, 1]; uniform (B, 3)."""
    brightness = (uniform[:, 0] - 0.5) * 0.4
    contrast, saturation = 0.7 + 0.6 * uniform[:, 1], 0.7 + 0.6 * uniform[:, 2]
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    grey = images.mean(dim=1, keepdim=True)
    result = grey + (images - grey) * saturation[:, None, None, None]
    result = mean + (result - mean) * contrast[:, None, None, None] + brightness[:, None, None, None]
    return torch.where(chosen[:, None, None, None], result.clamp(0, 1), images)


def blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Separable Gaussian blur with its own σ (pixels, 0 = off) per image. (B, 3, H, W), sigma_px (B,)."""
    radius = max(1, int(0.045 * images.shape[-1]))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma_px[:, None].clamp_min(1e-3) ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, dim=0)
    batch, channels, height, width = images.shape
    flat = F.pad(images.reshape(1, -1, height, width), [radius] * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=batch * channels)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=batch * channels)
    return flat.view(batch, channels, height, width)


def recompress(images: Tensor, chosen: Tensor, quality: Tensor) -> Tensor:
    """JPEG artefacts where chosen; quality (B,) 1–100. Runs on the CPU for the chosen images only."""
    picks = chosen.nonzero()[:, 0].tolist()
    if not picks:
        return images
    from torchvision.io import decode_jpeg, encode_jpeg  # takes a second, and inference recompresses nothing

    images = images.clone()
    qualities = quality.round().int().tolist()
    bytes_ = [(images[i].clamp(0, 1) * 255).round().to(torch.uint8).cpu() for i in picks]
    decoded = [decode_jpeg(encode_jpeg(image, quality=qualities[i])) for i, image in zip(picks, bytes_, strict=True)]
    images[picks] = (torch.stack(decoded).to(images.device) / 255).to(images.dtype)
    return images


def occlude(images: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
    """Paste a rectangle (sides 15–45 % of the image) of the previous sample of the batch over the chosen images.

    uniform (B, 6): width, height, target x, target y, shift of the source along x and y.
    """
    size = images.shape[-1]
    sides = (0.15 + 0.30 * uniform[:, :2]) * size
    corner = uniform[:, 2:4] * (size - sides)
    position = torch.arange(size, device=images.device) + 0.5
    inside = (position >= corner[:, :, None]) & (position < (corner + sides)[:, :, None])
    mask = inside[:, 1, :, None] & inside[:, 0, None, :] & chosen[:, None, None]
    shift = (uniform[:, 4:6] * size).long()
    donor = images.roll(1, dims=0)
    columns = (torch.arange(size, device=images.device) + shift[:, :1]) % size
    rows = (torch.arange(size, device=images.device) + shift[:, 1:]) % size
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    donor = donor.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return torch.where(mask[:, None], donor, images)
