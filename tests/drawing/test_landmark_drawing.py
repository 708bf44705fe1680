"""Landmarks lie where their numbers say, to a fraction of a pixel."""

import numpy as np
import pytest

from drawing.landmarks import BLUE, GREEN, draw_dots, draw_landmarks, draw_offsets
from geometry.schemes import IBUG_68


@pytest.mark.parametrize("point", [(20.5, 12.5), (20.0, 12.25), (31.75, 30.5)])
def test_a_dot_has_its_centre_and_size(point):
    picture = np.zeros((48, 64, 3), np.uint8)
    draw_dots(picture, np.array([point]), (255, 255, 255), 4.0)
    weight = picture[..., 0] / 255
    rows, columns = np.mgrid[:48, :64] + 0.5
    assert abs((columns * weight).sum() / weight.sum() - point[0]) < 0.1
    assert abs((rows * weight).sum() / weight.sum() - point[1]) < 0.1
    assert abs(np.sqrt(weight.sum() / np.pi) - 4.0) < 0.6


def test_points_far_outside_are_no_error():
    picture = np.zeros((8, 8, 3), np.uint8)
    draw_dots(picture, np.array([[1e12, -1e12]]), (255, 255, 255), 1.0)
    assert not picture.any()


def test_contours_join_what_a_scheme_joins_and_offsets_have_both_colours():
    points = np.stack([np.linspace(10, 118, 68), 64 + 30 * np.sin(np.arange(68.0))], 1)
    dots, contours, offsets = (np.zeros((128, 128, 3), np.uint8) for _ in range(3))
    draw_landmarks(dots, points)
    draw_landmarks(contours, points, IBUG_68)
    assert (contours.any(-1) & ~dots.any(-1)).sum() > 50 and (contours.any(-1) | ~dots.any(-1)).all()
    draw_offsets(offsets, points, points + [0, 9])
    assert all((offsets == colour).all(-1).any() for colour in (GREEN, BLUE))
