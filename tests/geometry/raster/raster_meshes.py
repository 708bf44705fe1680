"""Meshes on the screen that the tests of the rasteriser share."""

import torch


def random_mesh(seed: int, batch: int = 3, vertices: int = 60, triangles: int = 150, size: int = 40) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    screen = torch.rand(batch, vertices, 3, generator=generator) * torch.tensor([size * 1.4, size * 1.4, 4.0])
    screen = screen - torch.tensor([size * 0.2, size * 0.2, -1.0])
    faces = torch.stack([torch.randperm(vertices, generator=generator)[:3] for _ in range(triangles)])
    return screen, faces


def grid_mesh(count: int, size: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A jittered grid whose outline is the square from 0 to size: it covers every pixel of the picture exactly."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.linspace(0, size, count)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    screen = torch.stack([x, y, torch.rand(count, count, generator=generator)], -1)
    screen[1:-1, 1:-1, :2] += (
        (torch.rand(count - 2, count - 2, 2, generator=generator) - 0.5) * 0.6 * size / (count - 1)
    )
    first = (torch.arange(count - 1)[:, None] * count + torch.arange(count - 1)).flatten()
    triangles = torch.cat(
        [first[:, None] + torch.tensor([0, count, 1]), first[:, None] + torch.tensor([1, count, count + 1])]
    )
    return screen.reshape(1, -1, 3), triangles


def sphere(count: int = 40, radius: float = 30.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Screen (1, V, 3) of a ball in the middle of 80 × 80 px, and its triangles."""
    polar, around = torch.meshgrid(
        torch.linspace(0.02, 3.12, count), torch.linspace(0, 6.2831853, count), indexing="ij"
    )
    points = torch.stack([polar.sin() * around.cos(), polar.sin() * around.sin(), polar.cos()], -1) * radius
    first = (torch.arange(count - 1)[:, None] * count + torch.arange(count - 1)).flatten()[:, None]
    triangles = torch.cat([first + torch.tensor([0, count, 1]), first + torch.tensor([1, count, count + 1])])
    return (points.reshape(1, -1, 3) + torch.tensor([40.0, 40.0, 50.0])), triangles
