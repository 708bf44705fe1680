"""Cameras against the published oracle and closed forms."""

import torch

from geometry.cameras import pinhole, rigid_transform, weak_perspective
from geometry.rotations import rotation_from_euler


def test_pinhole_matches_deep3d():
    # Deep3D's camera: y there is up, measured from the lower edge of 224 px
    rotation = rotation_from_euler(torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64), "deep3d")
    point = torch.tensor([[[0.3, 0.2, 0.5]]], dtype=torch.float64)
    posed = rigid_transform(point, rotation, torch.tensor([[0.01, -0.02, 0.03]], dtype=torch.float64))
    torch.testing.assert_close(
        posed[0, 0], torch.tensor([0.345044, 0.239695, 0.477553], dtype=torch.float64), atol=1e-6, rtol=0
    )
    screen = pinhole(posed, 1015.0, (112.0, 112.0), 10.0)
    expected = torch.tensor([148.77834, 224 - 137.54919, 10 - 0.477553], dtype=torch.float64)
    torch.testing.assert_close(screen[0, 0], expected, atol=1e-5, rtol=0)


def test_pinhole_takes_a_camera_per_face():
    vertices = torch.tensor([[[0.1, 0.2, 0.0]], [[0.1, 0.2, 0.0]]])
    centre = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    screen = pinhole(vertices, torch.tensor([100.0, 200.0]), centre, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(screen, torch.tensor([[[20.0, 0.0, 1.0]], [[40.0, 20.0, 2.0]]]))


def test_weak_perspective_is_its_formula_and_nearer_is_smaller():
    rotation = rotation_from_euler(torch.tensor([[0.2, -0.4, 0.1], [0.0, 0.0, 0.0]]))
    vertices = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    scale, translation = torch.tensor([50.0, 80.0]), torch.tensor([[60.0, 61.0], [30.0, 20.0]])
    screen = weak_perspective(vertices, rotation, scale, translation)
    for face in range(2):
        for vertex in range(5):
            x, y, z = (rotation[face] @ vertices[vertex] * scale[face]).tolist()
            expected = torch.tensor([translation[face, 0] + x, translation[face, 1] - y, -z])
            torch.testing.assert_close(screen[face, vertex], expected, atol=1e-4, rtol=0)
    assert (screen[1, :, 2].argsort() == (-vertices[:, 2]).argsort()).all()
