"""A small face model and random parameters of it."""

import torch

from geometry.rotations import rotation_from_euler
from morphable.model import FaceModel, SurfacePoints


def small_model(identity: int = 40, expression: int = 10, vertices: int = 90) -> FaceModel:
    """A bumpy sheet of the size of a face, with smooth random modes and 68 landmarks on its first vertices."""
    generator = torch.Generator().manual_seed(3)
    mean = torch.rand(vertices, 3, generator=generator) * torch.tensor([1.4, 1.8, 0.8]) - torch.tensor([0.7, 0.9, 0.0])
    modes = torch.randn(vertices, 3, identity + expression, generator=generator) * 0.02
    return FaceModel(
        name="small",
        licence="none",
        mean=mean,
        triangles=torch.tensor([[i, i + 1, i + 2] for i in range(vertices - 2)]),
        identity=modes[..., :identity].contiguous(),
        expression=modes[..., identity:].contiguous(),
        albedo_mean=torch.full((vertices, 3), 0.6),
        albedo=torch.zeros(vertices, 3, 0),
        identity_std=torch.ones(identity),
        expression_std=torch.ones(expression),
        albedo_std=torch.zeros(0),
        landmarks={"ibug68": SurfacePoints.at_vertices(list(range(68)))},
    )


def random_parameters(
    count: int, seed: int = 0, size: float = 120.0, identity: int = 40, expression: int = 10
) -> torch.Tensor:
    """(count, P) parameters of faces of about 70 px in the middle of a crop, all poses up to about 50°."""
    generator = torch.Generator().manual_seed(seed)
    rotation = rotation_from_euler(torch.randn(count, 3, generator=generator) * 0.4)
    scale = 45 + 5 * torch.randn(count, 1, 1, generator=generator)
    translation = size / 2 + 3 * torch.randn(count, 3, 1, generator=generator)
    camera = torch.cat([scale * rotation, translation], dim=2).flatten(1)
    return torch.cat([camera, torch.randn(count, identity + expression, generator=generator)], dim=1)
