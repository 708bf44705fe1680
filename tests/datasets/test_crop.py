"""The one crop: exact inverse, corners, resampling, alignment."""

import time

import cv2
import numpy as np
import pytest

from common.errors import DataError
from datasets.crop import crop_from_box, crop_from_landmarks, padded_size, square_crop
from geometry.schemes import AFLW_19, IBUG_68


def test_padded_sizes_of_the_paper():
    assert [padded_size(s) for s in (128, 256, 512)] == [182, 363, 725]


def test_apply_and_invert_are_inverse():
    crop = square_crop(np.array([31.0, 47.5]), 60, 128, padded=True, angle_rad=0.4)
    points = np.random.default_rng(0).uniform(-50, 300, (20, 3))
    np.testing.assert_allclose(crop.invert(crop.apply(points)), points, atol=1e-9)
    assert crop.apply(points)[0, 2] == pytest.approx(points[0, 2] * crop.scale), "depth scales like x and y"


def test_box_corners_become_the_inner_square():
    crop = crop_from_box([20, 30, 80, 90], 128, (200, 200), padded=True)
    np.testing.assert_allclose(crop.apply(np.array([[20.0, 30], [80, 90]])), [[27, 27], [155, 155]])
    inner = crop.centre(128)
    np.testing.assert_allclose(inner.apply(np.array([[20.0, 30], [80, 90]])), [[0, 0], [128, 128]], atol=1e-9)


def test_extension_and_squaring():
    crop = crop_from_box([0, 100, 50, 200], 100, (400, 400), extend_top=0.05, extend_bottom=0.15)
    corners = crop.invert(np.array([[0.0, 0.0], [100, 100]]))
    np.testing.assert_allclose(corners, [[25 - 60, 95], [25 + 60, 215]])


def test_tiny_boxes_fall_back_to_the_photo_and_bad_ones_are_refused():
    crop = crop_from_box([5, 5, 9, 9], 64, (100, 100))
    np.testing.assert_allclose(crop.invert(np.array([[0.0, 0.0], [64, 64]])), [[0, 0], [100, 100]])
    for box in ([300, 0, 400, 50], [float("nan"), 0, 40, 50]):
        with pytest.raises(DataError, match="box"):
            crop_from_box(box, 64, (100, 100))


@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("side", [50, 90, 180])
def test_extract_puts_a_dot_where_apply_says(angle, side):
    y, x = np.mgrid[:200, :200] + 0.5
    truth = np.array([91.3, 104.8])
    dot = 255 * np.exp(-((x - truth[0]) ** 2 + (y - truth[1]) ** 2) / (2 * 4.0**2))
    image = np.repeat(dot.round().astype(np.uint8)[..., None], 3, axis=2)
    crop = square_crop(np.array([95.0, 100.0]), side, 64, angle_rad=angle)
    cut = crop.extract(image)[..., 0].astype(float)
    cut[cut < 20] = 0
    rows, columns = np.mgrid[:64, :64] + 0.5
    found = np.array([(cut * columns).sum(), (cut * rows).sum()]) / cut.sum()
    assert np.abs(found - crop.apply(truth)).max() < 0.1


def test_landmark_rule_of_3fabrec(drawn):
    points = drawn("w300")[1][0].landmarks[:, :2].astype(np.float64)
    crop = crop_from_landmarks(points, IBUG_68, 100)
    height = np.ptp(points[:, 1])
    corners = crop.invert(np.array([[0.0, 0.0], [100, 100]]))
    eyes = (points[[36, 39]].mean(0) + points[[45, 42]].mean(0)) / 2
    assert corners[1, 1] - corners[0, 1] == pytest.approx(1.4 * height)
    assert corners[0, 1] == pytest.approx(points[:, 1].min() - 0.25 * height)
    assert corners[:, 0].mean() == pytest.approx(eyes[0] - 0.25 * (eyes[0] - points[8, 0]))


def test_align_levels_the_eyes(drawn):
    points = drawn("w300")[1][1].landmarks[:, :2].astype(np.float64)
    turned = points @ np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    turned += 200
    moved = crop_from_landmarks(turned, IBUG_68, 128, align=True).apply(turned)
    slope = moved[[42, 45]].mean(0) - moved[[36, 39]].mean(0)
    assert abs(np.degrees(np.arctan2(slope[1], slope[0]))) < 1e-6


def test_scheme_without_chin_or_with_hidden_points(drawn):
    points = np.random.default_rng(0).uniform(20, 90, (19, 2))
    points[3] = np.nan
    crop = crop_from_landmarks(points, AFLW_19, 64)
    assert np.isfinite(crop.matrix).all()
    with pytest.raises(DataError, match="fewer than 2"):
        crop_from_landmarks(np.full((19, 2), np.nan), AFLW_19, 64)


def test_boxes_far_larger_than_the_photo_are_cut_at_once():
    image = np.full((600, 400, 3), 200, np.uint8)
    started = time.perf_counter()
    assert square_crop(np.array([200.0, 300.0]), 4e5, 128).extract(image).max() <= 200
    assert time.perf_counter() - started < 1  # most of a minute with a low-pass as wide as the box asks for


def test_strong_shrinking_from_means_shows_the_same_picture():
    noise = np.random.default_rng(0).integers(0, 256, (12, 15, 3), np.uint8)
    image = cv2.resize(noise, (1200, 960), interpolation=cv2.INTER_CUBIC)
    crop = square_crop(np.array([590.0, 470.0]), 800, 16)
    shrink = 50
    to_centres = crop.matrix.copy()
    to_centres[:, 2] += crop.matrix[:, :2].sum(1) / 2 - 0.5
    exact = cv2.warpAffine(cv2.GaussianBlur(image, (0, 0), 0.35 * shrink), to_centres, (16, 16))
    assert np.abs(crop.extract(image).astype(int) - exact).mean() < 1.5 < exact.std()
