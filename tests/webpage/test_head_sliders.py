"""The head of the sliders: every group of them changes what it says it does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from webpage.head import EXPRESSIONS, HeadSliders, draw_head, head_vertices, mean_head, random_head, write_head

STILL = HeadSliders()


def moved(**changes: object) -> torch.Tensor:
    return (head_vertices(mean_head(), replace(STILL, **changes)) - head_vertices(mean_head(), STILL)).norm(dim=-1)


@pytest.mark.parametrize("number", range(len(EXPRESSIONS)))
def test_every_expression_moves_vertices_and_stays_in_range(number):
    half, full, twice = ([0.0] * len(EXPRESSIONS) for _ in range(3))
    half[number], full[number], twice[number] = 0.5, 1.0, 2.0
    assert moved(expression=full).max() > 0.02  # dm
    assert float(moved(expression=half).max()) == pytest.approx(float(moved(expression=full).max()) / 2, rel=1e-3)
    assert torch.equal(moved(expression=twice), moved(expression=full))  # units end at 1


def test_identity_counts_standard_deviations_on_top_of_the_start():
    one = moved(identity=(1.0, 0, 0, 0, 0, 0))
    assert one.max() > 0.02 and torch.allclose(moved(identity=(2.0, 0, 0, 0, 0, 0)), 2 * one, atol=1e-4)
    person = random_head(3)
    assert torch.equal(head_vertices(person, STILL), head_vertices(random_head(3), STILL))
    assert not torch.equal(head_vertices(person, STILL), head_vertices(random_head(4), STILL))


def test_lamp_and_yaw_go_where_they_say():
    right, left = (draw_head(mean_head(), HeadSliders(azimuth_deg=a), 96).astype(float) for a in (80.0, -80.0))
    assert right[:, 48:].mean() > right[:, :48].mean() + 10 and left[:, :48].mean() > left[:, 48:].mean() + 10
    dark, bright = (draw_head(mean_head(), HeadSliders(brightness=b), 96).astype(float) for b in (0.4, 1.2))
    assert bright.mean() > dark.mean() + 10
    flat = draw_head(mean_head(), HeadSliders(contrast=0.0, azimuth_deg=80.0), 96).astype(float)
    assert abs(flat[:, 48:].mean() - flat[:, :48].mean()) < 3
    assert np.abs(draw_head(mean_head(), HeadSliders(yaw_deg=60.0), 96).astype(float) - flat).mean() > 5


def test_the_mesh_is_the_unposed_head(tmp_path):
    sliders = HeadSliders(yaw_deg=50.0)
    mesh = trimesh.load(write_head(tmp_path / "head.glb", mean_head(), sliders), process=False, force="mesh")
    np.testing.assert_allclose(mesh.vertices, head_vertices(mean_head(), STILL).numpy() * 0.1, atol=1e-5)
