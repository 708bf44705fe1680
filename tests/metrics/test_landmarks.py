"""Scores against loops, closed forms and the papers' definitions."""

import json
import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from drawing.curves import plot_ced
from geometry.schemes import AFLW_19, IBUG_68, MENPO_84, WFLW_98
from metrics.images import pixel_error, ssim
from metrics.landmarks import (
    auc,
    auc_steps,
    failure_rate,
    gte_errors,
    landmark_errors,
    mean_error,
    mean_std,
    normaliser,
    std_nme,
)
from metrics.report import LandmarkReport, Protocol


def faces(count=5, points=68, dimensions=2):
    truth = torch.rand(count, points, dimensions) * 100
    return truth + torch.randn(count, points, dimensions), truth


def reference_nme(predicted, truth, distance):
    total = 0.0
    for p, t, d in zip(predicted.numpy(), truth.numpy(), distance, strict=True):
        total += np.mean([math.dist(a, b) for a, b in zip(p, t, strict=True)]) / d * 100
    return total / len(predicted)


def test_normalisers_of_68_points():
    _, t = faces()
    n = t.numpy()
    outer = np.linalg.norm(n[:, 36] - n[:, 45], axis=1)
    inner = np.linalg.norm(n[:, 39] - n[:, 42], axis=1)
    sides = n.max(1) - n.min(1)
    expected = {
        "outer": outer,
        "pupil": (outer + inner) / 2,
        "box": np.sqrt(sides.prod(1)),
        "bb": np.sqrt(sides.prod(1)),
        "eyes": np.linalg.norm(n[:, 36:42].mean(1) - n[:, 42:48].mean(1), axis=1),
        "diagonal": np.linalg.norm(sides, axis=1),
        "image": np.full(5, 256.0),
        "none": np.full(5, 100.0),
    }
    for kind, value in expected.items():
        np.testing.assert_allclose(normaliser(t, IBUG_68, kind, 256), value, rtol=1e-5)


def test_normalisers_of_other_schemes():
    for scheme, (a, b) in ((WFLW_98, (60, 72)), (MENPO_84, (52, 61))):
        _, t = faces(points=scheme.num_points)
        np.testing.assert_allclose(normaliser(t, scheme, "outer"), (t[:, a] - t[:, b]).norm(dim=1))
    _, t = faces(points=19)
    assert normaliser(t, AFLW_19, "outer", 256).tolist() == [256.0] * 5, "AFLW is normalised by the face box"
    with pytest.raises(ValueError, match="outer"):
        normaliser(t, AFLW_19, "ocular", 256)


def test_nme_std_and_groups_equal_loops():
    p, t = faces()
    distance = normaliser(t, IBUG_68, "outer")
    errors = landmark_errors(p, t, distance)
    assert mean_error(errors) == pytest.approx(reference_nme(p, t, distance.numpy()), rel=1e-5)
    inner = list(IBUG_68.inner)
    assert len(inner) == 51
    assert mean_error(errors, inner) == pytest.approx(
        reference_nme(p[:, inner], t[:, inner], distance.numpy()), rel=1e-5
    )
    expected = np.sqrt(np.mean([np.var(row) for row in errors.numpy()]))
    assert std_nme(errors) == pytest.approx(expected, rel=1e-5)


def test_invisible_points_do_not_count():
    p, t = faces()
    p[:, 7] += 1000
    visible = torch.ones(5, 68)
    visible[:, 7] = 0
    errors = landmark_errors(p, t, torch.full((5,), 50.0), visible)
    rest = [i for i in range(68) if i != 7]
    assert mean_error(errors) == pytest.approx(reference_nme(p[:, rest], t[:, rest], [50.0] * 5), rel=1e-5)


def test_auc_closed_forms():
    for function in (auc, auc_steps):
        assert function(torch.zeros(10), 10.0) == 1.0
        assert function(torch.full((10,), 11.0), 10.0) == 0.0
        assert function(torch.full((10,), 5.0), 10.0) == pytest.approx(0.5, abs=1e-6)
        assert function(torch.full((10,), 4.0), 8.0) == pytest.approx(0.5, abs=1e-6)
        assert math.isnan(function(torch.zeros(0), 10.0))
    errors = torch.rand(500) * 14
    fine = np.mean([(errors.numpy() <= x).mean() for x in np.linspace(0, 10, 20001)])
    assert auc(errors, 10.0) == pytest.approx(fine, abs=1e-4)


