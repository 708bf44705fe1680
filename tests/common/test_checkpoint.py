"""Checkpoints: whole or absent, strict, and unable to run code."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from common import checkpoint
from common.checkpoint import (
    json_safe,
    load_strict,
    read_config,
    read_snapshot,
    read_state,
    read_tensors,
    resolve_snapshot,
    save_snapshot,
    sessions_folder,
    sessions_part,
)
from common.errors import CheckpointError
from common.files.atomic import write_file

ROOT = Path(__file__).resolve().parents[2]


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_malicious_pickle_is_refused(tmp_path):
    torch.save({"state_dict": Payload(tmp_path / "owned")}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="evil.pt.*refused"):
        read_state(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_only_one_file_reads_weights():
    pattern = re.compile(r"torch\.load\(|\bpickle\b")
    allowed = {ROOT / "common" / "checkpoint.py", ROOT / "morphable" / "loaders" / "pickles.py"}
    allowed |= {ROOT / "recon3d" / "regression" / "write_layouts.py"}  # writes the layout of 3DDFA, reads none
    for path in ROOT.glob("[!.]*/**/*.py"):
        if "tests" not in path.parts and path not in allowed:
            lines = [x for x in path.read_text().splitlines() if pattern.search(x) and "allow_pickle=False" not in x]
            assert not lines, f"{path}: {lines}"


def test_damaged_files_are_named(tmp_path):
    save_file({"a": torch.arange(6.0)}, tmp_path / "good.safetensors")
    content = (tmp_path / "good.safetensors").read_bytes()
    giant = (10**9).to_bytes(8, "little") + b"{}"
    for name, data in (
        ("cut", content[:-5]),
        ("empty", b""),
        ("giant", giant),
        ("text", b"hello world, this is no file"),
    ):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=path.name):
            read_tensors(path)
        path = tmp_path / f"{name}.pt"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=path.name):
            read_state(path)
    save_file({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match="nan.safetensors.*not finite"):
        read_tensors(tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match="none.safetensors"):
        read_tensors(tmp_path / "none.safetensors")


def test_strict_loading(tmp_path):
    module = nn.Linear(3, 2)
    good = module.state_dict()
    for tensors, message in (
        ({"weight": good["weight"]}, "lacks bias"),
        (good | {"more": torch.zeros(1)}, "unknown tensor more"),
        (good | {"weight": torch.zeros(2, 4)}, r"weight has shape \[2, 4\] where \[2, 3\]"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_strict(module, tensors, tmp_path)
    assert load_strict(module, {"weight": good["weight"]}, tmp_path, optional=("bias",)) == ["bias"]


def test_kill_in_the_middle_of_saving_leaves_a_whole_snapshot(tmp_path):
    code = (
        "import torch, sys, itertools; from pathlib import Path; from common.checkpoint import save_snapshot\n"
        "for i in itertools.count(1):\n"
        "    save_snapshot(Path(sys.argv[1]) / '00001', {'a': torch.full((2_000_000,), float(i))}, {'n': i})\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for wait in (0.05, 0.13, 0.21):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
        deadline = time.monotonic() + 60
        while not (tmp_path / "00001" / "config.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        tensor = read_tensors(tmp_path / "00001" / "model.safetensors")["a"]
        assert (tensor == read_config(tmp_path / "00001")["n"]).all()


def test_failed_save_leaves_the_old_snapshot_and_no_rest(tmp_path):
    save_snapshot(tmp_path / "00001", {"a": torch.zeros(2)}, {"n": 1})
    with pytest.raises(TypeError):
        save_snapshot(tmp_path / "00001", {"a": torch.ones(2)}, {"n": object()})
    assert read_config(tmp_path / "00001")["n"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["00001"]


def test_names_of_snapshots(tmp_path, monkeypatch):
    for name, step in (("run/00001", 10), ("run/00002", 20), ("run/interrupted", 25), ("flat", 5)):
        save_snapshot(tmp_path / name, {"a": torch.zeros(1)}, {"step": step})
    bundled = tmp_path / "pretrained"
    save_snapshot(bundled / "shipped", {"a": torch.zeros(1)}, {})
    monkeypatch.setattr("common.checkpoint.PRETRAINED", bundled)
    assert resolve_snapshot("run/00001", tmp_path).name == "00001"
    assert resolve_snapshot("run", tmp_path).name == "interrupted", "the one that has seen most steps"
    assert resolve_snapshot("flat", tmp_path).name == "flat"
    assert resolve_snapshot(str(tmp_path / "run" / "00002"), tmp_path / "elsewhere").name == "00002"
    assert resolve_snapshot("shipped", tmp_path) == bundled / "shipped"
    with pytest.raises(CheckpointError, match="no model 'none'.*flat.*run.*shipped"):
        resolve_snapshot("none", tmp_path)
    assert sessions_part("run/00001", tmp_path) == "run" == sessions_part(str(tmp_path / "run/00001"), tmp_path)


def test_sessions_lie_where_the_ini_file_says_unless_a_folder_is_given(tmp_path, monkeypatch):
    (tmp_path / "local_config.ini").write_text("[Paths]\ndata = store\n")
    monkeypatch.chdir(tmp_path)
    assert sessions_folder() == tmp_path / "store/models/snapshots" and sessions_folder("there") == Path("there")
    save_snapshot(tmp_path / "store/models/snapshots/mine", {"a": torch.zeros(1)}, {})
    assert resolve_snapshot("mine").name == "mine"


def test_a_snapshot_is_checked_before_it_is_restored(tmp_path):
    layer = torch.nn.Linear(2, 1)
    save_snapshot(tmp_path / "a", {k: v.half() for k, v in layer.state_dict().items()}, {"kind": "toy"})
    snapshot = read_snapshot(tmp_path / "a", "a toy", "other", "toy")
    restored = snapshot.restore(lambda: torch.nn.Linear(2, 1))
    assert not restored.training and torch.allclose(restored.weight, layer.weight, atol=1e-3)
    assert snapshot.tensors["weight"].dtype == torch.float32 and snapshot.info["kind"] == "toy"
    with pytest.raises(CheckpointError, match="weight has shape .1, 2. where .1, 3. is expected"):
        snapshot.restore(lambda: torch.nn.Linear(3, 1))
    with pytest.raises(CheckpointError, match="/a: its network description is not usable .*depth"):
        snapshot.restore(lambda: snapshot.info["depth"])
    (tmp_path / "a/model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="/a: holds a 'toy', not a ship; choose another snapshot"):
        read_snapshot(tmp_path / "a", "a ship", "ship")
    with pytest.raises(CheckpointError, match="damaged"):
        read_snapshot(tmp_path / "a", "a toy", "toy")


def test_config_of_another_format(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        read_config(tmp_path)


def test_text_files_and_numbers_that_json_cannot_say(tmp_path):
    write_file(tmp_path / "deep" / "a.txt", "x")
    assert (tmp_path / "deep" / "a.txt").read_text() == "x" and len(list((tmp_path / "deep").iterdir())) == 1
    assert json_safe({"a": float("inf"), "b": [float("nan"), 1.5], "c": Path("x")}) == {
        "a": None,
        "b": [None, 1.5],
        "c": "x",
    }


def test_second_name_of_a_snapshot_outlives_the_first(tmp_path):
    checkpoint.save_snapshot(tmp_path / "best", {"w": torch.ones(2)}, {}, {"step": 1})
    checkpoint.link_snapshot(tmp_path / "best", tmp_path / "00001")
    checkpoint.save_snapshot(tmp_path / "best", {"w": torch.zeros(2)}, {}, {"step": 2})
    assert checkpoint.read_state(tmp_path / "00001/state.pt") == {"step": 1}
    assert torch.equal(checkpoint.read_tensors(tmp_path / "00001/model.safetensors")["w"], torch.ones(2))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00001", "best"]


def test_looking_for_a_model_renames_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "snapshots", tmp_path / "snapshots/run"):
        folder.mkdir(exist_ok=True)
        (folder / ".zshrc.old").write_text("of the user")
    for name in ("face.jpg", "run"):
        with pytest.raises(CheckpointError):
            resolve_snapshot(name, tmp_path / "snapshots")
    assert len(list(tmp_path.rglob(".zshrc.old"))) == 3 and not list(tmp_path.rglob("zshrc"))


def test_readers_never_miss_a_snapshot_that_is_being_replaced(tmp_path):
    save_snapshot(tmp_path / "run/best", {"a": torch.zeros(1)}, {"step": 0})
    code = (
        "import torch, sys; from pathlib import Path; from common.checkpoint import save_snapshot\n"
        "for i in range(150):\n"
        "    save_snapshot(Path(sys.argv[1]) / 'best', {'a': torch.full((9,), float(i))}, {'step': i})\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    reads = 0
    while writer.poll() is None:
        read_config(resolve_snapshot("run/best", tmp_path))
        read_tensors(tmp_path / "run/best/model.safetensors")
        reads += 1
    assert writer.returncode == 0 and reads > 100
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["best"]


def test_a_full_disk_is_one_sentence_and_keeps_the_last_snapshot(tmp_path):
    save_snapshot(tmp_path / "best", {"a": torch.zeros(1)}, {"n": 1})
    code = (
        "import resource, signal, sys, torch; from pathlib import Path; from common.checkpoint import save_snapshot\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "big, small = torch.zeros(int(1e6)), torch.zeros(1)\n"
        "for tensors, state in (({'a': big}, None), ({'a': small}, {'s': big})):\n"
        "    try: save_snapshot(Path(sys.argv[1]), tensors, {'n': 2}, state)\n"
        "    except ValueError as error: print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "best")], env=environment, capture_output=True, text=True
    )
    assert done.stdout.count("best: cannot be written (") == 2, done.stderr
    assert read_config(tmp_path / "best")["n"] == 1 and [p.name for p in tmp_path.iterdir()] == ["best"]
