"""Many photos into one table: what is in it, what a stop or a damaged photo costs, that engines agree."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from batch import job, worker  # noqa: E402  they need pyarrow
from batch.__main__ import main  # noqa: E402
from batch.predictors import TASKS  # noqa: E402
from common.files.images import read_image  # noqa: E402
from landmarks.detector import LandmarkDetector  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two faces, one of them in a sub folder, a photo without a face, a damaged one, and what is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below").mkdir()
    face = Image.fromarray(astronaut()[:300, 100:400])
    face.save(folder / "a.jpg")
    face.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "below/b.png")
    Image.new("RGB", (80, 60), "grey").save(folder / "c.jpg")
    (folder / "d.jpg").write_bytes((folder / "a.jpg").read_bytes()[:500])
    (folder / ".hidden.jpg").write_bytes(b"half")
    (folder / "notes.txt").write_text("none")
    return folder


def table_of(source, output, *options):
    assert main([str(source), str(output), *options, "--device", "cpu"]) == 0
    assert not output.with_name(output.name + ".parts").exists()
    return pq.read_table(output)


def named(table):
    return {(Path(row["file"]).name, row["face"]): row for row in table.to_pylist()}


def test_every_photo_has_its_rows(photos, tmp_path):
    rows = named(table_of(photos, tmp_path / "faces.parquet"))
    assert sorted(rows, key=str) == [("a.jpg", 0), ("b.png", 0), ("c.jpg", None), ("d.jpg", None)]
    assert rows["c.jpg", None]["error"] == "no face found" and rows["c.jpg", None]["width"] == 80
    assert "not a readable image" in rows["d.jpg", None]["error"] and rows["d.jpg", None]["width"] is None
    (face,) = LandmarkDetector.from_pretrained(device="cpu")(read_image(photos / "a.jpg"))
    row = rows["a.jpg", 0]
    np.testing.assert_allclose(np.reshape(row["landmarks"], (-1, row["landmark_dims"])), face.landmarks, atol=1e-3)
    np.testing.assert_allclose(row["box"], face.box, atol=1e-3)
    assert row["error"] is None and row["scheme"] == "ibug68" and row["height"] == 300 and row["yaw"] is None


def test_pose_and_parameters_of_a_face_model(photos, tmp_path):
    row = named(table_of(photos / "a.jpg", tmp_path / "faces.parquet", "--task", "mesh"))["a.jpg", 0]
    assert row["landmark_dims"] == 3 and len(row["landmarks"]) == 204 and len(row["rotation"]) == 9
    assert abs(row["yaw"]) < 40 and len(row["parameters"]) > 20 and row["score"] is None


def test_tar_files_and_lists_give_the_same_faces(photos, tmp_path):
    (tmp_path / "list").mkdir()
    with tarfile.open(tmp_path / "one.tar", "w") as archive:
        for name in ("a.jpg", "below/b.png"):
            content = (photos / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    names = [str(photos / "a.jpg"), "../missing.jpg", str(photos / "below/b.png")]
    pq.write_table(pa.table({"path": names}), tmp_path / "list/l.parquet")
    folder = named(table_of(photos, tmp_path / "1.parquet"))
    tar = named(table_of(str(tmp_path / "*.tar"), tmp_path / "2.parquet"))
    listed = named(table_of(tmp_path / "list/l.parquet", tmp_path / "3.parquet"))
    assert "no such file" in listed.pop(("missing.jpg", None))["error"]
    for key in (("a.jpg", 0), ("b.png", 0)):
        assert tar[key]["landmarks"] == listed[key]["landmarks"] == folder[key]["landmarks"]


class Odd:
    """Fails as no predictor should where a photo of 80 px is in the batch."""

    def predict_batch(self, images):
        if any(image.shape[1] == 80 for image in images):
            raise RuntimeError("out of luck\nsecond line")
        return [[] for _ in images]


def test_a_photo_that_breaks_the_predictor_costs_itself_alone(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "landmarks", lambda spec, local: Odd())
    rows = named(table_of(photos, tmp_path / "faces.parquet"))
    assert rows["c.jpg", None]["error"] == "RuntimeError: out of luck"
    assert rows["a.jpg", None]["error"] == rows["b.png", None]["error"] == "no face found"


def test_a_restart_does_only_what_is_missing(photos, tmp_path, monkeypatch):
    whole = table_of(photos, tmp_path / "whole.parquet", "--chunk", "1")
    output, seen = tmp_path / "faces.parquet", []
    write = worker.write_part

    def full_disk(folder, run, chunk, rows):
        if chunk.number == 2:
            raise OSError(28, "No space left on device", str(folder))
        seen.append(chunk.number)
        write(folder, run, chunk, rows)

    monkeypatch.setattr(worker, "write_part", full_disk)
    arguments = [str(photos), str(output), "--chunk", "1", "--device", "cpu"]
    assert main(arguments) == 2 and not output.exists() and seen == [0, 1]
    monkeypatch.setattr(worker, "write_part", lambda *a: (seen.append(a[2].number), write(*a)))
    assert main(arguments) == 0 and seen == [0, 1, 2, 3]
    assert pq.read_table(output).equals(whole)
    assert main(arguments) == 0 and len(seen) == 4, "a finished table is left alone"


def test_other_photos_or_options_do_not_mix(photos, tmp_path, capsys, monkeypatch):
    output = tmp_path / "faces.parquet"
    monkeypatch.setattr(job, "join_parts", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert main([str(photos), str(output), "--chunk", "2"]) == 2
    monkeypatch.undo()
    assert main([str(photos), str(output), "--chunk", "3"]) == 2
    assert "begun with other photos or options" in capsys.readouterr().err
    output.write_bytes(b"mine")
    assert main([str(photos), str(output), "--chunk", "2"]) == 2
    assert "is there already" in capsys.readouterr().err and output.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["nowhere", "x.parquet"], "nowhere: no such folder"),
        (["photos"], "INPUT … OUTPUT"),
        ([], "INPUT … OUTPUT"),
        (["EMPTY", "x.parquet"], "no photos there"),
        (["EMPTY/notes.txt", "x.parquet"], "is no folder, photo"),
        (["EMPTY/bad.parquet", "x.parquet"], "not a readable parquet file"),
        (["EMPTY/other.parquet", "x.parquet"], "has no column"),
    ],
)
def test_bad_inputs_are_one_sentence(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("EMPTY").mkdir()
    Path("EMPTY/notes.txt").write_text("none")
    Path("EMPTY/bad.parquet").write_text("none")
    pq.write_table(pa.table({"name": ["a"]}), "EMPTY/other.parquet")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("error:") == 1 and "Traceback" not in error


def test_processes_agree_with_the_plain_loop_and_end_with_their_parent(photos, tmp_path):
    """The first run is killed once a part is there; its workers must be gone, and the next run ends the work."""
    plain = table_of(photos, tmp_path / "plain.parquet", "--chunk", "1")
    command = [sys.executable, "-m", "batch", str(photos), str(tmp_path / "two.parquet"), "--chunk", "1", "-j", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen([*command, "--device", "cpu"], env=environment, stderr=subprocess.DEVNULL, cwd=ROOT)
    parts = tmp_path / "two.parquet.parts"
    deadline = time.monotonic() + 60
    while not list(parts.glob("part-*")) and not (tmp_path / "two.parquet").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    first.send_signal(signal.SIGKILL)
    first.wait()
    run = subprocess.run([*command, "--device", "cpu"], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert pq.read_table(tmp_path / "two.parquet").drop_columns("file").equals(plain.drop_columns("file"))
    running = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert not [pid for pid in running if "batch" in Path(f"/proc/{pid}/cmdline").read_text()], "orphans"


@pytest.mark.slow
def test_ray_agrees_with_the_plain_loop(photos, tmp_path):
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'ray[data]'")
    plain = table_of(photos, tmp_path / "plain.parquet", "--chunk", "2")
    command = [sys.executable, "-m", "batch", str(photos), str(tmp_path / "ray.parquet"), "--chunk", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, "-j", "1", "--engine", "ray", "--device", "cpu"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert pq.read_table(tmp_path / "ray.parquet").drop_columns("file").equals(plain.drop_columns("file"))
