"""The closed form: no depth explains the faces better, it is right way round, and low rank is enough."""

import torch

from datasets.synthetic.depth import random_faces
from geometry.lifted_affine import fix_gauge, keypoint_loss
from geometry.spectral_depth import moment_factor, spectral_depth, spectral_shape


def faces_and_depth(count=300):
    faces = torch.from_numpy(random_faces(count, 0))
    return faces[..., :2], faces[..., 2]


def test_no_other_depth_explains_the_faces_better():
    points, true = faces_and_depth()
    shape = spectral_shape(points[:8], moment_factor(points, 66))

    def error(depth):
        return keypoint_loss(
            points[:8, None], depth[:, None].expand(-1, 300, -1), points[None].expand(8, -1, -1, -1)
        ).mean()

    best = error(shape)
    generator = torch.Generator().manual_seed(0)
    moved = shape + 0.01 * torch.randn(shape.shape, generator=generator, dtype=shape.dtype)
    assert best < error(moved) and best < error(true[:8])


def test_depths_have_the_sign_and_size_of_the_true_ones():
    points, true = faces_and_depth()
    depth = spectral_depth(points, moment_factor(points, 66))
    true = true - true.mean(dim=1, keepdim=True)
    depth = depth - depth.mean(dim=1, keepdim=True)
    assert torch.cosine_similarity(depth, true).min() > 0.8
    assert 0.8 < (depth * true).sum() / true.square().sum() < 1.2
    torch.testing.assert_close(fix_gauge(points, depth), spectral_shape(points, moment_factor(points, 66)))


def test_sixteen_directions_are_enough():
    points, _ = faces_and_depth()
    few, all_of_them = (spectral_depth(points, moment_factor(points, rank)) for rank in (16, 66))
    assert torch.cosine_similarity(few, all_of_them).min() > 0.9999
