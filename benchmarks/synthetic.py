"""Speed of the synthetic faces: faces per second, and what a face costs part by part.

    python -m benchmarks synthetic                        # 128 px on all cores
    python -m benchmarks synthetic --size 192 --device cuda

The reference in the same run paints and lights every face alone, as a loop over faces does.
"""

import argparse
import time
from collections.abc import Callable

import torch

from datasets.synthetic.rendered import SyntheticFaces, SyntheticSettings
from morphable.model import EMBEDDED_HEAD, FaceModel


def seconds(action: Callable[[int], object], repeats: int, device: torch.device) -> tuple[float, float]:
    """Best wall-clock and best processor seconds of one call; the first call is not counted."""
    action(0)
    wall, cpu = [], []
    for index in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
        started, busy = time.perf_counter(), time.process_time()
        action(index + 1)
        if device.type == "cuda":
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - busy)
    return min(wall), min(cpu)


def main() -> None:
    """Print one line per batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    faces = SyntheticFaces(FaceModel.load(EMBEDDED_HEAD), SyntheticSettings(size_px=options.size), 0, device)

    def alone(index: int) -> None:
        for i in range(options.batch):
            faces.batch(index * options.batch + i, 1)

    batched, busy = seconds(lambda index: faces.batch(index, options.batch), options.repeats, device)
    single, _ = seconds(alone, max(1, options.repeats // 3), device)
    rate, cost = options.batch / batched, 1000 * busy / options.batch
    print(f"{options.size} px, {device}, {torch.get_num_threads()} threads, best of {options.repeats}:")
    print(f"  batches of {options.batch}: {rate:.1f} faces/s, {cost:.1f} ms of processor time per face")
    print(f"  one face at a time (reference): {options.batch / single:.1f} faces/s, batching is {single / batched:.2f}x")


if __name__ == "__main__":
    main()
