"""Turn a training snapshot into a bundled model: python -m depthnet.bundle SESSION FOLDER [--run 0]"""

import argparse
import sys
from pathlib import Path

from depthnet.models import load_model, save_for_inference
from training.config import ConfigError, read_local_config


def main(arguments: list[str] | None = None) -> int:
    """Write fp16 weights of one run without critic; exit code 2 with one sentence when the session cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", help="session, session/epoch or path")
    parser.add_argument("folder", type=Path, help="where the bundled model goes")
    parser.add_argument("--run", type=int, default=0, help="which of the runs that were trained side by side [0]")
    parser.add_argument("--config", type=Path, default=None)
    options = parser.parse_args(arguments)
    try:
        model = load_model(options.session, read_local_config(options.config).snapshots)
        save_for_inference(model, options.folder, options.run)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
