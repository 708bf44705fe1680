"""Heatmaps against loops and the definitions of the papers."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import uniform_filter

from geometry.heatmaps import box_blur, decode_heatmaps, render_heatmaps


def test_rendering_equals_a_loop():
    points = torch.tensor([[3.2, 5.7], [-2.0, 9.0]])
    maps = render_heatmaps(points, 12, 1.5)
    for k, (x, y) in enumerate(points.tolist()):
        for i in range(12):
            for j in range(12):
                expected = np.exp(-((j + 0.5 - x) ** 2 + (i + 0.5 - y) ** 2) / (2 * 1.5**2))
                assert maps[k, i, j] == pytest.approx(expected, abs=1e-6)


def test_visibility_and_points_that_are_not_finite():
    points = torch.tensor([[4.0, 4.0], [float("nan"), 4.0], [5.0, 5.0]])
    maps = render_heatmaps(points, 8, 1.0, torch.tensor([1.0, 1.0, 0.0]))
    assert maps[0].max() > 0.7 and maps[1].sum() == 0 and maps[2].sum() == 0


@pytest.mark.parametrize("sigma", [1.0, 2.0, 7.0])
def test_subpixel_decoding_is_exact_also_at_the_border(sigma):
    points = torch.rand(3, 68, 2) * 127.4 + 0.3
    decoded, scores = decode_heatmaps(render_heatmaps(points, 128, sigma))
    assert (decoded - points).abs().max() < 2e-3
    assert scores.min() > 0.04 * sigma


@pytest.mark.parametrize(
    ("sigma", "mean", "largest"), [(1.0, 0.1, 1.0), (1.5, 0.05, 0.3), (3.0, 0.05, 0.5), (7.0, 0.1, 1.0)]
)
def test_subpixel_decoding_bears_noise(sigma, mean, largest):
    """Also where the peak is so narrow that a search on every eighth pixel would see nothing but noise."""
    points = torch.rand(2, 68, 2) * 100 + 14
    maps = render_heatmaps(points, 128, sigma)
    decoded, _ = decode_heatmaps(maps + 0.02 * torch.randn_like(maps))
    errors = (decoded - points).norm(dim=-1)
    assert errors.mean() < mean and errors.max() < largest


def test_box_blur_is_average_pooling():
    maps = torch.randn(2, 3, 40, 30)
    assert torch.allclose(box_blur(maps), F.avg_pool2d(maps, 9, 1, 4), atol=1e-6)


def test_compat_decoding_is_blur_and_integer_peak():
    maps = torch.rand(5, 4, 32, 32)
    decoded, scores = decode_heatmaps(maps, subpixel=False)
    for n in range(5):
        for k in range(4):
            blurred = uniform_filter(maps[n, k].numpy().astype(np.float64), 9, mode="constant")
            y, x = np.unravel_index(blurred.argmax(), blurred.shape)
            assert decoded[n, k].tolist() == [x, y]
            assert scores[n, k] == pytest.approx(blurred.max(), abs=1e-5)


def test_flat_and_negative_maps_give_finite_points():
    decoded, _ = decode_heatmaps(torch.stack([torch.zeros(16, 16), -torch.ones(16, 16)]))
    assert torch.isfinite(decoded).all()


def test_compat_decoding_is_that_of_opencv():
    points = torch.rand(20, 2) * 128
    maps = render_heatmaps(points, 128, 7.0) + 0.02 * torch.rand(20, 128, 128)
    decoded, _ = decode_heatmaps(maps, subpixel=False)
    for heatmap, point in zip(maps.numpy(), decoded.tolist(), strict=True):
        blurred = cv2.blur(heatmap, (9, 9), borderType=cv2.BORDER_CONSTANT)
        row, column = np.unravel_index(blurred.argmax(), blurred.shape)
        assert blurred[int(point[1]), int(point[0])] == pytest.approx(blurred[row, column], abs=1e-6), (
            "equal but for ties"
        )


def test_decoding_does_not_depend_on_height_batch_shape_or_memory_format():
    points = torch.rand(2, 3, 2) * 128
    maps = render_heatmaps(points, 128, 7.0)
    decoded, scores = decode_heatmaps(maps)
    assert decoded.shape == (2, 3, 2) and scores.shape == (2, 3)
    assert torch.allclose(decode_heatmaps(maps * 0.3)[0], decoded, atol=1e-3)
    assert torch.allclose(decode_heatmaps(maps.contiguous(memory_format=torch.channels_last))[0], decoded, atol=1e-4)
    one, score = decode_heatmaps(maps[1, 2])
    assert one.shape == (2,) and score.shape == () and torch.allclose(one, decoded[1, 2], atol=1e-4)


def test_decoding_of_points_outside_the_map_stays_near_it():
    points = torch.tensor([[-3.0, 64.0], [64.0, 131.0], [400.0, -400.0]])
    decoded, _ = decode_heatmaps(render_heatmaps(points, 128, 7.0))
    assert (decoded[:2] - points[:2]).abs().max() < 1.0, "the slope of a Gaussian tells where its peak lies"
    assert torch.isfinite(decoded).all() and (decoded > -20).all() and (decoded < 148).all()


def test_rendering_gradient():
    points = (torch.rand(2, 3, 2, dtype=torch.float64) * 6 + 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: render_heatmaps(p, 8, 1.5), points)
