"""Turn a training snapshot into a bundled model: python -m depthnet.bundle SESSION FOLDER [--run 0] [--dataset KEY]"""

import argparse
import sys
from pathlib import Path

from datasets.errors import DataError
from datasets.threedfaw import load_split
from depthnet.lifting import calibrate
from depthnet.models import load_model, save_for_inference
from training.config import ConfigError, read_local_config

CALIBRATION_FACES = 1000


def main(arguments: list[str] | None = None) -> int:
    """Write fp16 weights of one run without critic; exit code 2 with one sentence when the session cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", help="session, session/epoch or path")
    parser.add_argument("folder", type=Path, help="where the bundled model goes")
    parser.add_argument("--run", type=int, default=0, help="which of the runs that were trained side by side [0]")
    parser.add_argument("--dataset", default=None, help="bring depths to the scale of these training faces [none]")
    parser.add_argument("--config", type=Path, default=None)
    options = parser.parse_args(arguments)
    try:
        local = read_local_config(options.config)
        save_for_inference(load_model(options.session, local.snapshots), options.folder, options.run)
        if options.dataset is not None:
            cache = local.cache(options.dataset) / options.dataset
            faces = load_split(local.dataset(options.dataset), cache, "train")
            single = load_model(str(options.folder), local.snapshots)
            factor = calibrate(single, faces.points[:CALIBRATION_FACES], faces.depth[:CALIBRATION_FACES])
            single.config["depth_scale"] = round(factor, 4)
            save_for_inference(single, options.folder)
    except (ConfigError, DataError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
