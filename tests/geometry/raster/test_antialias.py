"""Silhouettes: topology, values against areas and supersampling, gradients against finite differences."""

import pytest
import torch
from raster_meshes import grid_mesh, sphere

from geometry.raster.antialias import antialias, opposite_vertices
from geometry.raster.rasteriser import interpolate, rasterize

TRIANGLE = torch.tensor([[0, 1, 2]])


def drawn(screen, triangles, size, smooth=True):
    ids = rasterize(screen, triangles, size)
    picture = interpolate(screen, triangles, ids, screen.new_ones(screen.shape[1], 1))
    return antialias(picture, screen, triangles, ids) if smooth else picture


def test_opposite_vertices_of_a_quad_and_of_a_fan():
    quad = torch.tensor([[0, 1, 2], [2, 1, 3]])
    assert opposite_vertices(quad).tolist() == [[3, -1, -1], [-1, -1, 0]]
    shared_by_three = torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    assert (opposite_vertices(shared_by_three) == -1).all()


def test_the_area_of_a_triangle_becomes_exact_and_follows_its_vertices():
    screen = torch.tensor(
        [[[10.3, 12.1, 1.0], [14.7, 50.2, 1.0], [55.9, 20.4, 1.0]]], dtype=torch.float64, requires_grad=True
    )
    (ax, ay), (bx, by), (cx, cy) = screen[0, :, :2]
    area = 0.5 * ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)).abs()
    covered = drawn(screen, TRIANGLE, (64, 64)).sum()
    assert abs(covered - area) < 1.0
    (expected,), (found,) = torch.autograd.grad(area, screen), torch.autograd.grad(covered, screen)
    torch.testing.assert_close(found[..., :2], expected[..., :2], atol=1.0, rtol=0.05)
    assert expected.abs().max() > 10


def test_gradient_is_that_of_finite_differences():
    screen = torch.tensor(
        [[[10.3, 12.1, 1.0], [14.7, 50.2, 1.0], [55.9, 20.4, 1.0]]], dtype=torch.float64, requires_grad=True
    )
    weights = torch.rand(1, 64, 64, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (found,) = torch.autograd.grad((drawn(screen, TRIANGLE, (64, 64)) * weights).sum(), screen)
    for vertex in range(3):
        for axis in range(2):
            step = torch.zeros_like(screen)
            step[0, vertex, axis] = 1e-4
            high, low = ((drawn((screen + s).detach(), TRIANGLE, (64, 64)) * weights).sum() for s in (step, -step))
            torch.testing.assert_close((high - low) / 2e-4, found[0, vertex, axis], atol=1e-4, rtol=1e-3)


def disc() -> tuple[torch.Tensor, torch.Tensor]:
    """A polygon of 24 corners around (40, 40) px, as a fan."""
    around = torch.arange(24) * (2 * torch.pi / 24) + 0.1
    rim = torch.stack([40 + 30 * around.cos(), 40 + 30 * around.sin(), torch.full((24,), 2.0)], -1)
    corners = torch.arange(24)
    fan = torch.stack([torch.full((24,), 24), corners, (corners + 1) % 24], -1)
    return torch.cat([rim, torch.tensor([[40.0, 40.0, 2.0]])])[None], fan


@pytest.mark.parametrize(("mesh", "share"), [(disc(), 0.15), (sphere(count=20), 0.8)], ids=["disc", "ball"])
def test_pictures_look_more_like_supersampled_ones(mesh, share):
    """Less so for the ball: along its outline triangles are seen edge-on, mostly thinner than a pixel."""
    screen, triangles = mesh
    wide = screen * torch.tensor([8.0, 8.0, 1.0])
    fine = drawn(wide, triangles, (640, 640), smooth=False).view(80, 8, 80, 8).mean((1, 3))
    rough = (drawn(screen, triangles, (80, 80), smooth=False)[0, ..., 0] - fine).abs().sum()
    smooth = (drawn(screen, triangles, (80, 80))[0, ..., 0] - fine).abs().sum()
    assert smooth < share * rough


def test_the_inside_of_a_surface_is_left_alone():
    screen, triangles = grid_mesh(9, 60.0)
    ids = rasterize(screen, triangles, (60, 60))
    picture = interpolate(screen, triangles, ids, torch.rand(81, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(antialias(picture, screen, triangles, ids), picture)


def test_a_near_face_is_blended_over_a_far_one():
    quad = torch.tensor([[0, 1, 2], [2, 1, 3], [4, 5, 6], [6, 5, 7]])
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    screen = torch.cat([corners * 20, corners * torch.tensor([9.75, 20.0])])[None]
    screen = torch.cat([screen, torch.tensor([5.0] * 4 + [1.0] * 4)[None, :, None]], -1)
    ids = rasterize(screen, quad, (20, 20))
    colours = torch.tensor([0.0] * 4 + [1.0] * 4)[:, None]
    picture = antialias(interpolate(screen, quad, ids, colours), screen, quad, ids)
    expected = torch.zeros(20, 20)
    expected[:, :9], expected[:, 9] = 1, 0.75
    # In row 0 the pixel beside the outline sees the triangle beyond the quad's diagonal, which has no edge there.
    torch.testing.assert_close(picture[0, 1:, :, 0], expected[1:])
