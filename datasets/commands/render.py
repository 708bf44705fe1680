"""Render faces with exact landmarks straight into packed crops, on all cores.

    python -m datasets.commands.render data/packed/rendered --count 40000 --processes 16

The jaw is marked as 300-W marks it (on the silhouette) on frontal faces and where it is on the skull on profiles, with
a gradual change between 35° and 60° of yaw, as the annotations of large-pose sets have it. The same seed gives the same
faces.
"""

import argparse
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.logs import console
from common.scripts import exits_with_user_errors
from datasets.crop import crop_from_box
from datasets.packing import PackedDataset, write_packed
from datasets.sample import Sample, landmark_box
from datasets.synthetic.backgrounds import PhotoBackgrounds
from datasets.synthetic.rendered import SyntheticBatch, SyntheticFaces, SyntheticSettings
from morphable.model import EMBEDDED_HEAD, FaceModel

BATCH = 50
SIZE_PX, FACE_SHARE = 224, (0.36, 0.48)  # leaves the margin that packed crops have
SILHOUETTE_DEG, SKULL_DEG = 35.0, 60.0
EXTEND_TOP, EXTEND_BOTTOM = 0.20, 0.12  # of 300-W's crops

_stream: SyntheticFaces | None = None


def marked(batch: SyntheticBatch) -> torch.Tensor:
    """(B, 68, 2) px: on the silhouette for frontal faces, on the skull for profiles."""
    share = ((batch.angles_deg[:, 1].abs() - SILHOUETTE_DEG) / (SKULL_DEG - SILHOUETTE_DEG)).clamp(0, 1)[:, None, None]
    return torch.lerp(batch.landmarks_2d, batch.landmarks["ibug68"][..., :2], share)


def samples(batch: SyntheticBatch, index: int, size: int) -> list[Sample]:
    """The faces of a batch as crops of that inner side in px."""
    points = marked(batch).numpy()
    cut = []
    for i, image in enumerate(batch.images.numpy()):
        crop = crop_from_box(landmark_box(points[i]), size, image.shape, EXTEND_TOP, EXTEND_BOTTOM, padded=True)
        landmarks = crop.apply(points[i]).astype(np.float32)
        cut.append(Sample(crop.extract(image), crop, landmarks, np.ones(68, np.float32), f"{index:05d}/{i:02d}", {}))
    return cut


def _start(seed: int, backgrounds: Path | None) -> None:
    global _stream
    torch.set_num_threads(1)
    settings = SyntheticSettings(size_px=SIZE_PX, face_share=FACE_SHARE)
    behind = None if backgrounds is None else PhotoBackgrounds(backgrounds)
    _stream = SyntheticFaces(FaceModel.load(EMBEDDED_HEAD), settings, seed, backgrounds=behind)


def _render(job: tuple[int, int, int]) -> list[Sample]:
    index, count, size = job
    return samples(_stream.batch(index, count), index, size)


def render(
    folder: Path, count: int, size: int, seed: int, processes: int, backgrounds: Path | None = None
) -> PackedDataset:
    """Write that many faces as packed crops, photos of a folder behind them or drawn backgrounds.

    Raises: DataError where the folder cannot be written or is there already, and for a folder without photos.
    """
    if backgrounds is not None:
        PhotoBackgrounds(backgrounds)  # says what is wrong here, not in every process
    jobs = [(index, min(BATCH, count - first), size) for index, first in enumerate(range(0, count, BATCH))]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _start, (seed, backgrounds)) as pool:
        batches = tqdm(pool.imap(_render, jobs), total=len(jobs), desc="rendering")
        return write_packed(folder, (sample for batch in batches for sample in batch), size)


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the packed crops go")
    parser.add_argument("--count", type=int, default=20000, help="faces [20000]")
    parser.add_argument("--size", type=int, default=128, help="inner side of the crops in px [128]")
    parser.add_argument("--seed", type=int, default=0, help="of the faces [0]")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count(), help="processes [all cores]")
    parser.add_argument(
        "--backgrounds", type=Path, default=None, help="folder of photos to put behind the heads [drawn]"
    )
    options = parser.parse_args(arguments)
    if min(options.count, options.size, options.processes) < 1:
        parser.error("--count, --size and --processes must be 1 or more")
    packed = render(options.folder, options.count, options.size, options.seed, options.processes, options.backgrounds)
    console().info(f"{options.folder}: {len(packed)} faces")
    return 0


if __name__ == "__main__":
    sys.exit(main())