def test_failures():
    errors = torch.tensor([1.0, 10.0, 10.1, math.inf])
    assert failure_rate(errors, 10.0) == 50.0


def test_gte_ignores_a_depth_offset():
    p, t = faces(dimensions=3)
    p = t.clone()
    p[..., 2] += 40
    assert gte_errors(p, t, IBUG_68).max() < 1e-3
    p[:, 0, 0] += 3
    expected = 3 / (t[:, 36] - t[:, 45]).norm(dim=1) / 68 * 100
    assert mean_error(gte_errors(p, t, IBUG_68)) == pytest.approx(float(expected.mean()), rel=1e-3)


def make_report(**protocol):
    options = {
        "dataset": "w300",
        "split": "common",
        "scheme": "ibug68",
        "normaliser": "outer",
        "crop": "lm_ground_truth",
    }
    return LandmarkReport(Protocol(**(options | protocol)), IBUG_68)


def test_report_streams_and_names_failures(tmp_path):
    p, t = faces(7)
    whole, parts = make_report(), make_report()
    whole.add([str(i) for i in range(7)], p, t, None, 256)
    for i in range(7):
        parts.add([str(i)], p[i : i + 1], t[i : i + 1], torch.ones(1, 68), 256)
    assert parts.summary()["nme"] == pytest.approx(whole.summary()["nme"])
    before = whole.summary()
    whole.add_failure("bad.jpg", "cut short")
    summary = whole.summary()
    assert summary["n"] == 8 and summary["failures"] == before["failures"] + 1
    assert summary["nme"] == pytest.approx(before["nme"]) and summary["auc"] == pytest.approx(before["auc"] * 7 / 8)
    content = json.loads(whole.json_text())
    assert content["without_prediction"] == [{"name": "bad.jpg", "reason": "cut short"}]
    assert content["protocol"]["normaliser"] == "outer"
    rows = whole.csv_text().splitlines()
    assert len(rows) == 9 and rows[0].startswith("name,nme,") and rows[-1].startswith("bad.jpg,inf")


def test_line_carries_the_protocol():
    report = make_report(seed=3, commit="abc", flip=True)
    report.add(["a"], *faces(1), None, 256)
    parts = (
        "w300/common",
        "ibug68",
        "norm=outer",
        "crop=lm_ground_truth",
        "AUC@10",
        "n=1",
        "seed=3",
        "commit=abc",
        "flip=1",
    )
    assert all(part in report.line() for part in parts)
    assert report.block().splitlines()[0].startswith("NME:   ")


def test_empty_report_is_nan_and_valid_json():
    content = json.loads(make_report().json_text())
    assert content["n"] == 0 and content["nme"] is None


def test_3d_report_has_gte():
    report = make_report()
    report.add(["a", "b"], *faces(2, dimensions=3), None, 256)
    assert "GTE:" in report.block() and "STD_GTE:" in report.block()


def test_ced_plot(tmp_path):
    report = make_report()
    report.add([str(i) for i in range(5)], *faces(), None, 256)
    plot_ced({"ours": report, "again": report}, tmp_path / "deep" / "ced.png")
    assert (tmp_path / "deep" / "ced.png").stat().st_size > 5000


def test_mean_and_deviation_over_seeds():
    assert mean_std([1.0, 2.0, 3.0]) == (2.0, 1.0) and mean_std([4.0]) == (4.0, 0.0)


def test_ssim_is_that_of_skimage():
    x = torch.rand(3, 3, 40, 50)
    y = (x + 0.2 * torch.rand_like(x)).clamp(0, 1)
    for a, b, value in zip(x.double().numpy(), y.double().numpy(), ssim(x.double(), y.double()), strict=True):
        expected = structural_similarity(a.transpose(1, 2, 0), b.transpose(1, 2, 0), channel_axis=2, data_range=1)
        assert float(value) == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(pixel_error(x, x + 0.1), torch.full((3,), 25.5), atol=1e-4)


def test_ssim_of_equal_images_is_one_and_has_a_gradient():
    x = torch.rand(2, 1, 12, 13, dtype=torch.float64)
    assert torch.allclose(ssim(x, x), torch.ones(2, dtype=torch.float64))
    y = torch.rand_like(x).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: ssim(x, y), y)
