"""The loop: exact resume, stops, signals, several processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from common.checkpoint import newest_snapshot, read_config, read_state, read_tensors
from common.errors import ConfigError, DivergenceError
from common.runtime import random_state, restore_random_state
from tests.training import toy
from training.sampling import EpochBatches
from training.schedules import learning_rate_factor

ROOT = Path(__file__).resolve().parents[2]


def assert_same(folder_a, folder_b):
    a, b = read_tensors(folder_a / "model.safetensors"), read_tensors(folder_b / "model.safetensors")
    assert all(torch.equal(a[k], b[k]) for k in a)
    a, b = (read_state(f / "state.pt") for f in (folder_a, folder_b))
    for name, state in a["optimizers"].items():
        for key, moments in state["state"].items():
            for moment, value in moments.items():
                assert torch.equal(value, b["optimizers"][name]["state"][key][moment])
    assert torch.equal(a["rng"][0]["torch"], b["rng"][0]["torch"])


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_equals_uninterrupted_to_the_bit(tmp_path, workers):
    toy.run(tmp_path / "straight", workers=workers)
    toy.run(tmp_path / "parts", epochs=2, workers=workers)
    toy.run(tmp_path / "parts", resume=tmp_path / "parts/session/00002", workers=workers)
    assert_same(tmp_path / "straight/session/00004", tmp_path / "parts/session/00004")


def test_resume_in_the_middle_of_an_epoch(tmp_path):
    toy.run(tmp_path / "straight")
    accelerator = toy.make_accelerator("cpu")

    class Interrupting(toy.Toy):
        def training_step(self, batch, step, epoch):
            if step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().training_step(batch, step, epoch)

    from common.errors import Interrupted
    from training.loop import train

    toy.seed_everything(5)
    options = toy.options(tmp_path / "parts")
    with pytest.raises(Interrupted) as caught:
        train(Interrupting(accelerator), toy.Numbers(), toy.collate, str, options, accelerator)
    assert caught.value.exit_code == 143
    snapshot = newest_snapshot(tmp_path / "parts/session")
    assert snapshot.name == "interrupted"
    position = read_state(snapshot / "state.pt")["position"]
    assert (position["epoch"], position["batches_done"], position["step"]) == (1, 2, 5)
    toy.run(tmp_path / "parts", resume=snapshot)
    assert_same(tmp_path / "straight/session/00004", tmp_path / "parts/session/00004")


def test_nan_names_the_batch_and_keeps_the_last_snapshot(tmp_path):
    toy.run(tmp_path, epochs=1)
    before = (tmp_path / "session/00001/model.safetensors").read_bytes()
    with pytest.raises(DivergenceError, match=r"row\d+.jpg"):
        toy.run(tmp_path, resume=tmp_path / "session/00001", toy={"nan_at": 4})
    assert (tmp_path / "session/00001/model.safetensors").read_bytes() == before
    assert not (tmp_path / "session/00002").exists()


def test_signal_in_a_process_saves_and_exits_143(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, toy.__file__, "slow", str(tmp_path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "session/00001/config.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    toy.run(tmp_path, resume=tmp_path / "session/interrupted", epochs=3)


def test_a_signal_to_the_whole_group_saves_with_workers_too(tmp_path):
    command = [sys.executable, toy.__file__, "slow", str(tmp_path), "2"]
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(command, tmp_path / "session/00001/config.json")
        os.killpg(process.pid, number)
        assert process.wait(60) == 128 + number
        assert newest_snapshot(tmp_path / "session").name == "interrupted"
        shutil.rmtree(tmp_path / "session")


def test_two_runs_on_one_session_and_a_crash_that_leaves_no_lock(tmp_path):
    process = start([sys.executable, toy.__file__, "slow", str(tmp_path), "2"], tmp_path / "session/00001/config.json")
    before = read_config(tmp_path / "session/00001")
    with pytest.raises(ConfigError, match="session 'session' is being trained by another process"):
        toy.run(tmp_path, resume=tmp_path / "session/00001")
    process.kill()
    process.wait()
    assert read_config(tmp_path / "session/00001") == before
    newest = newest_snapshot(tmp_path / "session")
    toy.run(tmp_path, resume=newest, epochs=read_config(newest)["epoch"] + 1)


def start(command, awaited):
    """A program in a process group of its own, once a file of it is there."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 90
    while not awaited.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def test_two_processes_equal_one(tmp_path):
    """Gloo: both ranks end with the same weights, those of one process with the same global batch."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, toy.__file__, "processes", str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=180)
    ranks = [torch.load(tmp_path / f"rank{i}.pt", weights_only=True) for i in (0, 1)]
    alone = toy.run(tmp_path / "alone", toy={"noise": False}, epochs=3).networks.state_dict()
    for name, value in alone.items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        assert torch.allclose(ranks[0][name], value, atol=1e-5)


def test_processes_with_batch_norm_and_differing_scores_agree(tmp_path):
    """Each would decide differently about the best snapshot, which all of them write together: they waited for ever."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run(
        [*launch, toy.__file__, "differing", str(tmp_path)],
        env=environment,
        check=True,
        capture_output=True,
        timeout=90,
    )
    first, second = (torch.load(tmp_path / f"rank{i}.pt", weights_only=True) for i in (0, 1))
    assert first["best"] == second["best"] == 2.0, "the scores of the first process decide"
    assert read_state(tmp_path / "session/best/state.pt")["position"]["epoch"] == 2
    stored = read_tensors(tmp_path / "session/00004/model.safetensors")
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]) and torch.equal(value, stored[name]), name
    assert torch.equal(first["evaluated"], first["weights"]["norm.running_mean"])
    mean = torch.zeros(4)
    for step in (first["means"] + second["means"]) / 2:
        mean = 0.9 * mean + 0.1 * step
    torch.testing.assert_close(first["weights"]["norm.running_mean"], mean)
    assert torch.equal(first["weights"]["constant"], torch.tensor([0.1, 1 / 3]))
    for rank in (first, second):
        without = {name for name, stepped in rank["stepped"].items() if not stepped}
        assert without == {"nobody.weight", "nobody.bias"}, "no gradient anywhere, no step"


