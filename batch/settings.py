"""Settings of a batch run: one line each, with unit and "off" value."""

from dataclasses import dataclass

from batch.engines import ENGINES
from batch.predictors import TASKS
from common.config import option
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP


@dataclass(frozen=True)
class BatchSettings:
    """python -m batch."""

    paths: list[str] = option(
        [], "INPUT … OUTPUT: folders, tar files or parquet lists of photos, then the table", positional=True
    )
    task: str = option("landmarks", "what to estimate of every face", choices=tuple(TASKS), group="run")
    model: str = option("", "bundled name, session, session/epoch or path; default: the task's", "-c", group="model")
    workers: int = option(0, "processes (Ray: actors), 0 = the plain loop in this one", "-j", group="run", minimum=0)
    engine: str = option(
        "auto", "processes, ray, or auto: ray where RAY_ADDRESS names a cluster", choices=ENGINES, group="run"
    )
    batch_size: int = option(8, "photos that go through the networks at once", "-b", group="run", minimum=1)
    chunk: int = option(
        512, "photos of one part of the table; a restart leaves finished parts alone", group="run", minimum=1
    )
    limit: int | None = option(None, "only the first photos, default all", group="data", minimum=1)
    detector: str = option(DEFAULT_DETECTOR, DETECTOR_HELP, group="run")
    flip: bool = option(False, "average landmarks with those of the mirrored crop", group="protocol")
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")
