"""Fused lit pictures against the differentiable parts, and their refusals."""

import pytest
import torch
from raster_meshes import sphere

from geometry.cameras import pinhole, weak_perspective
from geometry.mesh.normals import vertex_normals
from geometry.raster import painting
from geometry.raster.painting import paint, paint_lit, shade_vertices
from geometry.raster.rasteriser import rasterize
from geometry.raster.shading import sh_shade


@pytest.fixture()
def ball():
    """Posed vertices (V, 3) of a ball around the origin, in dm, with triangles, albedo and light."""
    screen, triangles = sphere(radius=1.0)
    vertices = (screen[0] - torch.tensor([40.0, 40.0, 50.0])) * torch.tensor([1.0, -1.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    return (
        vertices,
        triangles,
        torch.rand(len(vertices), 3, generator=generator),
        torch.randn(3, 9, generator=generator) * 0.3,
    )


def test_fused_shading_matches_its_parts_on_any_number_of_threads(ball):
    vertices, triangles, albedo, gamma = ball
    expected = sh_shade(albedo[None], vertex_normals(vertices[None], triangles, "area"), gamma[None])[0].clamp(0, 1)
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.testing.assert_close(shade_vertices(vertices, triangles, albedo, gamma), expected, atol=1e-5, rtol=0)
    finally:
        torch.set_num_threads(before)
    assert 0 < expected.std()


@pytest.mark.parametrize("perspective", [False, True])
def test_the_fast_picture_is_that_of_the_torch_path(ball, perspective, monkeypatch):
    vertices, triangles, albedo, gamma = ball
    eye, scale, translation = torch.eye(3)[None], torch.tensor([25.0]), torch.tensor([[30.2, 28.7]])
    camera = pinhole(vertices[None], 75.0, (30.2, 28.7), 3.0) if perspective else None
    screen = (weak_perspective(vertices[None], eye, scale, translation) if camera is None else camera)[0]
    background = torch.randint(0, 256, (50, 64, 3), dtype=torch.uint8)
    untouched = background.clone()
    fast = paint_lit(screen, vertices, triangles, albedo, gamma, background, perspective)
    monkeypatch.setattr(painting, "NUMBA", False)
    slow = paint(
        screen, triangles, shade_vertices(vertices, triangles, albedo, gamma), background, perspective, impl="torch"
    )
    assert (fast.int() - slow.int()).abs().max() <= 1
    covered = rasterize(screen[None], triangles, (50, 64), perspective)[0] >= 0
    assert torch.equal(fast[~covered], background[~covered]) and torch.equal(background, untouched)
    assert 0.2 < covered.float().mean() < 0.9 and fast[covered].float().std() > 10


def test_a_face_partly_outside_is_drawn_partly(ball):
    vertices, triangles, albedo, gamma = ball
    background = torch.zeros(40, 40, 3, dtype=torch.uint8)
    for x, y in ((0.0, 20.0), (40.0, 20.0), (20.0, 0.0), (20.0, 40.0)):
        screen = weak_perspective(vertices[None], torch.eye(3)[None], torch.tensor([10.0]), torch.tensor([[x, y]]))[0]
        colours = torch.ones_like(vertices)
        drawn = paint(screen, triangles, colours, background)[..., 0] > 0
        assert torch.equal(drawn, rasterize(screen[None], triangles, (40, 40))[0] >= 0)
        assert abs(drawn.sum() - 157) < 12  # half of a disc of radius 10


@pytest.mark.parametrize("impl", ["auto", "torch"])
def test_bad_input_is_refused(ball, impl):
    vertices, triangles, albedo, gamma = ball
    background = torch.zeros(40, 40, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="covers no pixel of the picture of 40 × 40 px"):
        paint(vertices - 50, triangles, albedo, background, impl=impl)
    with pytest.raises(ValueError, match="vertex 3 of face 0 in the batch is not finite"):
        paint(vertices.index_fill(0, torch.tensor(3), torch.nan), triangles, albedo, background, impl=impl)
    with pytest.raises(ValueError, match="triangles name vertices"):
        paint(vertices, triangles + 1, albedo, background, impl=impl)
    with pytest.raises(ValueError, match=r"not \(H, W, 3\) of uint8"):
        paint(vertices, triangles, albedo, background.float(), impl=impl)
    with pytest.raises(ValueError, match=r"both must be \(V, 3\)"):
        paint(vertices, triangles, albedo[:5], background, impl=impl)
    with pytest.raises(ValueError, match="triangles name vertices"):
        paint_lit(vertices, vertices, triangles + 1, albedo, gamma, background)
