"""Several meshes in one z-buffer, and the vertices that a picture shows."""

import pytest
import torch
from raster_meshes import grid_mesh, sphere

from geometry.raster.rasteriser import rasterize
from geometry.raster.visibility import merge_meshes, visible_vertices


def test_the_near_half_of_a_ball_is_visible():
    screen, triangles = sphere()
    visible = visible_vertices(screen, triangles, rasterize(screen, triangles, (80, 80)))[0]
    depth = screen[0, :, 2]
    assert visible[depth < 49].all()
    radius = (screen[0, :, :2] - 40).norm(dim=-1)
    assert not visible[
        (depth > 51) & (radius < 28.0)
    ].any()  # within a pixel of the outline a hidden vertex may be taken for visible


def test_a_slanted_plane_does_not_hide_itself():
    screen, triangles = grid_mesh(20, 60.0)
    screen[..., 2] = 5 * screen[..., 0] - 3 * screen[..., 1]
    ids = rasterize(screen, triangles, (60, 60))
    assert visible_vertices(screen, triangles, ids, tolerance=0.5).all()


def test_vertices_outside_the_picture_and_behind_the_camera_are_not_visible():
    screen, triangles = sphere()
    moved = screen - torch.tensor([40.0, 0.0, 0.0])
    visible = visible_vertices(moved, triangles, rasterize(moved, triangles, (80, 80)))
    assert not visible[0, moved[0, :, 0] < 0].any() and visible.any()
    shifted = screen - torch.tensor([0.0, 0.0, 40.0])
    ids = rasterize(shifted, triangles, (80, 80), perspective=True)
    visible = visible_vertices(shifted, triangles, ids, perspective=True)
    assert not visible[0, shifted[0, :, 2] <= 0].any() and visible.any()


def test_merged_meshes_hide_each_other():
    near, triangles = sphere(radius=10.0)
    far, _ = sphere()
    near = near - torch.tensor([0.0, 0.0, 40.0])
    screen, merged = merge_meshes([far, near], [triangles, triangles])
    ids = rasterize(screen, merged, (80, 80))[0]
    y, x = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    radius = ((x - 40) ** 2 + (y - 40) ** 2).sqrt()
    assert (ids[radius < 9.7] >= len(triangles)).all()
    ring = ids[(radius > 10.3) & (radius < 29)]
    assert ((ring >= 0) & (ring < len(triangles))).all()
    visible = visible_vertices(screen, merged, ids[None])[0, : far.shape[1]]
    hidden = ((far[0, :, :2] - 40).norm(dim=-1) < 8) & (far[0, :, 2] < 50)
    assert hidden.any() and not visible[hidden].any()


def test_bad_lists_are_refused():
    screen, triangles = sphere()
    with pytest.raises(ValueError, match="2 meshes came with 1 lists of triangles"):
        merge_meshes([screen, screen], [triangles])
    with pytest.raises(ValueError, match="at least one"):
        merge_meshes([], [])
