"""`python -m batch` beside the plain loop over a predictor, in photos a second: table, workers, Ray."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from skimage.data import astronaut

from batch.predictors import TASKS, PredictorSpec
from batch.sources import photos_of
from benchmarks.report import make_parser, row, start
from common.config import read_local_config
from common.files.images import read_image

ROOT = Path(__file__).resolve().parents[1]


def draw_photos(folder: Path, count: int) -> None:
    """Copies of the astronaut at 300 px, each moved a little."""
    image = Image.fromarray(astronaut())
    for i in range(count):
        left, top = 60 + i % 40, i // 40 % 40
        image.crop((left, top, left + 300, top + 300)).save(folder / f"{i:06d}.jpg", quality=90)


def plain_loop(folder: str, count: int, task: str) -> float:
    """Photos a second of reading and predicting one by one, after the first, which loads."""
    predictor = TASKS[task](PredictorSpec(task, device="cpu"), read_local_config())
    paths = [Path(photo.path) for photo in photos_of([folder])][:count]
    predictor.predict_batch([read_image(paths[0])])
    started = time.perf_counter()
    for path in paths:
        predictor.predict_batch([read_image(path)])
    return len(paths) / (time.perf_counter() - started)


def batch_run(folder: str, count: int, task: str, threads: int, options: list[str]) -> tuple[float, float]:
    """Photos a second with the start of the workers, and the largest process so far in MiB."""
    with tempfile.TemporaryDirectory() as place:
        command = [
            sys.executable,
            "-m",
            "batch",
            folder,
            f"{place}/t.parquet",
            "--limit",
            str(count),
            "--device",
            "cpu",
        ]
        run = subprocess.run(
            [*command, "--task", task, "--chunk", str(max(1, min(128, count // 4))), *options],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(line for line in run.stdout.splitlines() if "photos/s" in line)
    rate = float(line.partition(" s, ")[2].split()[0])
    return rate, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main(arguments: list[str] | None = None) -> None:
    """Print the table; rates include the start of workers, so they rise with --count."""
    parser = make_parser(__doc__)
    parser.add_argument("--photos", help="a folder of photos (default: the astronaut, moved about)")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--task", default="landmarks", choices=tuple(TASKS))
    parser.add_argument("--ray", action="store_true", help="also with Ray's actors")
    options = parser.parse_args(arguments)
    start(options)
    count = 2 if options.smoke else options.count
    runs = {"-j 0": ["-j", "0"]}
    if not options.smoke:
        runs |= {f"-j {n}": ["-j", str(n)] for n in (1, 2)}
    if options.ray:
        runs |= {f"Ray, {n} actors": ["-j", str(n), "--engine", "ray"] for n in (1, 2)}
    with tempfile.TemporaryDirectory() as drawn:
        if options.photos is None:
            draw_photos(Path(drawn), count)
        folder = options.photos or drawn
        plain = plain_loop(folder, count, options.task)
        for name, extra in runs.items():
            rate, size = batch_run(folder, count, options.task, options.threads, extra)
            row(f"batch {options.task} {name}, beside the plain loop", rate, plain, "photos/s", more_is_better=True)
            row(f"largest process of {name}", size, unit="MiB")
