"""Turn a training snapshot into a bundled model: python -m landmarks.bundle SESSION FOLDER [--readout coords]"""

import argparse
import dataclasses
import sys
from pathlib import Path

from landmarks.models import load_model, save_for_inference
from networks.aae import READOUTS
from training.config import ConfigError, read_local_config


def main(arguments: list[str] | None = None) -> int:
    """Write fp16 weights without discriminators; exit code 2 with one sentence when the session cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", help="session, session/epoch or path")
    parser.add_argument("folder", type=Path, help="where the bundled model goes")
    parser.add_argument("--readout", choices=READOUTS, default="heatmaps")
    parser.add_argument("--config", type=Path, default=None)
    options = parser.parse_args(arguments)
    try:
        model = load_model(options.session, read_local_config(options.config).snapshots)
        if options.readout != "heatmaps" and not model.networks.config.coords_head:
            raise ConfigError(f"--readout {options.readout}: {options.session} has no coordinate read-out; use heatmaps.")
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    model.networks.config = dataclasses.replace(model.networks.config, readout=options.readout)
    save_for_inference(model, options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
