"""Turn a training snapshot into a bundled regressor: python -m recon3d.regression.bundle SESSION FOLDER"""

import argparse
import sys
from pathlib import Path

from recon3d.regression.models import load_regressor, save_for_inference
from training.config import ConfigError, read_local_config


def main(arguments: list[str] | None = None) -> int:
    """Write fp16 weights; exit code 2 with one sentence when the session cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", help="session, session/epoch or path")
    parser.add_argument("folder", type=Path, help="where the bundled model goes")
    parser.add_argument("--config", type=Path, default=None)
    options = parser.parse_args(arguments)
    try:
        save_for_inference(load_regressor(options.session, read_local_config(options.config).snapshots), options.folder)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
