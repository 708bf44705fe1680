"""Crops turned to large yaws by their fits, as the profiles of 300W-LP were made (Zhu et al. 2016, section 5)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from datasets.augment import hash_uniform
from geometry.rotations import euler_from_rotation, nearest_rotation
from morphable.model import FaceModel
from recon3d.regression.data import PackedCrops, PackedSample
from recon3d.regression.profiling import FaceProfiler

BATCH = 16
FRONTAL_DEG = 5.0  # below it, a face is turned to either side
STREAM = 15  # of hash_uniform


def profiled_samples(
    packed: PackedCrops, model: FaceModel, copies: int, yaw_deg: tuple[float, float], seed: int = 0
) -> Iterator[PackedSample]:
    """`copies` samples of every packed crop, one after the other, with yaws drawn evenly from a range of |yaw| in
    degrees.

    A face is turned on to the side that it looks to, so that what comes into view was seen before, and never back. 2D
    annotations are left out: where the jaw is marked changes with the pose.
    Raises: FaceModelError for a model that the parameters do not belong to.
    """
    profiler = FaceProfiler(model, packed.layout)
    jobs = [(row, copy) for row in range(len(packed)) for copy in range(copies)]
    for start in range(0, len(jobs), BATCH):
        part = jobs[start : start + BATCH]
        rows = [row for row, _ in part]
        parameters = torch.from_numpy(packed.parameters[rows])
        images = torch.stack([packed[row].image for row in rows])
        indices = torch.tensor([row * copies + copy for row, copy in part])
        angles = turns_to(own_yaws(packed, parameters), hash_uniform(seed, 0, indices, STREAM, 2), yaw_deg)
        turned, labels = profiler(images, parameters, angles)
        pictures = turned.clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()
        for (row, copy), picture, label in zip(part, pictures, labels.numpy(), strict=True):
            yield PackedSample(picture, label, f"{packed.names[row]}#turned{copy}")


def own_yaws(packed: PackedCrops, parameters: Tensor) -> Tensor:
    """(B,) degrees."""
    rotation = nearest_rotation(packed.layout.split(parameters).matrix)
    return torch.rad2deg(euler_from_rotation(rotation)[:, 1])


def turns_to(yaw: Tensor, uniform: Tensor, yaw_deg: tuple[float, float]) -> Tensor:
    """(B, 3) radians to turn faces of yaws (B,) in degrees by, to a |yaw| within a range; uniform (B, 2) decides."""
    side = torch.where(yaw.abs() < FRONTAL_DEG, (uniform[:, 1] < 0.5).float() * 2 - 1, yaw.sign())
    low = yaw.abs().clamp(*yaw_deg)
    wanted = side * (low + (yaw_deg[1] - low) * uniform[:, 0])
    turn = torch.zeros(len(yaw), 3)
    turn[:, 1] = torch.deg2rad(wanted - yaw)
    return turn
