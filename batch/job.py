"""A batch run from its settings to its table: list, skip what is done, work, join."""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from batch.engines import choose_engine, run_here, run_processes, run_ray
from batch.predictors import PredictorSpec
from batch.settings import BatchSettings
from batch.sources import Chunk, Photo, chunks_of, photos_of
from batch.table import Totals, is_done, join_parts, run_of
from batch.worker import Done, WorkerSpec
from common.config import LocalConfig
from common.errors import ConfigError, DataError
from common.logs import console

SUFFIX = ".parts"  # of the folder beside the table in which its parts wait


def run_batch(settings: BatchSettings, local: LocalConfig) -> None:
    """Make the table, or go on with one that was begun. Raises: UserError."""
    inputs, output = inputs_and_output(settings.paths)
    run = describe(settings, inputs)
    if is_complete(output, run):
        console().info(f"{output}: is complete.")
        return
    folder = output.with_name(output.name + SUFFIX)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = work(settings, local, inputs, folder, run)
        if not number:
            raise DataError(f"{' '.join(inputs)}: no photos there.")
        totals = join_parts(folder, range(number), run, output)
        shutil.rmtree(folder)
    except OSError as error:
        where = error.filename or folder
        raise DataError(f"{where}: {error.strerror or error}; what is done is kept, run the command again.") from None
    report(output, totals)


def inputs_and_output(paths: list[str]) -> tuple[list[str], Path]:
    """Raises: ConfigError unless there is an input and a .parquet file to write."""
    *inputs, output = paths or [""]
    if not inputs or not output.endswith(".parquet"):
        raise ConfigError("give INPUT … OUTPUT: folders, tar files or lists of photos, then a table named *.parquet.")
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ConfigError("tables need pyarrow; pip install pyarrow.") from None
    return inputs, Path(output)


def describe(settings: BatchSettings, inputs: list[str]) -> str:
    """What decides the content of the table; a run goes on only with the same."""
    names = ("task", "model", "chunk", "limit", "detector", "flip")
    return json.dumps({"inputs": inputs} | {name: getattr(settings, name) for name in names})


def is_complete(output: Path, run: str) -> bool:
    """Raises: ConfigError where OUTPUT is there and of another run: it is not replaced."""
    if not output.exists():
        return False
    if run_of(output) != run:
        raise ConfigError(f"{output}: is there already, of other photos or options; choose another name or delete it.")
    return True


class Missing:
    """The chunks whose parts are not there yet; counts all chunks, and the photos of those that are there."""

    def __init__(self, chunks: Iterator[Chunk], folder: Path, run: str) -> None:
        self.chunks, self.folder, self.run = chunks, folder, run
        self.number = self.photos_before = 0

    def __iter__(self) -> Iterator[Chunk]:
        for chunk in self.chunks:
            self.number += 1
            if is_done(self.folder, self.run, chunk):
                self.photos_before += len(chunk.photos)
            else:
                yield chunk


def work(settings: BatchSettings, local: LocalConfig, inputs: list[str], folder: Path, run: str) -> int:
    """Do all chunks that are not done; the number of all."""

    def photos() -> Iterator[Photo]:
        return islice(photos_of(inputs), settings.limit)

    missing = Missing(chunks_of(photos(), settings.chunk), folder, run)
    faces = failed = new = 0
    started = time.monotonic()
    with tqdm(total=sum(1 for _ in photos()), unit=" photos", desc=settings.task, smoothing=0.05) as bar:
        for done in run_engine(settings, local, folder, run, iter(missing)):
            new, faces, failed = new + done.photos, faces + done.faces, failed + done.failed
            bar.set_postfix(faces=faces, failed=failed, refresh=False)
            skipped = missing.photos_before - bar.initial  # counts in the bar, not in its rate
            bar.initial, bar.n = bar.initial + skipped, bar.n + skipped
            bar.update(done.photos)
    seconds = max(time.monotonic() - started, 1e-9)
    before = f", {missing.photos_before:,} were done before" if missing.photos_before else ""
    console().info(f"{new:,} photos in {seconds:.1f} s, {new / seconds:.1f} photos/s{before}.")
    return missing.number


def run_engine(
    settings: BatchSettings, local: LocalConfig, folder: Path, run: str, chunks: Iterator[Chunk]
) -> Iterator[Done]:
    """The chunks' results by the engine that the settings choose."""
    shared = {f.name for f in dataclasses.fields(PredictorSpec)} & {f.name for f in dataclasses.fields(settings)}
    predictor = PredictorSpec(**{name: getattr(settings, name) for name in shared}, config=local.file)
    threads = max(1, torch.get_num_threads() // max(1, settings.workers))
    spec = WorkerSpec(predictor, settings.batch_size, threads, folder.resolve(), run)
    engine = choose_engine(settings.engine)
    if engine == "ray":
        return run_ray(spec, chunks, max(1, settings.workers))
    if not settings.workers:
        return run_here(spec, chunks)
    return run_processes(spec, chunks, settings.workers)


def report(output: Path, totals: Totals) -> None:
    """The last line."""
    console().info(
        f"wrote {output}: {totals.faces:,} faces of {totals.photos:,} photos; {totals.failed:,} photos without a face"
        " say why in column 'error'."
    )
