"""What a report says, names and writes, against numbers worked out by hand."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from drawing.curves import plot_ced
from geometry.schemes import FIVE, IBUG_68, LandmarkScheme, generic_scheme
from metrics.landmarks import auc, effective_normaliser, failure_rate, landmark_errors, normaliser
from metrics.report import LandmarkReport, Protocol

ROOT = Path(__file__).resolve().parents[2]


def report_of(shifts, **protocol):
    """Faces whose outer eye corners are 100 px apart and whose points are all off by shifts[i] px: NME = shifts in
    %.
    """
    truth = torch.zeros(len(shifts), 68, 2)
    truth[:, 45, 0] = 100
    predicted = truth + torch.tensor(shifts)[:, None, None] * torch.tensor([0.6, 0.8])
    options = {
        "dataset": "w300",
        "split": "common",
        "scheme": "ibug68",
        "normaliser": "outer",
        "crop": "lm_ground_truth",
    }
    report = LandmarkReport(Protocol(**(options | protocol)), IBUG_68)
    report.add([f"{i}.jpg" for i in range(len(shifts))], predicted, truth, None, 256)
    return report


def test_block_and_line_to_the_letter():
    report = report_of([2.0, 4.0, 12.0], seed=3, commit="abc")
    assert report.block().splitlines() == ["NME:    6.000", "STD_NME:    0.000", "FR@10: 33.333 (1)", "AUC:   0.4667"]
    assert report.line() == (
        "w300/common ibug68  NME 6.00 %  norm=outer  crop=lm_ground_truth  AUC@10(exact) 0.4667  FR@10 33.33 %"
        " (1)  n=3  "
        "without-prediction=0  excluded=0  flip=0  subpixel=1  readout=heatmaps  seed=3  commit=abc"
    )


def test_images_left_out_of_the_mean_are_named():
    report = report_of([2.0, 4.0])
    truth = torch.rand(2, 68, 2) * 100
    truth[0, 45] = truth[0, 36]  # normaliser 0
    visible = torch.ones(2, 68)
    visible[1] = 0
    report.add(["no distance", "nothing visible"], truth + 1, truth, visible, 256)
    report.add_failure("unreadable", "cut short")
    summary = report.summary()
    assert summary["excluded"] == ["no distance", "nothing visible", "unreadable"] and summary["n"] == 5
    assert summary["nme"] == pytest.approx(3.0) and summary["failure_rate"] == pytest.approx(60.0)
    assert summary["auc"] == pytest.approx((0.8 + 0.6) / 5, abs=1e-6)
    assert "excluded=3" in report.line() and "n=5" in report.line()
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(report.csv_text()))}
    assert (
        rows["nothing visible"]["max"] == "nan"
        and rows["unreadable"]["max"] == "inf"
        and rows["1.jpg"]["max"] == "4.0000"
    )


def test_names_with_commas_and_line_breaks_survive_the_csv():
    report = report_of([1.0])
    report.add_failure('a,"b"\nc.jpg', "")
    assert [row["name"] for row in csv.DictReader(io.StringIO(report.csv_text()))] == ["0.jpg", 'a,"b"\nc.jpg']


def test_json_has_no_nan_and_no_infinity():
    report = LandmarkReport(Protocol("w300", "common", "ibug68", "outer"), IBUG_68)
    report.add_failure("a.jpg", "cut short")

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    content = json.loads(report.json_text(), parse_constant=refuse)
    assert content["nme"] is None and content["failure_rate"] == 100.0 and content["auc"] == 0.0


def test_memory_is_one_float_per_landmark():
    report = report_of([1.0] * 10)
    for _ in range(9):
        report.add(["x"] * 10, torch.rand(10, 68, 2), torch.rand(10, 68, 2), None, 256)
    stored = [value for value in vars(report).values() if isinstance(value, list)]
    tensors = [t for values in stored for t in values if isinstance(t, torch.Tensor)]
    assert sum(t.untyped_storage().nbytes() for t in tensors) == 100 * 68 * 4


def test_a_name_too_few_is_refused():
    report = report_of([1.0])
    report.names.append("ghost")
    with pytest.raises(ValueError):
        report.summary()


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (LandmarkScheme("corners", 4, right_eye_corners=(0, 1), left_eye_corners=(3, 2)), [[0, 1], [3, 2]]),
        (LandmarkScheme("pupils", 3, pupils=(0, 1)), [[0], [1]]),
        (FIVE, [[0], [1]]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_eye_centres_of_a_users_scheme(scheme, expected):
    points = torch.rand(6, scheme.num_points, 3) * 50
    for dimensions in (2, 3):
        face = points[..., :dimensions]
        right, left = (face[:, indices].mean(1) for indices in expected)
        assert torch.allclose(normaliser(face, scheme, "eyes"), (right - left).norm(dim=1))


def test_schemes_without_eyes_use_the_crop_and_say_so():
    plain = generic_scheme(7)
    for kind in ("outer", "pupil", "eyes"):
        assert effective_normaliser(plain, kind) == "image"
    with pytest.raises(ValueError, match="image_size"):
        normaliser(torch.rand(1, 7, 2), plain, "outer")
    assert LandmarkReport(Protocol("mine", "test", plain.name, "outer"), plain).protocol.normaliser == "image"


def test_distance_zero_is_infinite_and_not_nan():
    points = torch.rand(2, 68, 2)
    errors = landmark_errors(points, points, torch.tensor([0.0, 1.0]))
    assert torch.isinf(errors[0]).all() and (errors[1] == 0).all()


def test_infinite_and_undefined_errors_are_failures():
    errors = torch.tensor([0.0, float("inf"), float("nan"), 5.0])
    assert failure_rate(errors) == 50.0 and auc(errors) == pytest.approx((1 + 0.5) / 4)


def test_ced_curve_is_the_share_of_all_images(tmp_path, monkeypatch):
    report = report_of([2.0, 4.0, 12.0])
    report.add_failure("unreadable", "cut short")
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kwargs: (drawn.append(self), save(self, *args, **kwargs))
    )
    plot_ced({"ours": report}, tmp_path / "ced.png")
    (axes,) = drawn[0].axes
    x, y = axes.lines[0].get_data()
    assert x == pytest.approx([0, 2, 4, 10]) and y == pytest.approx([0, 25, 50, 50]), "failures never enter the curve"
    assert (
        "%" in axes.get_xlabel() and "%" in axes.get_ylabel() and "n = 4" in axes.get_legend().get_texts()[0].get_text()
    )


def test_ced_of_no_image_is_an_empty_plot(tmp_path):
    plot_ced({"none": LandmarkReport(Protocol("a", "b", "ibug68", "outer"), IBUG_68)}, tmp_path / "ced.png")
    assert (tmp_path / "ced.png").exists()


def test_importing_plots_leaves_matplotlib_alone():
    code = "import sys, drawing.curves; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
