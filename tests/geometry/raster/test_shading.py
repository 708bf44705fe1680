"""Normals and light: oracles, closed forms, gradients."""

import pytest
import torch

from geometry.mesh.normals import vertex_normals
from geometry.raster.shading import sh_basis, sh_shade

FAN = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1]])


def pyramid() -> torch.Tensor:
    return torch.tensor([[[0.0, 0.0, 1.0], [2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 0.0]]], dtype=torch.float64)


def slow_normals(vertices: torch.Tensor, triangles: torch.Tensor, weighting: str) -> torch.Tensor:
    sums = torch.zeros_like(vertices)
    for a, b, c in triangles.tolist():
        normal = torch.linalg.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        for vertex in (a, b, c):
            sums[vertex] += normal / normal.norm() if weighting == "unit" else normal
    return sums / sums.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("weighting", ["unit", "area"])
def test_normals_match_a_loop_over_triangles(weighting):
    vertices = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    triangles = torch.stack([torch.randperm(40, generator=torch.Generator().manual_seed(i))[:3] for i in range(120)])
    found = vertex_normals(vertices, triangles, weighting)
    for face in range(3):
        torch.testing.assert_close(found[face], slow_normals(vertices[face], triangles, weighting))


def test_weightings_differ_and_point_outward():
    unit, area = (vertex_normals(pyramid(), FAN, weighting)[0, 0] for weighting in ("unit", "area"))
    assert unit[2] > 0 and area[2] > 0
    assert not torch.allclose(unit, area, atol=1e-3)


def test_lonely_vertices_and_flat_triangles_have_zero_normals_and_finite_gradients():
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 9, 9]]], requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    assert (normals == 0).all()
    normals.sum().backward()
    assert vertices.grad.isfinite().all()


@pytest.mark.parametrize("weighting", ["unit", "area"])
def test_gradcheck_of_normals_and_shading(weighting):
    generator = torch.Generator().manual_seed(0)
    vertices = torch.cat([pyramid(), pyramid() * 1.3 + 0.1]).requires_grad_()
    albedo = torch.rand(2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    gamma = torch.randn(2, 3, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, FAN, weighting), vertices)
    assert torch.autograd.gradcheck(
        lambda v, a, g: sh_shade(a, vertex_normals(v, FAN, weighting), g), (vertices, albedo, gamma)
    )


def test_spherical_harmonics_match_deep3d():
    # Deep3D's spherical harmonics: published constants
    expected = [0.886227, 0.531736, 1.653235, -0.354491, -0.145622, 0.679136, 1.128004, -0.452757, -0.060676]
    found = sh_basis(torch.tensor([0.2, -0.3, 0.87**0.5], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_without_light_the_ambient_term_is_constant_and_channels_are_independent():
    normals = torch.nn.functional.normalize(torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    albedo = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(sh_shade(albedo, normals, torch.zeros(2, 3, 9))[1], albedo * 0.708982)
    gamma = torch.zeros(2, 3, 9)
    gamma[0, 1, 2] = 0.5
    lit = sh_shade(torch.ones(5, 3), normals, gamma)
    torch.testing.assert_close(lit[0, :, 1], 0.708982 + 0.5 * 1.772454 * normals[0, :, 2])
    torch.testing.assert_close(lit[0, :, 0], torch.full((5,), 0.708982))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="unknown weighting of normals 'angle'"):
        vertex_normals(pyramid(), FAN, "angle")
    with pytest.raises(ValueError, match=r"gamma has shape \(1, 27\)"):
        sh_shade(torch.ones(4, 3), torch.ones(1, 4, 3), torch.zeros(1, 27))
