"""Kills at random times: whatever a writer or a training leaves under a final name is whole, and resuming is exact.

    OMP_NUM_THREADS=1 python -m tests.fuzz.kills --count 200 --seed 0

Every trial forks a process, sends it a signal after a random time, reads all that it left, and lets the next writer
sweep the rest.
"""

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import torch

from common.checkpoint import link_snapshot, newest_snapshot, read_config, read_state, read_tensors, save_snapshot
from common.files.arrays import read_npy
from common.files.atomic import replacing, write_file
from common.files.images import read_image
from common.files.meshes import Mesh, read_ply, write_mesh
from common.files.pictures import save_picture
from tests.training import toy
from tests.training.test_loop import assert_same

EPOCHS = 6
LONGEST_WRITE_S, LONGEST_TRAINING_S = 0.3, 1.5  # after which a signal arrives at the latest


def write_text(folder: Path, number: int) -> None:
    write_file(folder / "a.txt", f"{number}\n" * 50_000)


def check_text(folder: Path) -> None:
    lines = (folder / "a.txt").read_text().splitlines()
    assert len(lines) == 50_000 and len(set(lines)) == 1


def write_picture(folder: Path, number: int) -> None:
    save_picture(folder / "a.png", np.full((200, 200, 3), number % 256, np.uint8))


def check_picture(folder: Path) -> None:
    image = read_image(folder / "a.png")
    assert image.shape == (200, 200, 3) and image.min() == image.max()


def write_array(folder: Path, number: int) -> None:
    with replacing(folder / "a.npy", keep_suffix=True) as temporary:
        np.save(temporary, np.full(100_000, number))


def check_array(folder: Path) -> None:
    array = read_npy(folder / "a.npy")
    assert len(array) == 100_000 and array.min() == array.max()


def write_surface(folder: Path, number: int) -> None:
    write_mesh(folder / "a.ply", Mesh(np.full((3000, 3), float(number)), np.arange(3000).reshape(-1, 3)))


def check_surface(folder: Path) -> None:
    mesh = read_ply(folder / "a.ply")
    assert len(mesh.vertices) == 3000 and mesh.vertices.min() == mesh.vertices.max()


def write_snapshots(folder: Path, number: int) -> None:
    tensors = {"w": torch.full((200_000,), float(number))}
    save_snapshot(folder / "00001", tensors, {"n": number}, {"n": number})
    link_snapshot(folder / "00001", folder / "best")


def check_snapshots(folder: Path) -> None:
    for name in ("00001", "best"):
        if (folder / name).exists():
            number = read_config(folder / name)["n"]
            assert read_state(folder / name / "state.pt")["n"] == number
            assert (read_tensors(folder / name / "model.safetensors")["w"] == number).all()


WRITERS = {
    "text": (write_text, check_text, "a.txt"),
    "picture": (write_picture, check_picture, "a.png"),
    "array": (write_array, check_array, "a.npy"),
    "mesh": (write_surface, check_surface, "a.ply"),
    "snapshot": (write_snapshots, check_snapshots, "00001"),
}


def forked(work: Callable[[], object], seconds: float, number: int) -> int:
    """Run work in a process of its own and send it a signal after that time. Returns: its exit status."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    time.sleep(seconds)
    os.kill(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_writer(kind: str, folder: Path, rng: np.random.Generator) -> str:
    """Returns: whether the final name was there. Raises: AssertionError or UserError for what is not whole."""
    write, check, name = WRITERS[kind]

    def work() -> None:
        for number in count():
            write(folder, number)

    folder.mkdir()
    forked(work, rng.uniform(0, LONGEST_WRITE_S), signal.SIGKILL)
    there = (folder / name).exists()
    if there:
        check(folder)
    write(folder, 1)
    check(folder)
    left = [path.name for path in folder.iterdir() if ".tmp" in path.name or ".previous" in path.name]
    assert not left, f"not swept: {left}"
    return "whole" if there else "nothing yet"


def kill_training(straight: Path, folder: Path, rng: np.random.Generator) -> str:
    """Interrupt a training, resume it from what it left, and compare with one that ran through, to the bit."""
    number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[rng.integers(3)]
    forked(lambda: train(folder), rng.uniform(0, LONGEST_TRAINING_S), number)
    snapshot = newest_snapshot(folder / "session")
    train(folder, snapshot)
    assert_same(straight / f"session/{EPOCHS:05d}", folder / f"session/{EPOCHS:05d}")
    return f"resumed from {'nothing' if snapshot is None else 'a snapshot'}"


def train(folder: Path, resume: Path | None = None) -> None:
    toy.run(folder, resume=resume, toy={"delay": 0.01}, epochs=EPOCHS, save_every=1)


def run_trials(trials: int, seed: int, folder: Path, training_share: float = 0.25) -> tuple[Counter, list[str]]:
    """Returns: how often each result came, by writer; the failures."""
    torch.set_num_threads(1)  # threads do not survive a fork
    rng = np.random.default_rng(seed)
    results, failures = Counter(), []
    if training_share:
        train(folder / "straight")
    for trial in range(trials):
        training = rng.random() < training_share
        kind = "training" if training else list(WRITERS)[rng.integers(len(WRITERS))]
        place = folder / f"{trial}"
        try:
            result = kill_training(folder / "straight", place, rng) if training else kill_writer(kind, place, rng)
            results[f"{kind}: {result}"] += 1
        except Exception as error:  # noqa: BLE001  any of them is what this looks for
            last = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"trial {trial}, {kind}: {type(error).__name__} in {last.name}: {error}")
    return results, failures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="kills [200]")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):  # progress bars
        results, failures = run_trials(options.count, options.seed, Path(folder))
    lines = [f"{number:5d}  {result}" for result, number in sorted(results.items())]
    sys.stdout.write("\n".join([*lines, *failures, f"{options.count} kills, {len(failures)} failures"]) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
