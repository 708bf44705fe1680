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


class Differing(Toy):
    """Batch norm, scores and parameters that differ by process: rank 0 is best after epoch 2, rank 1 after epoch 4."""

    def __init__(self, accelerator):
        super().__init__(accelerator, noise=False)
        self.networks = nn.ModuleDict(
            {"norm": nn.BatchNorm1d(4), "all": nn.Linear(4, 1), "nobody": nn.Linear(4, 1), "first": nn.Linear(4, 1)}
        )
        self.networks.register_buffer("constant", torch.tensor([0.1, 1 / 3]))
        synchronise(self.networks, accelerator)
        self.optimizers = {"all": torch.optim.Adam(self.networks.parameters(), 0.05)}
        self.rank, self.means = accelerator.process_index, []

    def training_step(self, batch, step, epoch):
        self.means.append(batch.rows.mean(0))
        seen = self.networks["norm"](batch.rows)
        output = self.networks["all"](seen) + (self.networks["first"](seen) if self.rank == 0 else 0)
        loss = (output[:, 0] - batch.rows.sum(1)).square().mean()
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["all"], self.accelerator)
        return {"loss": loss}

    def evaluate(self, epoch):
        self.seen_by_evaluation = self.networks["norm"].running_mean.clone()
        return {"score": float(epoch if self.rank == 0 else -epoch)}


class Normed(Toy):
    """Batch norm before the regression; keeps the curve of its losses."""

    def __init__(self, accelerator):
        super().__init__(accelerator, noise=False)
        self.networks = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1))
        synchronise(self.networks, accelerator)
        self.optimizers = {"all": torch.optim.Adam(self.networks.parameters(), 0.05)}
        self.losses = []

    def training_step(self, batch, step, epoch):
        terms = super().training_step(batch, step, epoch)
        self.losses.append(float(terms["loss"].detach()))
        return terms


def run_normed(folder, epochs, resume=None):
    """Train `Normed` with batch norm over all processes; how many snapshots this one wrote is returned, too."""
    from common.checkpoint import read_tensors
    from training import loop

    accelerator = make_accelerator("cpu")
    seed_everything(5, accelerator.process_index)
    method, written = Normed(accelerator), []
    if resume is not None:
        method.networks.load_state_dict(read_tensors(Path(resume) / "model.safetensors"))
    write = loop.save_snapshot
    loop.save_snapshot = lambda place, *rest: (written.append(place.name), write(place, *rest))
    try:
        chosen = options(folder, epochs=epochs, sync_batchnorm=True)
        train(method, Numbers(), collate, str, chosen, accelerator, resume)
    finally:
        loop.save_snapshot = write
    return {"losses": method.losses, "weights": method.networks.state_dict(), "written": written}


def options(folder, **changes):
    defaults = {"epochs": 4, "batch_size": 4, "eval_every": 2, "print_every": 2, "seed": 5}
    folders = {"session": folder / "session", "log_folder": folder / "logs", "report_folder": folder / "reports"}
    return LoopOptions(**folders, **(defaults | changes))


def run_differing(folder):
    """Train `Differing` and write what this process ended with."""
    accelerator = make_accelerator("cpu")
    seed_everything(5, accelerator.process_index)
    method = Differing(accelerator)
    position = train(method, Numbers(), collate, str, options(folder), accelerator)
    stepped = {
        name: bool(method.optimizers["all"].state[parameter]) for name, parameter in method.networks.named_parameters()
    }
    content = {"weights": method.networks.state_dict(), "evaluated": method.seen_by_evaluation, "stepped": stepped}
    content |= {"best": position.best_score, "means": torch.stack(method.means)}
    torch.save(content, folder / f"rank{accelerator.process_index}.pt")


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
            run(folder, toy={"delay": 0.1}, epochs=1000, workers=int((sys.argv[3:] or ["0"])[0]))
        except Interrupted as error:
            sys.exit(error.exit_code)
    if what == "processes":
        method = run(folder, toy={"noise": False}, epochs=3)
        torch.save(method.networks.state_dict(), folder / f"rank{method.accelerator.process_index}.pt")
    if what == "normed":
        resume = Path(sys.argv[4]) if len(sys.argv) > 4 else None
        found = run_normed(folder, int(sys.argv[3]), resume)
        torch.save(found, folder / f"rank{torch.distributed.get_rank()}.pt")
    if what == "differing":
        run_differing(folder)