def test_best_keep_and_patience(tmp_path):
    scores = {2: 3.0, 4: 1.0, 6: 2.0, 8: 2.0, 10: 2.0}
    toy.run(tmp_path, epochs=10, keep=2, patience=2, toy={"score": lambda e: {"score": scores[e]}})
    names = sorted(p.name for p in (tmp_path / "session").iterdir())
    assert names == [".lock", "00007", "00008", "best"], "stopped after epoch 8, two snapshots kept"
    assert read_state(tmp_path / "session/best/state.pt")["position"]["best_score"] == 1.0


def test_a_resumed_run_keeps_the_best_snapshot(tmp_path):
    def scores(epoch):
        return {"score": {2: 3.0, 4: 1.0}.get(epoch, 2.0)}

    toy.run(tmp_path, epochs=4, toy={"score": scores})
    toy.run(tmp_path, epochs=8, toy={"score": scores}, resume=tmp_path / "session/00004")
    assert read_state(tmp_path / "session/best/state.pt")["position"]["epoch"] == 4


def test_a_new_run_under_an_old_name_is_refused(tmp_path):
    """Its few snapshots would lie beside the old run's many, of which -r takes the newest."""
    toy.run(tmp_path, epochs=3)
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "other").mkdir()
    toy.run(tmp_path / "other", epochs=1)
    for resume in (None, tmp_path / "other/session/00001"):
        with pytest.raises(ConfigError, match="session 'session' already holds .*00003.*-r session.*--sessionname"):
            toy.run(tmp_path, epochs=2, resume=resume)
    assert sorted(p for p in tmp_path.rglob("*") if "other" not in p.parts) == before
    toy.run(tmp_path, epochs=4, resume=tmp_path / "session/00003")


