"""Tar shards: what is written is what is read, also by WebDataset itself and from a server; damage is one sentence."""

import functools
import http.server
import json
import threading

import numpy as np
import pytest
import torch

from common.errors import DataError
from datasets.commands import pack, prepare
from datasets.crop import Crop
from datasets.packing import PackedDataset
from datasets.sample import Sample
from datasets.shards import ShardedFaces, read_index, write_shards
from geometry.schemes import IBUG_68


def samples(count, size=32):
    rng = np.random.default_rng(0)
    for i in range(count):
        image = np.full((size, size, 3), 10 * i, np.uint8)
        points = rng.uniform(0, size, (68, 2)).astype(np.float32)
        yield Sample(image, Crop(np.eye(2, 3) * (i + 1), size), points, np.ones(68, np.float32), f"photo{i}.jpg", {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """11 samples in tar files of at most 4."""
    path = tmp_path_factory.mktemp("shards") / "set"
    index = write_shards(path, samples(11), 24, IBUG_68, "drawn", shard_bytes=18_000)
    assert [shard.samples for shard in index.shards] == [4, 4, 3]
    return path


def check_all(faces):
    assert len(faces) == 11 and faces.shard_lengths == [4, 4, 3]
    for i, sample in enumerate(samples(11)):
        item = faces[i]
        assert item.image.shape == (3, 32, 32) and abs(int(item.image.float().mean()) - 10 * i) <= 2
        torch.testing.assert_close(item.landmarks, torch.from_numpy(sample.landmarks), atol=1e-3, rtol=0)
        assert item.visibility.sum() == 68 and faces.name(i) == f"photo{i}.jpg" == faces.name(i + 11)


def test_round_trip(folder, tmp_path):
    faces = ShardedFaces(str(folder), tmp_path, 100)
    check_all(faces)
    assert faces.index.scheme == IBUG_68 and faces.index.image_size == 24
    without = ShardedFaces(str(folder), tmp_path, 100, with_landmarks=False)
    assert without[3].landmarks.shape == (0, 2)
    part = ShardedFaces(f"{folder}/faces-{{000001..000002}}.tar", tmp_path, 100)
    assert len(part) == 7 and part.name(0) == "photo4.jpg"
    with pytest.raises(DataError, match="does not list faces-000003.tar"):
        read_index(f"{folder}/faces-{{000001..000003}}.tar")


def test_webdataset_reads_what_we_write(folder):
    webdataset = pytest.importorskip("webdataset", reason="only this test needs it: pip install webdataset")
    pattern = str(folder / "faces-{000000..000002}.tar")
    read = list(webdataset.WebDataset(pattern, shardshuffle=False).decode("rgb8").to_tuple("jpg", "json"))
    assert [label["name"] for _, label in read] == [f"photo{i}.jpg" for i in range(11)]
    assert read[5][0].shape == (32, 32, 3) and np.shape(read[5][1]["landmarks"]) == (68, 2)


@pytest.fixture
def server(folder, tmp_path):
    """Address of a server of a copy of the set, and the copy."""
    copy = tmp_path / "served"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=copy))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", copy
    httpd.shutdown()
    httpd.server_close()


def test_a_server_gives_the_same_and_each_file_once(server, tmp_path):
    address, copy = server
    check_all(ShardedFaces(address, tmp_path / "cache", 100))
    for path in copy.glob("*.tar"):
        path.unlink()
    check_all(ShardedFaces(f"{address}/", tmp_path / "cache", 100))


def test_wrong_bytes_of_a_server_are_refused(server, tmp_path):
    address, copy = server
    content = bytearray((copy / "faces-000001.tar").read_bytes())
    content[5000] ^= 1
    (copy / "faces-000001.tar").write_bytes(content)
    (copy / "faces-000002.tar").unlink()
    faces = ShardedFaces(address, tmp_path / "cache", 100)
    assert faces.name(0) == "photo0.jpg"
    with pytest.raises(DataError, match="faces-000001.tar: is not the file that its index lists"):
        faces[5]
    with pytest.raises(DataError, match="faces-000002.tar: cannot be fetched"):
        faces[9]
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()] == ["faces-000000.tar"]


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda c: c.update(format=2), "another format"),
        (lambda c: c["shards"][0].update(file="../x.tar"), "without a name of its own"),
        (lambda c: c["shards"][0].update(file="x';id;'.tar"), "without a name of its own"),
        (lambda c: c.pop("shards"), "shards"),
        (lambda c: c.update(more=1), "more"),
    ],
)
def test_a_damaged_index_is_one_sentence(folder, tmp_path, change, told):
    content = json.loads((folder / "index.json").read_text())
    change(content)
    (tmp_path / "index.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=told):
        read_index(str(tmp_path))


def test_damaged_samples_are_one_sentence(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "faces-000000.tar"
    path.write_bytes(path.read_bytes().replace(b"photo0", b"pho\xff\xff0"))
    with pytest.raises(DataError, match="label of sample 0 cannot be read"):
        ShardedFaces(str(tmp_path), tmp_path, 10)[0]
    (tmp_path / "faces-000001.tar").write_bytes(b"none" * 400)
    with pytest.raises(DataError, match="faces-000001.tar: not an uncompressed tar"):
        ShardedFaces(str(tmp_path), tmp_path, 10)[5]


def test_nothing_is_left_of_a_set_that_fails(tmp_path):
    with pytest.raises(DataError, match="no sample"):
        write_shards(tmp_path / "a", [], 24)
    mixed = [*samples(2), *samples(1, size=16)]
    with pytest.raises(DataError, match="another shape"):
        write_shards(tmp_path / "a", mixed, 24)
    assert not list(tmp_path.iterdir())


def test_pack_takes_any_reader_and_packed_crops(drawn, tmp_path, capsys):
    root, _ = drawn("w300")
    options = ["-i", "128", "--crop-source", "lm_ground_truth", "--split", "train"]
    assert pack.main(["w300", "--from", str(root), "--out", str(tmp_path / "shards"), *options]) == 0
    assert prepare.main(["w300", "--from", str(root), "--out", str(tmp_path / "packed"), *options]) == 0
    (packed,) = (PackedDataset(path) for path in (tmp_path / "packed").glob("w300*"))
    assert pack.main(["packed", "--from", str(packed.folder), "--out", str(tmp_path / "again")]) == 0
    for name in ("shards", "again"):
        faces = ShardedFaces(str(tmp_path / name), tmp_path, 10)
        assert [faces.name(i) for i in range(len(faces))] == packed.names.tolist()
        torch.testing.assert_close(faces[1].landmarks, packed[1].landmarks, atol=1e-3, rtol=0)
        assert (faces[1].image.float() - packed[1].image.float()).abs().mean() < 3
    assert pack.main(["packed", "--from", str(packed.folder), "--out", str(tmp_path / "again")]) == 2
    assert "is there already" in capsys.readouterr().err
