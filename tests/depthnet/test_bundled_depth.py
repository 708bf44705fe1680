"""The bundled depth models are as good as their cards say: a worse one fails, and so does one turned over.

On the fits of real photos where they lie on this machine, and always on the embedded head, whose shape the template of
the control does not know.
"""

import numpy as np
import pytest
import torch

from common.pretrained import PRETRAINED
from depthnet.lifting import Lifter, axis_rotation
from depthnet.models import load_model
from geometry.face_template import template_depth, to_66
from metrics.depth import depth_corr, pair_corr
from morphable.open import load_face_model

# least DepthCorr on real faces and on heads, least mean correlation over the keypoints of a face on each
LEAST = {"depthnet_gan": (65.2, 53.5, 0.995, 0.95), "spectral_depth": (63.7, 51.8, 0.95, 0.90)}
MAX_YAW, MAX_PITCH, MAX_ROLL = 45, 20, 10  # degrees


@pytest.fixture(scope="module")
def heads():
    """(150, 66, 3) keypoints of random embedded heads in random poses: y down, z away from the viewer, mm."""
    model, generator = load_face_model("head"), torch.Generator().manual_seed(0)
    identities, expressions, _ = model.sizes
    draws = (torch.randn(150, size, generator=generator) for size in (identities, expressions))
    shapes = model.shape(next(draws), 0.5 * next(draws))
    points = to_66(model.points(shapes, "ibug68").double().numpy()) * np.array([1.0, -1.0, -1.0])
    turns = np.deg2rad(np.random.default_rng(0).uniform(-1, 1, (150, 3)) * [MAX_PITCH, MAX_YAW, MAX_ROLL])
    rotations = np.stack([axis_rotation("z", r) @ axis_rotation("x", p) @ axis_rotation("y", y) for p, y, r in turns])
    return (points - points.mean(axis=1, keepdims=True)) @ rotations.transpose(0, 2, 1)


@pytest.fixture(scope="module")
def photos(shared_data):
    """(225, 66, 3) keypoints of 3DMM fits of test photos: the most turned ones and the frontal ones."""
    with np.load(shared_data / "pseudo3d/tddfa_v2_mb05_fits.npz") as fits:
        chosen = (fits["nme_vs_2d_annotation"] < 6) & np.char.find(fits["image"], "/test") >= 0
        points = to_66(fits["landmarks68"][chosen].astype(np.float64))
    points[..., 2] = points[..., 2].mean(axis=1, keepdims=True) - points[..., 2]
    turned = np.argsort(points[:, :3, 2].mean(axis=1) - points[:, 14:17, 2].mean(axis=1))
    return points[turned[np.r_[:75, len(turned) // 2 - 37 : len(turned) // 2 + 38, -75:0]]]


def scores(name, faces):
    """(DepthCorr, mean correlation per face) of a model and of the posed template, faces brought to one size."""
    lifter = Lifter(load_model(name, PRETRAINED))
    points, true = faces[..., :2], torch.from_numpy(faces[..., 2] - faces[..., 2].mean(axis=1, keepdims=True))
    spread = torch.from_numpy(np.sqrt(((points - points.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)))
    ours = torch.from_numpy(np.stack([lifter.photo_depth(face) for face in points]))
    posed = template_depth(torch.from_numpy(points))
    return [
        (depth_corr(z / spread[:, None], true / spread[:, None]), float(pair_corr(z, true).mean()))
        for z in (ours, posed)
    ]


@pytest.mark.parametrize("name", LEAST)
def test_on_fits_of_real_photos(name, photos):
    (corr, own), (control, _) = scores(name, photos)
    assert corr > max(LEAST[name][0], control) and own > LEAST[name][2]


@pytest.mark.parametrize("name", LEAST)
def test_on_heads_that_it_never_saw(name, heads):
    (corr, own), _ = scores(name, heads)
    assert corr > LEAST[name][1] and own > LEAST[name][3]
