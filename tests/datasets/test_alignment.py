"""Five-point alignment and skin masks against the published code's numbers."""

import numpy as np
import pytest

from common.errors import DataError
from common.files.images import read_image
from datasets.alignment import Alignment, align, five_of_68, in_order, read_five, read_reference
from datasets.skin_probability import skin_mask, skin_probability
from morphable.model import EMBEDDED_HEAD, FaceModel

REFERENCE = np.array(
    [
        [-0.311487, 0.290361, 0.133780],
        [0.309799, 0.289720, 0.131795],
        [0.003253, -0.046179, 0.552442],
        [-0.252169, -0.381339, 0.224057],
        [0.248466, -0.381282, 0.222358],
    ]
)
ORACLES = {  # index coordinates with y up: t, s, k
    "000002.jpg": ((196.614, 355.063), 139.8459, 0.7293744),
    "vd006.png": ((154.641, 188.467), 101.9731, 1.0002634),
    "015309.jpg": ((400.728, 728.327), 456.5738, 0.2234031),
}
CROP_POINTS = np.array([(73.0, 88.4), (130.8, 86.0), (85.0, 122.3), (75.8, 149.5), (134.8, 145.0)])


@pytest.mark.parametrize("name", ORACLES)
def test_published_photos_align_as_published(shared_data, name):
    path = shared_data / "deep3d/input" / name
    reference = read_reference(shared_data / "deep3d/BFM/similarity_Lm3D_all.mat")
    assert np.abs(reference - REFERENCE).max() < 2e-6
    photo, five = read_image(path), read_five(path.with_suffix(".txt"))
    found = align(five, reference)
    (tx, ty), scale, zoom = ORACLES[name]
    params = found.trans_params(photo.shape[1::-1])
    assert np.allclose(params, (*photo.shape[1::-1], zoom, tx, ty), atol=6e-4) and found.scale == pytest.approx(
        scale, abs=1e-3
    )
    back = Alignment.from_trans_params(params)
    assert np.allclose(back.crop().matrix, found.crop().matrix, atol=1e-9)
    if name == "000002.jpg":
        cut = (np.array(photo.shape[1::-1]) * zoom % 1) / 2  # what the published code loses by whole sizes
        expected = CROP_POINTS + (-cut[0], 1 + cut[1])  # its y counts from 223 at the top, ours from 224 (half a pixel)
        assert np.abs(found.crop().apply(five) - expected).max() < 0.06


def test_alignment_is_exact_and_invertible():
    five = REFERENCE[:, :2] * (80, -80) + (300.2, 211.7)
    found = align(five, REFERENCE)
    assert found.scale == pytest.approx(80) and np.allclose(found.origin, (300.2, 211.7))
    crop = found.crop()
    assert np.allclose(crop.apply(found.origin[None]), 112) and np.allclose(crop.invert(crop.apply(five)), five)
    small = found.crop(size=112)
    assert np.allclose(small.apply(five) * 2, crop.apply(five))


def test_any_face_model_gives_a_reference():
    model = FaceModel.load(EMBEDDED_HEAD)
    points = model.points(model.mean, "ibug68").numpy()
    assert np.allclose(five_of_68(points), model.five_points.numpy(), atol=1e-6)
    assert align(points[[36, 45, 30, 48, 54], :2] * (90, -90), model.five_points.numpy()).scale > 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:4], "4 landmarks"),
        (lambda p: p[[1, 0, 2, 4, 3]], "swapped"),
        (lambda p: p * [1, 0], "on one line"),
        (lambda p: np.where(np.arange(10).reshape(5, 2) == 3, np.nan, p), "not finite"),
    ],
)
def test_bad_points_are_one_sentence(change, message):
    five = REFERENCE[:, :2] * (80, -80) + (300.2, 211.7)
    with pytest.raises(DataError, match=message):
        align(change(five), REFERENCE)


def test_profiles_may_cross_where_points_are_measured():
    five = REFERENCE[:, :2] * (80, -80) + (300.2, 211.7)
    crossed = five[[1, 0, 2, 4, 3]]
    assert in_order(five) and not in_order(crossed)
    assert align(crossed, REFERENCE, ordered=False).scale > 0
    with pytest.raises(DataError, match="on one line"):
        align(five * [1, 0], REFERENCE, ordered=False)


def test_files_with_other_content(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("1 2\n3 4\n5 x\n")
    with pytest.raises(DataError, match="x.txt:3"):
        read_five(path)


SKIN = {
    (224, 172, 150): 0.991744,
    (198, 134, 110): 0.993666,
    (141, 85, 60): 0.984438,
    (90, 55, 40): 0.951696,
    (255, 255, 255): 0.187622,
    (0, 0, 0): 0.027586,
    (60, 120, 200): 5e-6,
    (128, 128, 128): 0.013651,
    (200, 120, 120): 0.988617,
}


def test_skin_probabilities_are_the_published_ones():
    colours = np.array(list(SKIN))
    assert np.abs(skin_probability(colours) - list(SKIN.values())).max() < 2e-6
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    assert np.array_equal(skin_mask(picture), np.rint(255 * skin_probability(picture)).astype(np.uint8))
    assert np.isfinite(skin_probability(np.array([[0, 255, 0], [255, 0, 255], [0, 0, 255]]))).all()
