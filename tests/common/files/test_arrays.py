"""NumPy files of datasets: right ones are read whole, everything else is one DataError."""

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import DataError
from common.files import arrays
from common.files.arrays import read_npy, read_npz
from datasets.commands.convert import main
from datasets.registry import build_dataset
from datasets.synthetic.layouts import save_photo

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npz_bytes(**content: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


GOOD = np.arange(12.0).reshape(3, 4)
BAD = {
    "empty": b"",
    "text": b"hello",
    "archive header": b"PK\x03\x04abc",
    "cut": npy_bytes(GOOD)[:140],
    "objects": npy_bytes(np.array([{}], dtype=object)),
    "claims 8 TB": npy_bytes(GOOD).replace(b"(3, 4)", b"(%d,)" % 10**12).replace(b" " * 10 + b"\n", b"\n"),
}


def test_right_files_are_read_whole(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_bytes(GOOD))
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), GOOD)
    (tmp_path / "a.npz").write_bytes(npz_bytes(first=GOOD, second=GOOD + 1))
    first, second = read_npz(tmp_path / "a.npz", ("first", "second"))
    np.testing.assert_array_equal(second - first, np.ones((3, 4)))


@pytest.mark.parametrize("kind", BAD)
def test_other_files_are_named(tmp_path, kind):
    (tmp_path / "a.npy").write_bytes(BAD[kind])
    with pytest.raises(DataError, match=r"a\.npy") as caught:
        read_npy(tmp_path / "a.npy")
    assert "allow_pickle" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"a\.npy"):
        read_npz(tmp_path / "a.npy", ("first",))


def test_one_kind_in_place_of_the_other(tmp_path, monkeypatch):
    (tmp_path / "a.npy").write_bytes(npz_bytes(first=GOOD))
    with pytest.raises(DataError, match="several arrays"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(DataError, match="'second'"):
        read_npz(tmp_path / "a.npy", ("second",))
    with pytest.raises(DataError, match=r"none\.npy"):
        read_npy(tmp_path / "none.npy")
    with pytest.raises(DataError):
        read_npy(tmp_path)
    monkeypatch.setattr(arrays, "MAX_NPZ_BYTES", 50)
    with pytest.raises(DataError, match="larger than 50"):
        read_npz(tmp_path / "a.npy", ("first",))


@FUZZ
@given(
    changes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=4),
    keep=st.integers(0, 900),
)
def test_damaged_files_raise_only_data_errors(tmp_path, changes, keep):
    for name, content, read in (
        ("a.npy", npy_bytes(GOOD), read_npy),
        ("a.npz", npz_bytes(first=GOOD), lambda p: read_npz(p, ("first",))),
    ):
        damaged = bytearray(content)
        for position, value in changes:
            damaged[position % len(damaged)] = value
        (tmp_path / name).write_bytes(damaged[:keep] if keep < len(damaged) else damaged)
        try:
            read(tmp_path / name)
        except DataError as error:
            assert name in str(error)


@pytest.mark.parametrize("kind", BAD)
def test_converters_name_damaged_arrays(tmp_path, drawn, capsys, kind):
    save_photo(tmp_path / "train_set/images/0.jpg", drawn("w300")[1][0].image)
    (tmp_path / "train_set/annotations").mkdir()
    (tmp_path / "train_set/annotations/0_lnd.npy").write_bytes(BAD[kind])
    assert main(["affectnet", "--from", str(tmp_path)]) == 2
    assert "0_lnd.npy" in capsys.readouterr().err


def test_aflw2000_without_yaws_has_no_yaw_label(tmp_path, drawn):
    root, faces = drawn("aflw20003d")
    (tmp_path / "csv").mkdir()
    name = "csv/aflw2000_3D_anno_vd.json"
    (tmp_path / name).write_text(json.dumps(json.loads((root / name).read_text())))
    dataset = build_dataset("aflw20003d", tmp_path, "full", 64, "bb_ground_truth")
    assert len(dataset) == len(faces) and "yaw_deg" not in dataset.annotations[0].labels
    with pytest.raises(DataError, match=r"yaw\.npy"):
        build_dataset("aflw20003d", tmp_path, "30_to_60", 64, "bb_ground_truth")
    (tmp_path / "csv/aflw2000_3D_yaw.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"yaw\.npy"):
        build_dataset("aflw20003d", tmp_path, "full", 64, "bb_ground_truth")


def test_an_encrypted_archive_is_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.eye(2))
    content = bytearray(path.read_bytes())
    for place in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):  # the flags of both headers
        content[place] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: not a \.npz file with arrays 'a' \(.*encrypted"):
        read_npz(path, ("a",))
