"""Pickled arrays: read without running anything."""

import os
import pickle

import numpy as np
import pytest
from small_models import Ch, write_flame

from common.errors import FaceModelError
from morphable.loaders.pickles import read_object_npy, read_pickled


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["f4", ">f8", "i8", "u2", "?"])
def test_arrays_of_every_protocol_come_back(tmp_path, protocol, dtype):
    content = {"a": np.arange(12).reshape(3, 4).astype(dtype), "b": [np.float64(2.5), "text", (1, None)]}
    content["c"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_pickled(tmp_path / "a.pkl")
    assert (found["a"].dtype.kind, found["a"].itemsize) == (content["a"].dtype.kind, content["a"].itemsize)
    np.testing.assert_array_equal(found["a"], content["a"])
    np.testing.assert_array_equal(found["c"], content["c"])
    assert found["b"] == content["b"]


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"u": x}, lambda x: {"u": np.array([x], dtype=object)}])
def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path, wrap):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(wrap(Payload(tmp_path / "owned"))))
    with pytest.raises(FaceModelError, match=r"evil.pkl: asks for (posix|nt)\.system.*nothing of it was run\.$"):
        read_pickled(path)
    np.save(tmp_path / "evil.npy", np.array(wrap(Payload(tmp_path / "owned")), dtype=object), allow_pickle=True)
    with pytest.raises(FaceModelError, match=r"evil.npy: asks for"):
        read_object_npy(tmp_path / "evil.npy")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "call", [b"cbuiltins\neval\n(V1+1\ntR.", b"cnumpy\nload\n(Vx\ntR.", b"cnumpy.testing\nrunstring\n(VX\n}tR."]
)
def test_other_callables_are_refused(tmp_path, call):
    (tmp_path / "x.pkl").write_bytes(call)
    with pytest.raises(FaceModelError, match="refused"):
        read_pickled(tmp_path / "x.pkl")


def test_flame_pickles_become_plain_arrays_with_inert_strangers(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    write_flame(tmp_path / "flame.pkl", {"v_template": array, "f": array.astype(np.uint32)})
    found = read_pickled(tmp_path / "flame.pkl")
    np.testing.assert_array_equal(found["v_template"], array)
    assert not isinstance(found["v_template"], Ch)
    assert type(found["J_regressor"]).__name__ == "Inert"
    assert found["bs_type"] == "lrotmin"


def test_damaged_files_are_named_in_one_sentence(tmp_path):
    whole = pickle.dumps({"a": np.arange(1000.0)})
    for name, data in (("cut", whole[:-50]), ("empty", b""), ("text", b"hello"), ("zeros", bytes(100))):
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(data)
        with pytest.raises(FaceModelError, match=rf"{name}\.pkl: damaged.*\.$"):
            read_pickled(path)
        path = tmp_path / f"{name}.npy"
        path.write_bytes(data)
        with pytest.raises(FaceModelError, match=rf"{name}\.npy"):
            read_object_npy(path)
    with pytest.raises(FaceModelError, match="none.pkl: cannot be read"):
        read_pickled(tmp_path / "none.pkl")
