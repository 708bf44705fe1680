"""Verification by coefficients and colour errors by group, on rendered people and on LFW and FairFace where they
are.
"""

import csv
import io
import json
import tarfile

import cv2
import numpy as np
import pytest
import torch

import eval_recon3d
from common.errors import DataError
from datasets.alignment import five_of_68
from datasets.readers.packs import FIVE, PackedPhotos
from datasets.synthetic.faces import embedded_faces
from metrics.verification import Pairs
from recon3d.scores.people import chosen_pairs, pair_scores, read_pairs


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Eight rendered faces in a pack with two groups; the last has no five points. Pairs of all."""
    folder = tmp_path_factory.mktemp("pack")
    batch = embedded_faces(140, seed=31).batch(0, 8)
    five = five_of_68(batch.landmarks_2d.double().numpy()) - 0.5
    with tarfile.open(folder / "photos.tar", "w") as tar, (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "race", *FIVE])
        for i, image in enumerate(batch.images.numpy()):
            data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
            entry = tarfile.TarInfo(f"{i}.png")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
            writer.writerow([f"{i}.png", "ab"[i % 2], *([""] * 10 if i == 7 else five[i].ravel().tolist())])
    lines = [f"{i}.png {(i + 1 + k) % 8}.png {k % 2}" for k in range(6) for i in range(8)]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folder, batch, five


def run(folder, benchmark, *flags):
    path = folder / f"{benchmark}.json"
    arguments = ["-c", "reconstructor", "--benchmark", benchmark, "--images", str(folder), "--json", str(path)]
    assert eval_recon3d.main([*arguments, *flags]) == 0
    return json.loads(path.read_text())


def test_packs_are_read_in_continuous_pixels(pack):
    folder, batch, five = pack
    photos = PackedPhotos(folder)
    assert np.array_equal(photos.image("3.png"), batch.images[3].numpy())
    assert np.allclose(photos.five("3.png"), five[3] + 0.5, atol=1e-6)
    assert photos.five("7.png") is None and photos.five("other.png") is None
    with pytest.raises(DataError, match="holds no other.png"):
        photos.image("other.png")


def test_pairs_in_ten_folds_as_given(tmp_path):
    (tmp_path / "p.txt").write_text("".join(f"a{i} b{i} {int(i % 6 < 3)}\n" for i in range(60)))
    pairs = read_pairs(tmp_path / "p.txt")
    assert [fold for fold, _ in chosen_pairs(pairs, None)] == [i // 6 for i in range(60)]
    ordered = sorted(pairs, key=lambda pair: not pair[2])  # as some lists have them: all of one person first
    assert sorted(chosen_pairs(ordered, None)) == sorted(chosen_pairs(pairs, None))
    few = chosen_pairs(pairs, 20)
    assert len(few) == 20 and [fold for fold, _ in few] == [i // 2 for i in range(20)]
    assert sum(pair[2] for _, pair in few) == 10
    (tmp_path / "bad.txt").write_text("a b 1\na b\n")
    with pytest.raises(DataError, match="bad.txt:2"):
        read_pairs(tmp_path / "bad.txt")


def test_scores_of_features_that_know_the_person():
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(40, 16, generator=generator).repeat_interleave(2, 0)
    first = torch.cat([torch.arange(0, 80, 2), torch.arange(0, 80, 2)])
    second = torch.cat([torch.arange(1, 80, 2), torch.arange(1, 80, 2).roll(1)])
    pairs = Pairs(first, second, torch.arange(80) < 40, torch.arange(80) % 4)
    known = pair_scores(people + 0.2 * torch.randn(80, 16, generator=generator), pairs)
    chance = pair_scores(torch.randn(80, 16, generator=generator), pairs)
    assert known["auc"] > 0.95 and known["accuracy"] > 90 and known["auc_interval"][0] > 0.9
    low, high = chance["auc_interval"]
    assert low < 0.5 < high and low < chance["auc"] < high


def test_the_benchmarks_run_and_count_what_they_leave_out(pack):
    folder, _, _ = pack
    found = run(folder, "pairs")
    assert found["n"] + found["left_out"] == 48 and found["left_out"] == 12
    assert set(found["scores"]) == {"identity", "albedo", "identity and albedo"}
    assert found["auc"] == found["scores"]["identity and albedo"]["auc"]
    groups = run(folder, "groups")["groups"]
    assert {name: group["n"] for name, group in groups.items()} == {"a": 4, "b": 3}
    own = run(folder, "groups", "--appearance", "network", "--count", "2")["groups"]
    assert own["a"]["n"] == 2 and own["a"]["photo"] > groups["a"]["photo"]


def test_missing_columns_and_folders_are_one_sentence(pack, tmp_path, capsys):
    base = ["-c", "reconstructor", "--benchmark", "groups", "--images"]
    assert eval_recon3d.main([*base, str(pack[0]), "--group-column", "tribe"]) == 2
    assert "has no column 'tribe'" in capsys.readouterr().err
    assert eval_recon3d.main([*base, str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "labels.csv" in error and "Traceback" not in error


def test_real_people(shared_data, tmp_path):
    """The bundled reconstructor: identity hardly tells people apart, albedo little; a worse one must fail."""
    lfw = shared_data / "faces/lfw"
    if not lfw.is_dir():
        pytest.skip("no LFW beside the other data")
    path = tmp_path / "s.json"
    base = ["-c", "reconstructor", "--refiner", "none", "--json", str(path)]
    assert eval_recon3d.main([*base, "--benchmark", "pairs", "--images", str(lfw), "--count", "200"]) == 0
    found = json.loads(path.read_text())
    assert found["n"] >= 190 and found["auc"] > 0.5
    fairface = str(shared_data / "faces/fairface")
    assert eval_recon3d.main([*base, "--benchmark", "groups", "--images", fairface, "--count", "20"]) == 0
    groups = json.loads(path.read_text())
    assert len(groups["groups"]) == 7 and groups["photo"] < 0.15 and groups["ratio"] < 1.5
