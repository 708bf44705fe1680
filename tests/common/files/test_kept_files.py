"""Results never replace what the program did not write."""

import numpy as np
import pytest

from common.errors import DataError
from common.files.atomic import write_file
from common.files.outputs import RECORD
from common.files.pictures import save_picture
from datasets.photos import make_folder
from video.movies import write_movie

WRITERS = {
    "face.pts": lambda path: write_file(path, "1 2"),
    "face.png": lambda path: save_picture(path, np.zeros((4, 4, 3), np.uint8)),
    "face.mp4": lambda path: write_movie(path, [np.zeros((32, 32, 3), np.uint8)] * 2),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_users_own_file_stays(tmp_path, name):
    (tmp_path / name).write_text("weeks of work")
    make_folder(tmp_path)
    with pytest.raises(DataError, match=f"{name}: not written by this program"):
        WRITERS[name](tmp_path / name)
    assert (tmp_path / name).read_text() == "weeks of work" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", WRITERS)
def test_results_are_written_again_until_somebody_changes_them(tmp_path, name):
    for _ in range(2):
        make_folder(tmp_path)
        WRITERS[name](tmp_path / name)
    (tmp_path / name).write_text("corrected by hand")
    with pytest.raises(DataError, match="or changed since"):
        WRITERS[name](tmp_path / name)
    assert (tmp_path / name).read_text() == "corrected by hand"


def test_a_folder_is_not_replaced_and_other_folders_are_left_alone(tmp_path):
    make_folder(tmp_path / "out")
    (tmp_path / "out/a.txt").mkdir()
    with pytest.raises(DataError, match="a.txt: not written"):
        write_file(tmp_path / "out/a.txt", "1")
    write_file(tmp_path / "b.txt", "1")
    write_file(tmp_path / "b.txt", "2")
    assert (tmp_path / "b.txt").read_text() == "2" and not (tmp_path / RECORD).exists()
