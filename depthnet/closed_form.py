"""Make a depth model without training or depth labels: python -m depthnet.closed_form DATASET FOLDER

DATASET is a key of a folder in 3DFAW's layout; only the 2D keypoints of its training faces are used. The result is
loaded like any other: `load_model("spectral_depth")`, `demo.py --task depth --depth-model FOLDER`.
"""

import argparse
import sys
from pathlib import Path

import torch

from common.config import LocalConfig
from common.scripts import run_bundler
from datasets.readers.threedfaw import load_split
from depthnet.lifting import layout_of
from depthnet.models import LoadedDepthNet, model_config, save_for_inference
from networks.depthnet import DepthNet, DepthNetConfig


def closed_form_model(points: torch.Tensor, dataset: str) -> LoadedDepthNet:
    """The spectral base alone. Args: points (N, 66, 2) of faces; dataset: their name."""
    networks = DepthNet(DepthNetConfig(source_only=True, base="spectral", trunk=False))
    networks.g.base.set_faces(points)
    config = model_config(networks, dataset=dataset, layout=layout_of(points.double().numpy()))
    return LoadedDepthNet(networks.eval(), "depthnet", config, Path(dataset))


def save(options: argparse.Namespace, local: LocalConfig) -> None:
    """Write the model. Raises: ConfigError, DataError when the faces cannot be used."""
    key = options.session
    faces = load_split(local.dataset(key), local.cache(key) / key, "train")
    save_for_inference(closed_form_model(torch.from_numpy(faces.points), key), options.folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_bundler(save, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
