"""Mirrored faces: the parameters of the mirrored picture, where the model can express them."""

import pytest
import torch

from common.errors import DataError
from geometry.schemes import IBUG_68
from morphable.open import load_face_model
from recon3d.regression.data import RegressionBatch
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.drawn import random_faces
from recon3d.regression.mirror import TOLERANCE_MM, FaceMirror
from recon3d.regression.params import Layout
from tests.recon3d.regression.small_models import small_model

SIDE = 160


@pytest.fixture(scope="module")
def head():
    return load_face_model("head")


def test_mirrored_parameters_give_the_mirrored_points(head):
    layout = Layout(*head.sizes[:2])
    mirror = FaceMirror(head, layout)
    assert 0 < mirror.residual_mm < TOLERANCE_MM
    parameters = random_faces(head, layout, 6, SIDE, 1)
    mirrored = mirror.mirror(parameters, SIDE)
    for points, order in ((head.landmarks["ibug68"], IBUG_68.flip_permutation), (None, head.symmetry)):
        decoder = FaceDecoder(head, layout, points)
        one, other = (
            CONVENTIONS["continuous"].to_crop(decoder(p), SIDE, torch.ones(6)) for p in (parameters, mirrored)
        )
        other[..., 0] = SIDE - other[..., 0]
        error = (other[:, torch.as_tensor(order)] - one).norm(dim=-1)
        assert error.mean() < 0.12 and error.max() < 1  # px of a face of 90
    assert torch.linalg.det(mirrored[:, [0, 1, 2, 4, 5, 6, 8, 9, 10]].view(-1, 3, 3)).min() > 0


def test_mirroring_twice_is_nothing(head):
    layout = Layout(*head.sizes[:2])
    mirror = FaceMirror(head, layout)
    parameters = random_faces(head, layout, 4, SIDE, 2)
    twice = mirror.mirror(mirror.mirror(parameters, SIDE), SIDE)
    decoder = FaceDecoder(head, layout)
    assert (decoder(twice) - decoder(parameters)).norm(dim=-1).mean() < 0.2


def test_share_of_a_batch_is_mirrored(head):
    layout = Layout(*head.sizes[:2])
    images = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8)
    landmarks = torch.rand(64, 68, 2) * 8
    batch = RegressionBatch(images, random_faces(head, layout, 64, SIDE, 3), torch.arange(64), landmarks)
    changed = FaceMirror(head, layout, 0.5, seed=1)(batch, 7)
    flipped = (changed.images == images.flip(-1)).flatten(1).all(1)
    same = (changed.images == images).flatten(1).all(1)
    assert 15 < flipped.sum() < 49 and (flipped ^ same).all()
    jaw = torch.stack([8 - landmarks[:, 16, 0], landmarks[:, 16, 1]], dim=-1)  # 0 and 16 are partners
    assert torch.equal(changed.landmarks[:, 0], torch.where(flipped[:, None], jaw, landmarks[:, 0]))
    assert torch.equal((changed.parameters != batch.parameters).any(1), flipped) and changed.images.dtype == torch.uint8


def test_models_that_are_not_symmetric_are_refused(head):
    with pytest.raises(DataError, match="knows no mirror partners"):
        FaceMirror(small_model(6, 3), Layout(6, 3))
    with pytest.raises(DataError, match="mm off what face model"):
        FaceMirror(head, Layout(20, 1))  # browDownLeft without browDownRight
