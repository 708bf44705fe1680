"""Landmark schemes: mirror pairs, conversions, files."""

import json

import numpy as np
import pytest

from geometry.schemes import (
    IBUG_68,
    SCHEMES,
    WFLW_98_TO_IBUG_68,
    LandmarkScheme,
    generic_scheme,
    get_scheme,
    load_scheme,
    scheme_to_dict,
)
from morphable.model import EMBEDDED_HEAD, FaceModel


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda s: s.name)
def test_flip_is_an_involution(scheme):
    permutation = scheme.flip_permutation
    assert (permutation[permutation] == np.arange(scheme.num_points)).all()
    assert sorted(scheme.inner + scheme.outline) == list(range(scheme.num_points))


def test_published_point_counts():
    assert {s.num_points for s in SCHEMES.values()} == {5, 19, 21, 66, 68, 84, 98}


@pytest.fixture(scope="module")
def head():
    return FaceModel.load(EMBEDDED_HEAD)


@pytest.mark.parametrize("name", ["ibug68", "wflw98"])
def test_the_mirrored_head_has_the_permuted_landmarks(head, name):
    points = head.points(head.mean, name).numpy()
    mirrored = (points * [-1, 1, 1])[SCHEMES[name].flip_permutation]
    np.testing.assert_allclose(mirrored, points, atol=0.03)  # dm: the mean of random people is nearly symmetric


def test_98_to_68_as_published(head):
    outline_to_nose = [*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60)]
    eyes = [60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75]
    assert WFLW_98_TO_IBUG_68.tolist() == [*outline_to_nose, *eyes, *range(76, 96)]
    fine = head.points(head.mean, "wflw98")[WFLW_98_TO_IBUG_68]
    np.testing.assert_allclose(fine, head.points(head.mean, "ibug68"), atol=1e-6)


def test_66_points_leave_out_the_inner_mouth_corners():
    scheme = SCHEMES["3dfaw66"]
    assert (63, 64) not in scheme.flip_pairs and scheme.right_eye_corners == (36, 39)
    assert scheme.contours[-1][0] == 60, "68's point 61"


def test_file_round_trip_and_errors(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(scheme_to_dict(IBUG_68)))
    assert load_scheme(path) == IBUG_68 == get_scheme(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="mine.json"):
        load_scheme(path)
    with pytest.raises(ValueError, match="ibug68"):
        get_scheme("ibug69")
    with pytest.raises(ValueError, match="outside"):
        LandmarkScheme("x", 3, outline=(3,))
    with pytest.raises(ValueError, match="two flip pairs"):
        LandmarkScheme("x", 3, flip_pairs=((0, 1), (1, 2)))


def test_unknown_counts_get_a_plain_scheme():
    assert generic_scheme(68) is IBUG_68
    assert generic_scheme(7).flip_permutation.tolist() == list(range(7))


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda s: s.name)
def test_mirroring_twice_gives_the_same_face_and_swaps_the_eyes(scheme):
    points = np.random.default_rng(0).random((scheme.num_points, 2))
    mirrored = (points * [-1, 1])[scheme.flip_permutation]
    np.testing.assert_array_equal((mirrored * [-1, 1])[scheme.flip_permutation], points)
    permutation = scheme.flip_permutation
    if scheme.outer_eye_corners is not None:
        assert permutation[list(scheme.right_eye_corners)].tolist() == list(scheme.left_eye_corners)
    right, left = scheme.five_points[:2]
    assert set(permutation[list(right)]) == set(left), "the right eye's points become the left eye's"
    assert set(permutation[list(scheme.outline)]) == set(scheme.outline)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda s: s.name)
def test_every_scheme_survives_a_file(scheme, tmp_path):
    path = tmp_path / "scheme.json"
    path.write_text(json.dumps(scheme_to_dict(scheme)))
    assert load_scheme(path) == scheme


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x"},
        {"name": "x", "num_points": 2, "colour": 1},
        {"name": "x", "num_points": 2, "pupils": [0, 2]},
        {"name": "x", "num_points": 2, "chin": -1},
        {"name": "x", "num_points": 2, "five_points": [[5]]},
    ],
)
def test_bad_files_are_refused_by_name(fields, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="bad.json"):
        load_scheme(path)
