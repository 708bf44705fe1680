"""Label packed crops with landmark networks: python -m landmarks.pseudo_labels MODEL… --packed FOLDER… --out FOLDER

Every model sees every crop several times, turned, moved, scaled and mirrored; the label is the mean, weighted by what
models say of their own accuracy, and a point's weight falls with the spread of the answers. Crops whose points disagree
are dropped. The packed crops that come out hold the same pictures, so they may be mixed with annotated ones in a
training, never in a test.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.checkpoint import resolve_snapshot
from common.config import read_local_config
from common.logs import console
from common.runtime import choose_device
from common.scripts import exits_with_user_errors
from datasets.augment import Level, hash_uniform, inverse_matrices, sample_matrices, transform_points, warp
from datasets.loader import FaceSet
from datasets.packing import PackedDataset, replace_landmarks
from datasets.resident import ResidentFaces
from landmarks.net_models import LoadedNet, load_net
from networks.blocks import PIXEL_MEAN

VIEWS = 8  # of every crop and model
VIEW = Level(12, 0.03, (0.86, 1.1), isotropic=True)
SPREAD = 0.02  # of the answers, in crop sides, at which a point's weight has fallen to a half
BATCH = 256


@torch.inference_mode()
def label(models: list[LoadedNet], faces: ResidentFaces) -> tuple[Tensor, Tensor]:
    """Landmarks (N, K, 2) in padded-crop px and their spread (N, K) in inner crop sides."""
    points, spreads = [], []
    rows = torch.arange(len(faces), device=faces.images.device)
    for part in tqdm(rows.split(BATCH), desc="labelling"):
        answers = [
            _answers(model, faces.images[faces.places[part]], part, view) for model in models for view in range(VIEWS)
        ]
        found, weights = torch.stack([a for a, _ in answers]), torch.stack([w for _, w in answers])
        mean = (found * weights[..., None]).sum(0) / weights.sum(0)[..., None]
        spread = ((found - mean).square().sum(-1) * weights).sum(0) / weights.sum(0)
        points.append(mean)
        spreads.append(spread.sqrt() / models[0].networks.config.input_size)
    return torch.cat(points), torch.cat(spreads)


def _answers(model: LoadedNet, images: Tensor, rows: Tensor, view: int) -> tuple[Tensor, Tensor]:
    """Landmarks of one view (B, K, 2) back in padded px, with weights 1/b² (B, K)."""
    size, resolution = model.networks.config.input_size, images.shape[-1]
    uniform = hash_uniform(0, view, rows, 21, 6)
    flip = torch.full((len(images),), view % 2 == 1, device=images.device)
    matrices = sample_matrices(VIEW, uniform, resolution, size, flip)
    crops = warp(images, matrices, size) / 255 - torch.tensor(PIXEL_MEAN, device=images.device)[:, None, None]
    joint = model.networks(crops.contiguous(memory_format=torch.channels_last)).joint
    points = transform_points(inverse_matrices(matrices), (joint.points + 1) * (size / 2))
    weights = (-2 * joint.log_scales).exp()
    if view % 2:
        permutation = torch.as_tensor(model.scheme.flip_permutation, device=images.device)
        points, weights = points[:, permutation], weights[:, permutation]
    return points, weights


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="sessions, paths or bundled names")
    parser.add_argument("--packed", nargs="+", type=Path, required=True, help="folders of packed crops without labels")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder that gets one folder of labelled crops for each"
    )
    parser.add_argument(
        "--max-spread", type=float, default=0.03, help="mean spread in crop sides that drops a crop [0.03]"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps [auto]")
    parser.add_argument("--config", type=Path, default=None, metavar="FILE", help="ini file [local_config.ini]")
    options = parser.parse_args(arguments)
    snapshots, device = read_local_config(options.config).snapshots, choose_device(options.device)
    models = [load_net(resolve_snapshot(name, snapshots)) for name in options.models]
    for model in models:
        model.networks.to(device, memory_format=torch.channels_last)
    for folder in options.packed:
        write(models, PackedDataset(folder), options.out / folder.name, options.max_spread, device)
    return 0


def write(models: list[LoadedNet], packed: PackedDataset, out: Path, max_spread: float, device: torch.device) -> None:
    """Label one folder. Raises: DataError where out is there already."""
    points, spread = (
        t.cpu().numpy() for t in label(models, ResidentFaces(FaceSet([packed], with_landmarks=False), device))
    )
    kept = np.flatnonzero(spread.mean(1) <= max_spread)
    weights = 1 / (1 + (spread / SPREAD) ** 2)
    replace_landmarks(packed, out, kept, points, weights)
    mean = 100 * spread[kept].mean() if len(kept) else float("nan")
    console().info(f"{out}: {len(kept)} of {len(packed)} crops, mean spread {mean:.2f} % of the crop's side")


if __name__ == "__main__":
    sys.exit(main())
