"""Points without an annotation lie at (0, 0) in a sample; no normaliser and no depth shift may see them."""

import numpy as np
import pytest
import torch

from geometry.schemes import AFLW_19, IBUG_68, generic_scheme
from metrics.landmarks import gte_errors, mean_error, normaliser
from metrics.report import LandmarkReport, Protocol

PLACEHOLDERS = pytest.mark.parametrize("placeholder", [0.0, float("nan")])


def half_seen(scheme, hidden, placeholder, dimensions=2):
    """Truth around (150, 150), whose hidden points are placeholders, and its visibility."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(4, scheme.num_points, dimensions, generator=generator) * 100 + 100
    visibility = torch.ones(4, scheme.num_points)
    truth[:, hidden], visibility[:, hidden] = placeholder, 0
    return truth, visibility


@PLACEHOLDERS
def test_boxes_are_those_of_the_visible_points(placeholder):
    truth, visibility = half_seen(AFLW_19, list(range(9)), placeholder)
    sides = [np.ptp(face[9:].numpy(), axis=0) for face in truth]
    for kind, expected in (
        ("box", [np.sqrt(w * h) for w, h in sides]),
        ("diagonal", [np.hypot(w, h) for w, h in sides]),
    ):
        found = normaliser(truth, AFLW_19, kind, visibility=visibility)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@PLACEHOLDERS
@pytest.mark.parametrize(("kind", "point"), [("outer", 45), ("pupil", 42), ("eyes", 43)])
def test_a_distance_between_unseen_points_is_none(kind, point, placeholder):
    truth, visibility = half_seen(IBUG_68, [point], placeholder)
    assert normaliser(truth, IBUG_68, kind, visibility=visibility).tolist() == [0.0] * 4
    visibility[:, point] = 1
    truth[:, point] = 150.0
    assert (normaliser(truth, IBUG_68, kind, visibility=visibility) > 0).all()


def test_a_face_without_visible_points_has_no_box():
    truth, _ = half_seen(AFLW_19, [], 0.0)
    for kind in ("box", "diagonal"):
        assert normaliser(truth, AFLW_19, kind, visibility=torch.zeros(4, 19)).tolist() == [0.0] * 4


def test_report_uses_visible_points_and_names_faces_without_a_distance():
    truth, visibility = half_seen(AFLW_19, list(range(9)), 0.0)
    report = LandmarkReport(Protocol("aflw", "full", AFLW_19.name, "diagonal"), AFLW_19)
    report.add(list("abcd"), truth + torch.tensor([3.0, 4.0]), truth, visibility, 256)
    diagonals = [np.hypot(*np.ptp(face[9:].numpy(), axis=0)) for face in truth]
    assert report.summary()["nme"] == pytest.approx(np.mean([500 / d for d in diagonals]), rel=1e-5)
    truth, visibility = half_seen(IBUG_68, [36], 0.0)
    visibility[1:] = 1
    report = LandmarkReport(Protocol("mine", "test", IBUG_68.name, "outer"), IBUG_68)
    report.add(list("abcd"), truth + 1, truth, visibility, 256)
    assert report.summary()["excluded"] == ["a"]


def test_depth_is_shifted_by_the_mean_of_the_visible_points():
    truth, visibility = half_seen(IBUG_68, [0, 1, 2], 0.0, dimensions=3)
    predicted = truth.clone()
    predicted[:, 3:, 2] += 40
    assert mean_error(gte_errors(predicted, truth, IBUG_68, visibility)) == pytest.approx(0, abs=1e-3)


def test_depths_of_a_scheme_without_eyes_are_scored_by_the_crop():
    scheme = generic_scheme(7)
    truth = torch.rand(2, 7, 3) * 100
    predicted = truth + torch.tensor([3.0, 0.0, 9.0])
    report = LandmarkReport(Protocol("mine", "test", scheme.name, "outer"), scheme)
    report.add(["a", "b"], predicted, truth, None, 200)
    assert report.summary()["gte"] == pytest.approx(1.5, rel=1e-4) and report.summary()["gte_normaliser"] == "image"
