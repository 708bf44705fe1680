"""Turn training snapshots into a bundled reconstructor: python -m recon3d.inference.bundle SESSION FOLDER [--refiner
SESSION]

The mesh refiner goes to FOLDER_gcn, where `Reconstructor` finds it by itself.
"""

import argparse
import sys

from common.config import LocalConfig
from common.scripts import run_bundler
from recon3d.reconstruction.models import load_reconstructor, save_for_inference
from recon3d.refinement.refiner import load_refiner

FLAGS = {"--refiner": {"default": None, "help": "session of a mesh refiner that was trained behind it [none]"}}


def save(options: argparse.Namespace, local: LocalConfig) -> None:
    """Write fp16 weights. Raises: ConfigError when a session cannot be used."""
    loaded = load_reconstructor(options.session, local.snapshots)
    refiner = None if options.refiner is None else load_refiner(options.refiner, local.snapshots)
    save_for_inference(loaded, options.folder)
    if refiner is not None:
        folder = options.folder.with_name(f"{options.folder.name}_gcn")
        refiner.refiner.save(folder, half=True, describe={"inputs": refiner.info["inputs"]})


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_bundler(save, __doc__, arguments, FLAGS)


if __name__ == "__main__":
    sys.exit(main())
