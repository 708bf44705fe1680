"""Packing: round trip, keys, unreadable photos."""

import dataclasses
import shutil

import numpy as np
import pytest

from common.errors import DataError
from datasets.loader import FaceSet, choose_rows, collate
from datasets.packing import PackedDataset, pack, packing_key
from datasets.readers.w300 import W300
from datasets.synthetic.faces import write_dataset


def open_w300(root, **options):
    return W300(root, "train", 64, **({"crop_source": "lm_ground_truth"} | options))


def test_round_trip(drawn, tmp_path):
    dataset = open_w300(drawn("w300")[0])
    packed = pack(dataset, tmp_path, progress=False)
    assert len(packed) == len(dataset) and packed.resolution == 91
    for i in (0, 7, 17):
        sample, item = dataset[i], packed[i]
        np.testing.assert_allclose(item.landmarks, sample.landmarks, atol=1e-5)
        np.testing.assert_allclose(packed.matrices[i], sample.crop.matrix)
        assert np.abs(item.image.permute(1, 2, 0).numpy().astype(int) - sample.image).mean() < 6, "JPEG of quality 95"
        assert packed.names[i] == sample.name


def test_packing_again_reuses_and_rules_change_the_key(drawn, tmp_path):
    dataset = open_w300(drawn("w300")[0])
    first = pack(dataset, tmp_path, progress=False).folder
    assert pack(dataset, tmp_path, progress=False).folder == first
    assert packing_key(open_w300(drawn("w300")[0], align=True)) != packing_key(dataset)
    dataset.annotations[0].landmarks[0, 0] += 1
    key = packing_key(dataset)
    dataset.annotations[0].landmarks[0, 0] -= 1
    assert key != packing_key(dataset)
    assert [p.name for p in tmp_path.iterdir()] == [first.name], "no half-written folder is left"


def test_another_scheme_or_other_points_of_the_crop_rule_pack_anew(drawn):
    """Both decide where crops lie, though the annotations are the same."""
    dataset = open_w300(drawn("w300")[0])
    keys = [packing_key(dataset)]
    dataset.scheme = dataclasses.replace(dataset.scheme, chin=9)
    keys.append(packing_key(dataset))
    points = dataset.annotations[0].landmarks
    for moved in (points, points + 1):
        dataset.annotations[0] = dataclasses.replace(dataset.annotations[0], crop_landmarks=moved)
        keys.append(packing_key(dataset))
    assert len(set(keys)) == 4


def test_one_bad_photo_is_skipped_and_more_stop(tmp_path):
    write_dataset("w300", tmp_path / "w300", 6)
    photos = sorted((tmp_path / "w300/images/train").rglob("*.[jp][pn]g"))
    photos[3].write_bytes(b"broken")
    packed = pack(open_w300(tmp_path / "w300"), tmp_path / "cache", progress=False)
    assert len(packed) == 17
    photos[5].write_bytes(b"")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match="2 of 18 photos cannot be read"):
        pack(open_w300(tmp_path / "w300"), tmp_path / "cache", progress=False)
    assert not list((tmp_path / "cache").iterdir())


def test_damaged_pack_says_what_to_do(drawn, tmp_path):
    packed = pack(open_w300(drawn("w300")[0]), tmp_path, progress=False)
    (packed.folder / "index.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="pack again"):
        PackedDataset(packed.folder)


def test_face_set_joins_and_names(drawn, tmp_path):
    first = pack(open_w300(drawn("w300")[0]), tmp_path, progress=False)
    other = pack(W300(drawn("w300")[0], "common", 64, "lm_ground_truth"), tmp_path, progress=False)
    faces = FaceSet([first, other], [np.array([2]), np.arange(12)])
    assert len(faces) == 13 and faces.name(0) == faces.name(13) == str(first.names[2])
    batch = collate([(i, faces[i]) for i in (0, 5)])
    assert batch.images.shape == (2, 3, 91, 91) and batch.indices.tolist() == [0, 5]
    unlabelled = FaceSet([first], with_landmarks=False)
    assert unlabelled[0].landmarks.shape == (0, 2)
    assert [faces.subset(np.array([4])).name(0)] == [faces.name(4)]


def test_few_shot_rows():
    assert choose_rows(10, 3).tolist() == [0, 1, 2] and choose_rows(10, 3, start=4).tolist() == [4, 5, 6]
    drawn_rows = choose_rows(100, 10, seed=1)
    assert len(set(drawn_rows.tolist())) == 10 and drawn_rows.tolist() == choose_rows(100, 10, seed=1).tolist()
    assert drawn_rows.tolist() != choose_rows(100, 10, seed=2).tolist()
    with pytest.raises(DataError, match="--train-count 11"):
        choose_rows(10, 11)


def test_prepare_packs_where_training_looks(drawn, tmp_path, capsys):
    from datasets.commands.prepare import main

    source = ["w300", "--from", str(drawn("w300")[0])]
    assert main([*source, "--out", str(tmp_path), "-i", "128", "--crop-source", "lm_ground_truth"]) == 0
    assert "18 crops of 182 px" in capsys.readouterr().out
    dataset = W300(drawn("w300")[0], "train", 128, "lm_ground_truth")
    assert pack(dataset, tmp_path, progress=False).folder in list(tmp_path.iterdir())
    assert main(["w300", "--from", str(tmp_path / "none")]) == 2
    assert "300-W not found" in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_truncated_index_says_what_to_do(drawn, tmp_path, share):
    packed = pack(open_w300(drawn("w300")[0]), tmp_path, progress=False)
    content = (packed.folder / "index.npz").read_bytes()
    (packed.folder / "index.npz").write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="pack again"):
        PackedDataset(packed.folder)


@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_damaged_shard_names_the_crop(drawn, tmp_path, damage):
    folder = pack(open_w300(drawn("w300")[0]), tmp_path, progress=False).folder
    shard = folder / "shard-00000.bin"
    content = shard.read_bytes()
    shard.unlink()
    if damage != "missing":
        shard.write_bytes(content[:3000] if damage == "cut" else b"")
    with pytest.raises(DataError, match=r"crop 17 .*pack again"):
        PackedDataset(folder)[17]
