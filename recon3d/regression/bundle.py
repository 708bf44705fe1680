"""Turn a training snapshot into a bundled regressor: python -m recon3d.regression.bundle SESSION FOLDER"""

import argparse
import sys

from common.config import LocalConfig
from common.scripts import run_bundler
from recon3d.regression.models import load_regressor, save_for_inference


def save(options: argparse.Namespace, local: LocalConfig) -> None:
    """Write fp16 weights. Raises: ConfigError when the session cannot be used."""
    save_for_inference(load_regressor(options.session, local.snapshots), options.folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_bundler(save, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
