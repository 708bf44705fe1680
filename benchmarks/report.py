"""How every benchmark measures and prints: the machine and the versions, then rows 'what | ours | reference |
ratio'.
"""

import argparse
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

WIDTH = 64


def make_parser(description: str | None, threads: int = 1) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes and single repeats: that it runs, not how fast"
    )
    parser.add_argument("--threads", type=int, default=threads, help="of PyTorch (default: %(default)s)")
    return parser


def processor() -> str:
    """Name of the CPU as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def commit() -> str:
    """Short hash of the checkout, 'none' outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


def start(options: argparse.Namespace) -> None:
    """Set the threads and the seed, and print machine, versions and the head of the table."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    graphics = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"machine: {processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{graphics}{load}")
    print(f"versions: torch {torch.__version__}, numpy {np.__version__}, commit {commit()}")
    if options.smoke:
        print("smoke run: its numbers mean nothing")
    print(f"{'what':{WIDTH}s} | {'ours':>14s} | {'reference':>14s} | {'ratio':>8s}")


def row(what: str, ours: float, reference: float | None = None, unit: str = "ms", more_is_better: bool = False) -> None:
    """One line; the ratio says how many times better ours is."""
    ratio = "" if not reference or not ours else f"{ours / reference if more_is_better else reference / ours:.2f}×"
    other = "" if reference is None else f"{reference:.3f} {unit}"
    print(f"{what:{WIDTH}s} | {f'{ours:.3f} {unit}':>14s} | {other:>14s} | {ratio:>8s}")


def note(text: str) -> None:
    """A line below the row that it belongs to."""
    print(f"    {text}")


def best_ms(work: Callable[[], object], repeats: int, wall: bool = False) -> float:
    """Shortest time of the repeats after one that does not count.

    With one thread it is of the processor, so that other programs do not count; with more, with wall and on a GPU, on
    the wall.
    """
    graphics = torch.cuda.is_available()
    clock = time.process_time if torch.get_num_threads() == 1 and not wall and not graphics else time.perf_counter
    times = []
    for _ in range(repeats + 1):
        begin = clock()
        work()
        if graphics:
            torch.cuda.synchronize()
        times.append(clock() - begin)
    return 1e3 * min(times[1:])
