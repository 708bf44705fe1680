"""The HTML report: escaped, self-contained, with the numbers of the scores and the right faces in each gallery."""

import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from common.errors import DataError
from drawing.report.charts import ced_chart, face_chart, interval_chart, scatter_chart
from drawing.report.faces import AnnotatedFaces, angle_bins, size_bins
from drawing.report.landmarks import Scored, face_galleries, landmark_page, short_names, spread
from drawing.report.page import Chart, Page, Picture, Section, Table, render, write_report
from geometry.face_template import TEMPLATE_66, template_angles
from geometry.rotations import rotation_from_euler
from geometry.schemes import IBUG_68
from metrics.bootstrap import Estimate
from metrics.report import LandmarkReport, Protocol

COUNT = 12


def make_faces(read=None) -> AnnotatedFaces:
    generator = np.random.default_rng(0)
    shape = np.insert(TEMPLATE_66[:, :2], (60, 63), TEMPLATE_66[48, :2], axis=0)
    truth = 50 * shape + 100 + generator.normal(size=(COUNT, 68, 2))
    truth[6:] *= 2
    thumbnail = read or (lambda number: (np.full((40, 40, 3), 10 * number, np.uint8), np.eye(2, 3) / 5))
    names = [f"all/{'ab'[i % 2]}/{i}.jpg" for i in range(COUNT)]
    labels = [{"glasses": i < 3, "group": "x" if i < 4 else "y"} for i in range(COUNT)]
    return AnnotatedFaces(names, truth, IBUG_68, labels, thumbnail)


def make_report(faces: AnnotatedFaces, factor: float = 1.0) -> LandmarkReport:
    """Face i is wrong by i · factor px in x; the last one is missed; the names come in another order."""
    report = LandmarkReport(Protocol("toy", "test", "ibug68", "outer", seed=3), IBUG_68)
    report.add_failure(faces.names[-1], "no face")
    for i in reversed(range(COUNT - 1)):
        truth = torch.from_numpy(faces.truth[i : i + 1]).float()
        predicted = truth + torch.tensor([i * factor, 0.0])
        report.add([faces.names[i]], predicted, truth, None, 100)
        report.keep(faces.names[i], predicted[0].numpy())
    return report


