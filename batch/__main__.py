"""Estimate the faces of millions of photos into one parquet table.

    python -m batch folder_of_photos faces.parquet                       # landmarks
    python -m batch "shards/*.tar" faces.parquet --task mesh -j 8        # 3D landmarks, pose and parameters
    python -m batch list.parquet faces.parquet --task depth --device cuda -b 64
    RAY_ADDRESS=auto python -m batch photos faces.parquet -j 64          # Ray's actors on a cluster

One row for every face, and one with the reason for every photo without. The same command goes on where it was stopped:
finished parts wait in <OUTPUT>.parts until all are there.
"""

import sys

from batch.job import run_batch
from batch.settings import BatchSettings
from common.scripts import run_script


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, failed photos included; 2 wrong input, 130 or 143 interrupted."""
    return run_script(run_batch, BatchSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
