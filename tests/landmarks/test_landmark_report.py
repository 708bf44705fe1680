"""eval_landmarks.py --report, and several models on the same faces, on drawings."""

import json

import pytest

import eval_landmarks

TEST = ["--dataset", "w300", "--test-split", "common", "--val-count", "6", "--benchmark", "--device", "cpu"]


@pytest.fixture
def machine(drawn, tmp_path):
    """Flags of an evaluation on drawn faces."""
    ini = tmp_path / "local.ini"
    ini.write_text(f"[Paths]\nw300 = {drawn('w300')[0]}\ndata = {tmp_path}\noutputs = {tmp_path}\n")
    return [*TEST, "--config", str(ini)]


def test_models_are_compared_on_the_same_faces(machine, tmp_path):
    models = ["-c", "landmarks_fast", "landmarks_300w"]
    files = ["--json", tmp_path / "two.json", "--ced", tmp_path / "two.png", "--report", tmp_path / "two"]
    assert eval_landmarks.main([*models, *machine, *map(str, files)]) == 0
    summaries = json.loads((tmp_path / "two.json").read_text())
    assert {name: summary["n"] for name, summary in summaries.items()} == {"landmarks_fast": 6, "landmarks_300w": 6}
    page = (tmp_path / "two/report.html").read_text()
    assert "landmarks_300w − landmarks_fast" in page and page.count("<img") == 2 * 3 * 2
    for summary in summaries.values():
        assert f">{summary['nme']:.2f}<" in page
    assert (tmp_path / "two/faces.csv").read_text().count("\n") == 7


def test_whole_photos_in_boxes(machine, tmp_path):
    flags = ["-c", "landmarks_fast", "--boxes", "landmarks", "--report", str(tmp_path / "r")]
    assert eval_landmarks.main([*flags, *machine]) == 0
    header, *rows = (tmp_path / "r/faces.csv").read_text().splitlines()
    column = header.split(",").index("nme_landmarks_fast")
    assert all(0 < float(row.split(",")[column]) < 100 for row in rows)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["-c", "landmarks_fast", "landmarks_300w", "--csv", "x.csv"], "--csv takes one model"),
        (["-c", "landmarks_fast", "landmarks_fast"], "names a model twice"),
        (["-c", "landmarks_fast", "--report", "{}/file/r"], "--report"),
    ],
)
def test_bad_input_is_one_sentence(machine, tmp_path, capsys, flags, sentence):
    (tmp_path / "file").write_text("")
    assert eval_landmarks.main([flag.format(tmp_path) for flag in flags] + machine) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error
