"""Every task of the page on a photo: pictures, files, and what the sliders start from."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from common.errors import DataError
from webpage.folders import PageFolders
from webpage.photo_tasks import photo_tasks, write_summary, zip_folder
from webpage.samples import sample_photos

TASKS = photo_tasks()


@pytest.mark.parametrize("name", TASKS)
def test_a_task_shows_pictures_and_writes_all_files(name, tmp_path):
    photo = astronaut()[:320, 60:380]
    task = TASKS[name]
    (tmp_path / "out").mkdir()
    outcome = task.run(photo, task.models[0], tmp_path / "out")
    write_summary(tmp_path / "out", name, task.models[0], photo, outcome.faces)
    assert len(outcome.faces) == 1 and outcome.pictures
    for path, caption in outcome.pictures:
        assert np.asarray(Image.open(path).convert("RGB")).std() > 5 and caption
    content = json.loads((tmp_path / "out/faces.json").read_text())
    assert np.shape(content["faces"][0]["landmarks"])[0] == 68 and content["size"] == [320, 320]
    names = zipfile.ZipFile(zip_folder(tmp_path / "out", tmp_path / "all.zip")).namelist()
    assert "faces.json" in names and {path.name for path, _ in outcome.pictures} <= {*names}
    assert (outcome.mesh is not None) == (name in ("mesh", "fit", "reconstruct"))
    assert (outcome.head is not None) == (name == "fit")
    if name == "rotate":
        left, right = (outcome.turnable.turned(yaw).astype(int) for yaw in (-40, 40))
        assert left.shape == right.shape and np.abs(left - right).mean() > 5


def test_a_photo_without_a_face_is_told_in_one_sentence(tmp_path):
    with pytest.raises(DataError, match="No face was found; take a photo"):
        TASKS["landmarks"].run(np.full((200, 200, 3), 127, np.uint8), "landmarks_fast", tmp_path)


def test_samples_have_faces_and_folders_vanish():
    folders = PageFolders()
    detector = TASKS["landmarks"]
    for path, _ in sample_photos(folders.samples):
        photo = np.asarray(Image.open(path).convert("RGB"))
        assert detector.run(photo, "landmarks_fast", folders.fresh("a", "photo")).faces, path
    before = folders.fresh("a", "photo")
    (before / "old.txt").write_text("old")
    assert list(folders.fresh("a", "photo").iterdir()) == []  # a new run forgets the last
    folders.fresh("b", "photo")
    folders.forget("a")
    assert [path.name for path in (folders.root / "visits").iterdir()] == ["b"]
    folders.close()
    assert not folders.root.exists()
