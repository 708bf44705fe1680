"""Turn a training snapshot into a bundled model: python -m landmarks.bundle SESSION FOLDER [--readout coords]"""

import argparse
import dataclasses
import sys

from common.config import LocalConfig
from common.errors import ConfigError
from common.scripts import run_bundler
from landmarks.models import load_model, save_for_inference
from landmarks.net_models import LoadedNet, save_net
from networks.aae import READOUTS
from networks.blocks import ACTIVATIONS

FLAGS = {
    "--readout": {"choices": READOUTS, "default": "heatmaps", "help": "what the model answers with [heatmaps]"},
    "--activation": {"choices": ACTIVATIONS, "default": None, "help": "of a saae.mdl without depth head [relu]"},
}


def save(options: argparse.Namespace, local: LocalConfig) -> None:
    """Write fp16 weights without discriminators. Raises: ConfigError when the session cannot be used."""
    model = load_model(options.session, local.snapshots, options.activation)
    if isinstance(model, LoadedNet):
        save_net(model, options.folder)
        return
    if options.readout != "heatmaps" and not model.networks.config.coords_head:
        raise ConfigError(f"--readout {options.readout}: {options.session} has no coordinate read-out; use heatmaps.")
    model.networks.config = dataclasses.replace(model.networks.config, readout=options.readout)
    save_for_inference(model, options.folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_bundler(save, __doc__, arguments, FLAGS)


if __name__ == "__main__":
    sys.exit(main())
