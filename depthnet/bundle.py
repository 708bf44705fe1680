"""Turn a training snapshot into a bundled model: python -m depthnet.bundle SESSION FOLDER [--run 0] [--dataset KEY]"""

import argparse
import sys

from common.config import LocalConfig
from common.scripts import run_bundler
from datasets.readers.threedfaw import load_split
from depthnet.lifting import calibrate
from depthnet.models import load_model, save_for_inference

CALIBRATION_FACES = 1000
FLAGS = {
    "--run": {"type": int, "default": 0, "help": "which of the runs that were trained side by side [0]"},
    "--dataset": {"default": None, "help": "bring depths to the scale of these training faces [none]"},
}


def save(options: argparse.Namespace, local: LocalConfig) -> None:
    """Write fp16 weights of one run without critic. Raises: ConfigError, DataError when the session or data cannot be
    used.
    """
    save_for_inference(load_model(options.session, local.snapshots), options.folder, options.run)
    if options.dataset is None:
        return
    faces = load_split(local.dataset(options.dataset), local.cache(options.dataset) / options.dataset, "train")
    single = load_model(str(options.folder), local.snapshots)
    factor = calibrate(single, faces.points[:CALIBRATION_FACES], faces.depth[:CALIBRATION_FACES])
    single.config["depth_scale"] = round(factor, 4)
    save_for_inference(single, options.folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_bundler(save, __doc__, arguments, FLAGS)


if __name__ == "__main__":
    sys.exit(main())
