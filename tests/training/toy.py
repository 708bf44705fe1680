"""A small method for the loop's tests, and a program that runs it (for signals, kills and several processes)."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from common.runtime import apply_gradients, make_accelerator, seed_everything, synchronise
from training.loop import LoopOptions, train


class Numbers(torch.utils.data.Dataset):
    """12 rows of four numbers."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return torch.sin(torch.arange(4.0) + index)


@dataclass
class ToyBatch:
    rows: torch.Tensor
    indices: torch.Tensor


def collate(items):
    return ToyBatch(torch.stack([row for _, row in items]), torch.tensor([i for i, _ in items]))


class Toy:
    """Linear regression with dropout noise from the global generator."""

    stage = "toy"

    def __init__(self, accelerator, noise=True, nan_at=None, delay=0.0, score=None):
        self.networks = nn.Linear(4, 1)
        synchronise(self.networks, accelerator)
        self.accelerator, self.noise, self.nan_at, self.delay = accelerator, noise, nan_at, delay
        self.optimizers = {"all": torch.optim.Adam(self.networks.parameters(), 0.05)}
        self.scores = score or (lambda epoch: {"score": 1.0 / epoch})

    def training_step(self, batch, step, epoch):
        time.sleep(self.delay)
        rows = batch.rows + (0.1 * torch.randn_like(batch.rows) if self.noise else 0)
        loss = (self.networks(rows)[:, 0] - batch.rows.sum(1)).square().mean()
        if step == self.nan_at:
            loss = loss * float("nan")
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["all"], self.accelerator)
        return {"loss": loss}

    def evaluate(self, epoch):
        return self.scores(epoch)

    def pictures(self, epoch):
        return {}

    def config(self):
        return {"kind": "toy"}

    def step_line(self, means):
        return f"l={means.get('loss', -1):.3f}"


def options(folder, **changes):
    defaults = {"epochs": 4, "batch_size": 4, "eval_every": 2, "print_every": 2, "seed": 5}
    folders = {"session": folder / "session", "log_folder": folder / "logs", "report_folder": folder / "reports"}
    return LoopOptions(**folders, **(defaults | changes))


def run(folder, resume=None, toy=None, **changes):
    """Train a toy; returns it."""
    from common.checkpoint import read_tensors

    accelerator = make_accelerator("cpu")
    seed_everything(5, accelerator.process_index)
    method = Toy(accelerator, **(toy or {}))
    if resume is not None:
        method.networks.load_state_dict(read_tensors(Path(resume) / "model.safetensors"))
    train(method, Numbers(), collate, lambda i: f"row{i % 12}.jpg", options(folder, **changes), accelerator, resume)
    return method


if __name__ == "__main__":
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "slow":
        from common.errors import Interrupted

        try:
            run(folder, toy={"delay": 0.1}, epochs=1000)
        except Interrupted as error:
            sys.exit(error.exit_code)
    if what == "processes":
        method = run(folder, toy={"noise": False}, epochs=3)
        torch.save(method.networks.state_dict(), folder / f"rank{method.accelerator.process_index}.pt")