class References(HTMLParser):
    """All addresses that a page asks for, and whether it holds scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses, self.ids, self.scripts, self.images = [], [], 0, 0

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.images += tag == "img"
        for name, value in attrs:
            self.addresses += [value] if name in ("src", "href", "xlink:href") else []
            self.ids += [value] if name == "id" else []


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    faces = make_faces()
    reports = {"<one> $a$": make_report(faces), "two": make_report(faces, 2.0)}
    folder = tmp_path_factory.mktemp("report") / "new"
    path = write_report(folder, landmark_page("A & B", faces, reports))
    return path, path.read_text(encoding="utf-8"), reports


def test_page_is_self_contained_and_escaped(written):
    path, text, _ = written
    page = References()
    page.feed(text)
    outside = [a for a in page.addresses if not a.startswith(("#", "data:image/"))]
    assert sorted(outside) == ["faces.csv", "points.csv"] and all((path.parent / a).is_file() for a in outside)
    assert page.scripts == 0 and "<one>" not in text and "&lt;one&gt; $a$" in text and "A &amp; B" in text
    for used in re.findall(r"url\(#([^)]+)\)", text):
        assert page.ids.count(used) == 1, f"the charts share the id {used}"


def test_page_holds_scores_and_pictures(written):
    _, text, reports = written
    for report in reports.values():
        assert f">{report.summary()['nme']:.2f}<" in text
    page = References()
    page.feed(text)
    assert page.images == 2 * 3 * 4  # two models; worst, median and best third of 12 faces
    assert text.count("<svg") == 6  # curve, landmarks; size, folder, attribute, group; all have one pose
    assert "two − &lt;one&gt; $a$" in text


def test_csv_has_every_face_in_order(written):
    path, _, _ = written
    rows = list(csv.DictReader(io.StringIO((path.parent / "faces.csv").read_text())))
    assert [row["name"] for row in rows] == make_faces().names
    assert rows[0]["nme_two"] == "0.0000" and rows[-1]["nme_two"] == "inf" and rows[0]["glasses"] == "True"
    assert float(rows[5]["nme_two"]) == pytest.approx(2 * float(rows[5]["nme_<one> $a$"]), rel=1e-3)
    assert len((path.parent / "points.csv").read_text().splitlines()) == 69


def test_galleries_are_worst_median_best():
    faces = make_faces()
    seen = []
    galleries = face_galleries(Scored(make_report(faces), faces).means, faces, lambda *a: seen.append(a[0]), "missed")
    assert seen[0] == 11  # the missed face first
    assert seen[-4] == 0 and galleries[0].pictures[0].caption == "missed · b/11.jpg"


def test_a_photo_that_cannot_be_read_is_a_blank(tmp_path):
    def unreadable(number):
        raise DataError("gone")

    faces = make_faces(unreadable)
    assert "Worst 4" in render(landmark_page("t", faces, {"m": make_report(faces)}))


def test_no_face_is_one_sentence():
    faces = AnnotatedFaces([], np.zeros((0, 68, 2)), IBUG_68, [], lambda number: None)
    with pytest.raises(DataError, match="no face was scored"):
        landmark_page("t", faces, {"m": LandmarkReport(Protocol("d", "s", "ibug68", "outer"), IBUG_68)})


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="--report .*file/x: cannot be written .* another folder"):
        write_report(tmp_path / "file" / "x", Page("t", [], {}, []))


def test_groups_part_the_faces():
    groups = make_faces().groups()
    assert set(groups) >= {"face size", "folder", "attribute", "group"}
    for name in ("face size", "folder", "group"):
        assert sum(mask.sum() for mask in groups[name].values()) == COUNT
    assert groups["attribute"]["glasses"].sum() == 3 and groups["attribute"]["none of these"].sum() == 9
    assert groups["group"]["x"].tolist() == [True] * 4 + [False] * 8


def test_bins():
    assert [m.tolist() for m in angle_bins(np.array([-10.0, 9.9, np.nan]), (-10, 10)).values()] == [[True, True, False]]
    bins = size_bins(np.arange(100.0))
    assert sum(mask.sum() for mask in bins.values()) == 100 and {int(m.sum()) for m in bins.values()} <= {19, 20, 21}


def test_pose_of_the_template_is_that_of_the_head():
    angles = torch.tensor([[10.0, 35.0, -8.0], [-5.0, -20.0, 15.0]]).double()
    upward = torch.tensor([1.0, -1.0, -1.0]).double()
    template = torch.from_numpy(TEMPLATE_66) * upward
    turned = template @ rotation_from_euler(torch.deg2rad(angles)).mT * upward
    assert torch.allclose(template_angles(turned[..., :2]), angles, atol=1e-6)


def test_spread_is_the_covariance_in_face_sizes():
    generator = np.random.default_rng(0)
    truth = np.zeros((4000, 4, 2)) + [[0, 0], [50, 0], [50, 50], [0, 50]]
    predicted = truth + generator.normal(size=truth.shape) * [5.0, 1.0]
    assert np.allclose(spread(predicted, truth)[0], np.diag([0.01, 0.0004]), atol=6e-4)
    assert np.isnan(spread(predicted[:2], truth[:2])).all()


def test_estimate():
    values = np.r_[np.random.default_rng(0).normal(5, 1, 400), np.inf, np.nan]
    found = Estimate.of(values)
    assert (
        found.count == 400 and found.low < 5 < found.high and found.high - found.low == pytest.approx(0.196, abs=0.03)
    )
    assert Estimate.of(np.array([2.0])).text() == "2.00" and Estimate.of(np.array([np.inf])).text() == "–"


def test_charts_take_what_evaluations_give():
    nothing = {"m": np.array([np.inf, np.inf])}
    for svg in (
        ced_chart(nothing, 10, "%", {}),
        interval_chart({"m": {"a": Estimate.of(np.array([np.inf])), "b": Estimate.of(np.array([1.0]))}}, "%"),
        face_chart(np.random.default_rng(0).random((3, 2)), (), {"m": np.array([1.0, np.nan, 2.0])}, "%"),
        scatter_chart({"m": (np.arange(3.0), np.arange(3.0))}, "x", "y", diagonal=True),
    ):
        assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>") and "metadata" not in svg
        assert not re.search(r'^<svg[^>]* width="', svg)


def test_picture_and_table_of_a_page():
    picture = Picture(np.zeros((4, 4, 3), np.uint8), "<b>")
    page = Page("t", [("n", "1")], {"crop": "x"}, [Section("s", "words", [Table(["a"], [["<i>"]])], [Chart("<svg/>")])])
    text = render(page)
    assert "<svg/>" in text and "&lt;i&gt;" in text and picture.source.startswith("data:image/jpeg;base64,")
    assert short_names(["a/b/1.jpg", "a/b2/2.jpg"]) == ["b/1.jpg", "b2/2.jpg"] and short_names(["x.jpg"]) == ["x.jpg"]
