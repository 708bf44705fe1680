"""Short-video synthesis of 3DDFA_V2: every still of a batch becomes some frames of a clip (Guo et al. 2020, section
3.4).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.augment import hash_uniform, warp
from recon3d.regression.augment import turns
from recon3d.regression.data import RegressionBatch
from recon3d.regression.decode import CONVENTIONS, PixelConvention
from recon3d.regression.params import DEPTH_COLUMN, transform_parameters
from recon3d.regression.profiling import FaceProfiler

BLUR_TAPS = 5
STREAM = 13  # of hash_uniform


@dataclass(frozen=True)
class ShortVideo:
    """Ranges of the change from frame to frame, and of what happens to each frame (Guo et al. 2020).

    Attributes: frames; scale ± share; rotation_deg ±; shift_px ±; turn_deg ± of yaw and pitch; noise, spread in grey
        levels; motion_blur, share of the frames that get a 5-tap blur along their own motion.
    """

    frames: int = 8
    scale: float = 0.05
    rotation_deg: float = 3.0
    shift_px: float = 5.0
    turn_deg: float = 5.0
    noise: float = 3.0
    motion_blur: float = 0.5


class VideoSynthesis:
    """Clips in the place of stills: changes in and out of plane add up over the frames, the first frame is the still
    itself.

    Args: profiler; options; seed; convention of the parameters, whose half photo pixel is left out of account.
    Frames depend on seed, step and sample alone, but for their noise.
    """

    def __init__(
        self,
        profiler: FaceProfiler,
        options: ShortVideo = ShortVideo(),
        seed: int = 0,
        convention: PixelConvention = CONVENTIONS["continuous"],
    ) -> None:
        self.profiler, self.options, self.seed, self.convention = profiler, options, seed, convention

    @torch.no_grad()
    def __call__(self, batch: RegressionBatch, step: int) -> RegressionBatch:
        """B stills → B · n frames, float images 0 … 255; frame k of the sample with index i gets the index i · n +
        k.
        """
        count, side = self.options.frames, batch.images.shape[-1]
        indices = (batch.indices[:, None] * count + torch.arange(count, device=batch.indices.device)).flatten()
        signed = 2 * hash_uniform(self.seed, step, indices, STREAM, 7).view(-1, count, 7) - 1
        signed[:, 0, :6] = 0
        turn = torch.deg2rad(signed[..., :2].cumsum(1) * self.options.turn_deg)
        turn = torch.cat([turn, torch.zeros_like(turn[..., :1])], dim=-1).flatten(0, 1)
        planar = self._planar(signed[..., 2:6], side).flatten(0, 1)
        one = batch.parameters[:1]
        shift = self.convention.to_continuous(one, torch.zeros_like(one[:, 0])) - one
        stills, labels = (t.repeat_interleave(count, 0) for t in (batch.images.float(), batch.parameters + shift))
        moving = torch.arange(len(indices), device=indices.device) % count > 0
        images, parameters = stills.clone(), labels.clone()
        if count > 1:
            turned, new = self.profiler(stills[moving], labels[moving], turn[moving])
            images[moving] = self._degrade(_warped(turned, planar[moving]), signed.flatten(0, 1)[moving])
            moved = transform_parameters(new, planar[moving], side, side)
            moved[:, DEPTH_COLUMN] = new[:, DEPTH_COLUMN]
            parameters[moving] = moved
        unknown = torch.full((len(indices), *batch.landmarks.shape[1:]), torch.nan, device=indices.device)
        return RegressionBatch(images, parameters - shift, indices, unknown)

    def _planar(self, signed: Tensor, side: int) -> Tensor:
        """(B, n, 4) in −1 … 1 → (B, n, 2, 3) similarities about the crop's middle, each on top of those before it."""
        linear = turns(signed, self.options.rotation_deg, self.options.scale)
        shift = signed[..., 2:] * self.options.shift_px
        whole, place, frames = (
            torch.eye(2, device=signed.device).expand(len(signed), 2, 2),
            torch.zeros_like(shift[:, 0]),
            [],
        )
        for k in range(signed.shape[1]):
            whole, place = linear[:, k] @ whole, (linear[:, k] @ place[..., None])[..., 0] + shift[:, k]
            frames.append(torch.cat([whole, (place + side / 2 - whole.sum(2) * side / 2)[..., None]], dim=2))
        return torch.stack(frames, dim=1)

    def _degrade(self, images: Tensor, signed: Tensor) -> Tensor:
        options = self.options
        blurred = signed[:, 6] < 2 * options.motion_blur - 1
        images = torch.where(blurred[:, None, None, None], motion_blur(images, signed[:, 4:6]), images)
        return (images + options.noise * torch.randn_like(images)).clamp(0, 255) if options.noise else images


def _warped(images: Tensor, matrices: Tensor) -> Tensor:
    """Crops (B, C, S, S) moved by (B, 2, 3), their border's pixels outside, because some crops come without a
    margin.
    """
    margin = images.shape[-1] // 4
    padded = F.pad(images, (margin,) * 4, mode="replicate")
    offset = matrices[:, :, 2:] - matrices[:, :, :2].sum(2, keepdim=True) * margin
    return warp(padded, torch.cat([matrices[:, :, :2], offset], dim=2), images.shape[-1])


def motion_blur(images: Tensor, directions: Tensor) -> Tensor:
    """Mean of five pixels along a direction (B, 2) x, y of each picture (B, C, H, W); none for a direction of length
    0.
    """
    steps = torch.arange(BLUR_TAPS, device=images.device) - BLUR_TAPS // 2
    unit = directions / directions.abs().amax(1, keepdim=True).clamp_min(1e-6)
    x, y = ((steps * unit[:, axis, None]).round().long() + BLUR_TAPS // 2 for axis in (0, 1))
    kernels = torch.zeros(len(images), BLUR_TAPS**2, device=images.device, dtype=images.dtype)
    kernels.scatter_add_(1, y * BLUR_TAPS + x, torch.full_like(kernels[:, :BLUR_TAPS], 1 / BLUR_TAPS))
    channels = images.shape[1]
    weight = kernels.view(-1, 1, BLUR_TAPS, BLUR_TAPS).repeat_interleave(channels, 0)
    padded = F.pad(images.flatten(0, 1)[None], (BLUR_TAPS // 2,) * 4, mode="replicate")
    return F.conv2d(padded, weight, groups=len(weight))[0].view_as(images)
