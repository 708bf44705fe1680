"""What runs the workers: this process, processes of this machine, or Ray's actors on any number of machines."""

import importlib.util
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from batch.sources import Chunk
from batch.worker import Done, Worker, WorkerSpec
from common.errors import ConfigError, DataError

ENGINES = ("auto", "processes", "ray")
WAITING = 2  # chunks for each worker that lie ready, so that none waits


def choose_engine(name: str) -> str:
    """`auto`: Ray where it is installed and RAY_ADDRESS names a cluster, else processes, which start faster.

    Raises: ConfigError for ray where it is not installed.
    """
    installed = importlib.util.find_spec("ray") is not None
    if name == "ray" and not installed:
        raise ConfigError("--engine ray needs Ray; pip install 'ray[data]', or leave --engine out.")
    if name == "auto":
        return "ray" if installed and os.environ.get("RAY_ADDRESS") else "processes"
    return name


def run_here(spec: WorkerSpec, chunks: Iterator[Chunk]) -> Iterator[Done]:
    """The plain loop."""
    worker = Worker(spec, set_threads=False)
    for chunk in chunks:
        yield worker(chunk)


def run_processes(spec: WorkerSpec, chunks: Iterator[Chunk], workers: int) -> Iterator[Done]:
    """Fresh processes, each with its own predictor. Raises: DataError when one of them dies."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit PyTorch's threads half-way
    with ProcessPoolExecutor(workers, context, _start, (spec,)) as pool:
        waiting = set()
        try:
            for chunk in chunks:
                waiting.add(pool.submit(_work, chunk))
                if len(waiting) >= workers * WAITING:
                    ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in ended)
            while waiting:
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ended)
        except BrokenProcessPool:
            raise DataError(
                "a worker ended without a word, most likely for want of memory; run the same command again, which goes"
                " on, with fewer --workers or a smaller --batch-size."
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_worker: Worker | None = None  # of this process


def _start(spec: WorkerSpec) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(spec)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)  # a killed parent tells nobody, and the queue would be waited for without end


def _work(chunk: Chunk) -> Done:
    return _worker(chunk)


class RayWorker:
    """A `Worker` whose chunks are rows of a Ray dataset."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.worker = Worker(spec)

    def __call__(self, row: dict) -> dict:
        """{number, photos} → `Done` as a row."""
        return self.worker(row["item"])._asdict()


def run_ray(spec: WorkerSpec, chunks: Iterator[Chunk], workers: int) -> Iterator[Done]:
    """Ray Data's actors, on the cluster of RAY_ADDRESS or on this machine; with --device cuda a GPU for each.

    The folder of the parts must be the same on all machines.
    """
    import ray

    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    waiting = list(chunks)
    gpu = spec.predictor.device == "cuda"
    data = ray.data.from_items([{"item": chunk} for chunk in waiting], override_num_blocks=max(1, len(waiting)))
    done = data.map(
        RayWorker,
        fn_constructor_args=(spec,),
        concurrency=workers,
        num_gpus=1 if gpu else None,
        num_cpus=None if gpu else 1,
    )
    for row in done.iter_rows():
        yield Done(**row)
