"""Device, precision, processes and random state, all through Accelerate, which only training imports."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn
from torch.optim import Optimizer

from common.errors import ConfigError

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = ("no", "bf16")


def choose_device(device: str = "auto") -> torch.device:
    """Where an inference runs: auto (CUDA, else Apple's GPU, else the CPU), cpu, cuda or mps.

    Raises: ConfigError when the device is not there.
    """
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise ConfigError(
            f"device '{device}' is not one of auto, cpu, cuda, mps; correct --device or [Runtime] device."
        )
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[device]:
        raise ConfigError(f"device '{device}' is not available on this machine; use --device auto.")
    if device == "auto":
        device = next((name for name in ("cuda", "mps") if available[name]), "cpu")
    return torch.device(device)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context in which networks run in a precision of PRECISIONS. Raises: ConfigError for another one."""
    if precision not in PRECISIONS:
        raise ConfigError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}; correct --precision.")
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def make_accelerator(device: str = "auto", precision: str = "no") -> Accelerator:
    """One accelerator per process; `accelerate launch` and `torchrun` decide how many there are.

    Args: device auto, cpu, cuda or mps; precision no (float32) or bf16 (autocast).
    Raises: ConfigError when the device is not there.
    """
    from accelerate import Accelerator  # takes a second, so only where something is trained or evaluated

    choose_device(device)
    return Accelerator(cpu=device == "cpu", mixed_precision=precision)


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seed Python, NumPy and PyTorch, differently on every process."""
    value = (seed * 1_000_003 + rank) % 2**32
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def random_state() -> dict[str, object]:
    """State of all generators, as tensors, numbers and strings."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    version, internal, gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "python": [version, list(internal), gauss],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, object]) -> None:
    """Inverse of `random_state`."""
    torch.set_rng_state(state["torch"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def gather_objects(value: object, accelerator: Accelerator) -> list:
    """One object per process, in rank order, on every process."""
    if accelerator.num_processes == 1:
        return [value]
    values: list = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(values, value)
    return values


def main_object(value: object, accelerator: Accelerator) -> object:
    """The object of process 0, on every process."""
    if accelerator.num_processes == 1:
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values, 0)
    return values[0]


def synchronise(module: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the parameters and buffers of process 0."""
    if accelerator.num_processes > 1:
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, 0)


def average_buffers(module: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the mean of all processes' floating-point buffers: statistics that each kept of its own
    samples.

    Buffers that are equal on all processes keep their values.
    """
    if accelerator.num_processes == 1:
        return
    for buffer in module.buffers():
        if buffer.is_floating_point() and buffer.numel():
            mean = buffer.double()  # the sum of equal float32 values is exact in it
            torch.distributed.all_reduce(mean)
            buffer.copy_(mean / accelerator.num_processes)


def apply_gradients(optimizer: Optimizer, accelerator: Accelerator, max_norm: float = 0.0) -> bool:
    """Average gradients over the processes (one flat all-reduce), clip by norm (0 = off), step, clear.

    Returns: whether it did; while the gradients of more parts of the batch are to come it waits.

    A parameter without a gradient on any process is not stepped; where only some have one, the others count as zeros.
    """
    if not accelerator.sync_gradients:
        return False
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if accelerator.num_processes > 1:
        _average(parameters, accelerator.num_processes)
    if max_norm:
        nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return True


def _average(parameters: list[nn.Parameter], processes: int) -> None:
    absent = [p.grad is None for p in parameters]
    grads: list[Tensor] = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([g.reshape(-1).float() for g in grads])
    present = torch.tensor([float(not missing) for missing in absent], device=flat.device)  # travels with the gradients
    flat = torch.cat([flat, present])
    torch.distributed.all_reduce(flat)
    sums, owners = flat.split([len(flat) - len(parameters), len(parameters)])
    used = owners.tolist() if any(absent) else [1.0] * len(parameters)  # what has a gradient here needs no answer
    parts = (sums / processes).split([g.numel() for g in grads])
    for parameter, grad, part, count in zip(parameters, grads, parts, used, strict=True):
        parameter.grad = part.view_as(grad).to(grad.dtype) if count else None


def is_main_process() -> bool:
    """Whether this is process 0, also before an accelerator exists."""
    return int(os.environ.get("RANK", "0")) == 0


def current_commit() -> str:
    """Short hash of the code's commit, or "unknown" outside a checkout."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()
