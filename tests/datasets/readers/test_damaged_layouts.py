"""Every annotation file of every dataset, damaged in turn: opening raises DataError or works, nothing else."""

import random

import pytest

from common.errors import DataError
from datasets.registry import DATASETS, build_dataset
from datasets.synthetic.faces import write_dataset

SPLIT = {
    "w300": "train",
    "wflw": "full",
    "wlp300": "full",
    "aflw20003d": "0_to_30",
    "vggface2": "train",
    "affectnet": "full",
    "menpo2d": "train",
    "menpo": "train",
    "ls3d": "full",
    "palsy": "full",
    "neuroface": "full",
    "meei": "full",
    "celeba": "full",
    "ffhq": "full",
    "youtube_faces": "train",
    "folder": "full",
}


def test_all_but_aflw_are_here():
    """aflw's one file has 20,000 rows, too slow to damage often; `test_mat` and `test_datasets` do that on small
    ones.
    """
    assert set(SPLIT) == set(DATASETS) - {"aflw", "synthetic", "synthetic3d"}


def attempt(key, root) -> None:
    try:
        build_dataset(key, root, SPLIT[key], 64, "bb_ground_truth")[0]
    except DataError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("key", SPLIT)
def test_only_data_errors_escape(tmp_path, key):
    write_dataset(key, tmp_path, 2)
    generator = random.Random(0)
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.suffix not in (".jpg", ".png"))
    assert files
    for path in files:
        good = path.read_bytes()
        for _ in range(4):
            damaged = bytearray(good)
            for _ in range(generator.randint(1, 4)):
                damaged[generator.randrange(min(len(damaged), 3000))] = generator.randrange(256)
            path.write_bytes(damaged)
            attempt(key, tmp_path)
        for content in (b"", good[: len(good) // 2], b"\xff\xfe\0PK\3\4" + good[:50]):
            path.write_bytes(content)
            attempt(key, tmp_path)
        path.unlink()
        attempt(key, tmp_path)
        path.mkdir()
        attempt(key, tmp_path)
        path.rmdir()
        path.write_bytes(good)
    assert len(build_dataset(key, tmp_path, SPLIT[key], 64, "bb_ground_truth")) > 0, "the undamaged dataset still opens"


def test_youtube_faces_table_in_another_encoding(tmp_path):
    write_dataset("youtube_faces", tmp_path, 1)
    path = tmp_path / "training_keypoints.csv"
    path.write_bytes(path.read_bytes().replace(b"person", b"pers\xf6n"))
    with pytest.raises(DataError, match="training_keypoints.csv: not a text file"):
        build_dataset("youtube_faces", tmp_path, "train", 64, "bb_ground_truth")
    for row, message in (("a.jpg,1,2", ":2: expected"), ("a.jpg" + ",nan" * 136, ":2.*not finite")):
        path.write_text("image\n" + row + "\n")
        with pytest.raises(DataError, match=message):
            build_dataset("youtube_faces", tmp_path, "train", 64, "bb_ground_truth")
