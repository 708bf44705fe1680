"""One worker of a batch run: it holds a predictor, takes chunks of photos and writes their parts of the table."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from batch.predictors import TASKS, Predictor, PredictorSpec
from batch.sources import Chunk, Photo
from batch.table import Result, rows_of, write_part
from common.config import read_local_config
from common.errors import DataError
from common.files.images import read_image

NO_FACE = "no face found"


@dataclass(frozen=True)
class WorkerSpec:
    """What workers are told: the predictor, photos that go through it at once, threads, where parts go, what run."""

    predictor: PredictorSpec
    batch_size: int
    threads: int
    folder: Path
    run: str


class Done(NamedTuple):
    """What a chunk gave."""

    number: int
    photos: int
    faces: int
    failed: int


class Worker:
    """Made once per process. Raises: UserError as the predictor's loader does."""

    def __init__(self, spec: WorkerSpec, set_threads: bool = True) -> None:
        """set_threads: False leaves PyTorch's and OpenCV's threads of this process as they are."""
        if set_threads:
            torch.set_num_threads(spec.threads)
            cv2.setNumThreads(spec.threads)
        self.spec = spec
        given = spec.predictor
        self.predictor = TASKS[given.task](given, read_local_config(given.config))

    def __call__(self, chunk: Chunk) -> Done:
        """Write the chunk's part. Raises: OSError where it cannot be written."""
        faces = failed = 0
        rows: list[dict] = []
        for result in results_of(chunk.photos, self.predictor, self.spec.batch_size):
            faces, failed = faces + len(result.faces), failed + (result.error is not None)
            rows += rows_of(result)
        write_part(self.spec.folder, self.spec.run, chunk, rows)
        return Done(chunk.number, len(chunk.photos), faces, failed)


def results_of(photos: list[Photo], predictor: Predictor, batch_size: int) -> Iterator[Result]:
    """What becomes of each photo, in order; the next batch is read while one is predicted."""
    batches = [photos[i : i + batch_size] for i in range(0, len(photos), batch_size)]
    with ThreadPoolExecutor(1) as pool:
        ahead: Future | None = None
        for number, batch in enumerate(batches):
            images = ahead.result() if ahead is not None else _read(batch)
            ahead = pool.submit(_read, batches[number + 1]) if number + 1 < len(batches) else None
            yield from _predicted(batch, images, predictor)


def _read(batch: list[Photo]) -> list[np.ndarray | str]:
    """The photos, or why they cannot be read."""
    images: list[np.ndarray | str] = []
    for photo in batch:
        try:
            images.append(read_image(Path(photo.path), photo.span))
        except (DataError, OSError) as error:
            images.append(str(error).removeprefix(f"{photo.path}: "))
    return images


def _predicted(batch: list[Photo], images: list[np.ndarray | str], predictor: Predictor) -> Iterator[Result]:
    good = [image for image in images if not isinstance(image, str)]
    found = iter(_try_together(good, predictor))
    for photo, image in zip(batch, images, strict=True):
        if isinstance(image, str):
            yield Result(photo.name, None, [], image)
            continue
        faces = next(found)
        error = faces if isinstance(faces, str) else None if faces else NO_FACE
        yield Result(photo.name, image.shape[:2], [] if error else faces, error)


def _try_together(images: list[np.ndarray], predictor: Predictor) -> list:
    """The faces of each photo, or why there are none; one bad photo does not cost those beside it."""
    if not images:
        return []
    try:
        return predictor.predict_batch(images)
    except Exception as error:  # noqa: BLE001  among millions of photos one may bring out anything, which is its row
        if len(images) == 1:
            reason = (str(error) or "no message").splitlines()[0][:300]
            return [reason if isinstance(error, DataError) else f"{type(error).__name__}: {reason}"]
    return [_try_together([image], predictor)[0] for image in images]