def test_logs_are_written(tmp_path):
    toy.run(tmp_path, epochs=2)
    text = (tmp_path / "logs/scalars.csv").read_text()
    assert "train,loss" in text and "val,score" in text and "iteration,loss" in text
    assert list((tmp_path / "logs").glob("events.out.tfevents*"))


def test_batches_are_a_permutation_resumable_and_shared_by_ranks():
    batches = EpochBatches(13, 4, seed=1)
    first = [i for b in batches for i in b]
    assert len(batches) == 3 and len(set(first)) == 12
    batches.set_position(1)
    second = list(batches)
    assert [i for b in second for i in b] != first
    batches.set_position(1, 2)
    assert list(batches) == second[2:]
    ranks = [list(EpochBatches(13, 4, 1, rank, 2)) for rank in (0, 1)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == [first[i : i + 4] for i in (0, 4, 8)]
    assert [len(b) for b in EpochBatches(3, 40, 0)] == [3], "fewer samples than the batch size make one smaller batch"
    with pytest.raises(ValueError, match="fewer processes"):
        EpochBatches(1, 4, 0, world=2)


def test_schedules():
    assert learning_rate_factor("constant", 0.7, 3) == 1
    assert learning_rate_factor("step", 0.5, 25) == pytest.approx(0.81)
    assert learning_rate_factor("cosine", 0.0, 0) == 1 and learning_rate_factor("cosine", 1.0, 9) == pytest.approx(0.01)
    assert learning_rate_factor("cosine", 0.05, 0, warmup=0.1) < 0.6
    with pytest.raises(ValueError, match="cosine"):
        learning_rate_factor("linear", 0, 0)


def test_random_state_round_trip():
    import random

    import numpy as np

    state = random_state()
    first = (torch.rand(3), np.random.rand(3), random.random())
    restore_random_state(state)
    again = (torch.rand(3), np.random.rand(3), random.random())
    assert torch.equal(first[0], again[0]) and (first[1] == again[1]).all() and first[2] == again[2]


def test_importing_changes_no_global_flags():
    code = (
        "import torch; before = (torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.is_grad_enabled(),"
        " torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled());"
        "import landmarks.training, landmarks.evaluation, landmarks.detector;"
        "assert before == (torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.is_grad_enabled(),"
        " torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled())"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_methods_are_told_where_in_an_epoch_they_are(tmp_path):
    """Rounding to the processes, few samples and a new stage change how many batches an epoch has; the loop knows."""
    from training.loop import EpochPosition, train

    seen = []

    class Recording(toy.Toy):
        def training_step(self, batch, step, epoch):
            seen.append((step, epoch))
            return super().training_step(batch, step, epoch)

    accelerator = toy.make_accelerator("cpu")
    options = toy.options(tmp_path, epochs=3, batch_size=5)
    train(Recording(accelerator), toy.Numbers(), toy.collate, str, options, accelerator)
    assert seen == [(2 * e + b, EpochPosition(e, b, 2)) for e in range(3) for b in range(2)]
    assert EpochPosition(3, 1, 4).fraction == 3.25
    seen.clear()
    options = toy.options(tmp_path, epochs=4, batch_size=12, new_stage=True)
    train(Recording(accelerator), toy.Numbers(), toy.collate, str, options, accelerator, tmp_path / "session/00003")
    assert seen == [(0, EpochPosition(0, 0, 1))]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_epoch_has_the_same_batches_on_every_process(world):
    """A batch of 32 is 30 on 3 processes, so steps alone do not tell the epoch; every sample is drawn at most once in
    it.
    """
    from training.sampling import EpochBatches

    ranks = [EpochBatches(96, 32, 0, rank, world) for rank in range(world)]
    assert {len(batches) for batches in ranks} == {96 // (32 // world * world)}
    for epoch in range(3):
        for batches in ranks:
            batches.set_position(epoch)
        rows = [list(batches) for batches in ranks]
        assert all(len(row) == len(ranks[0]) for row in rows)
        for parts in zip(*rows, strict=True):
            joined = [index for part in parts for index in part]
            assert len(joined) == 32 // world * world == len(set(joined))
