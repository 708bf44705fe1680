"""Pack a dataset's crops ahead of training (which otherwise does it on first use).

    python -m datasets.commands.prepare w300 --from data/300w --split train --crop-source lm_ground_truth

Writes shards of JPEG crops and one index to --out, the place where training looks for them.
"""

import argparse
import sys
from pathlib import Path

from common.scripts import exits_with_user_errors
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP
from datasets.detection.first_faces import FirstFaces
from datasets.packing import pack
from datasets.registry import DATASETS, build_dataset
from datasets.sample import CROP_SOURCES, FaceDataset


def add_dataset_options(parser: argparse.ArgumentParser, known: tuple[str, ...]) -> None:
    """The options that say which crops of which dataset."""
    parser.add_argument("dataset", choices=known)
    parser.add_argument("--from", dest="source", type=Path, required=True, help="the dataset's folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("-i", "--input-size", type=int, default=256, choices=(128, 256, 512))
    parser.add_argument("--crop-source", default="bb_ground_truth", choices=CROP_SOURCES)
    parser.add_argument("--align", action="store_true")
    parser.add_argument("--scheme", default=None, help="of `folder` data: a name or a .json file")
    parser.add_argument(
        "--detector", default=DEFAULT_DETECTOR, help=f"of `folder` photos without points: {DETECTOR_HELP} [yunet]"
    )


def open_chosen(options: argparse.Namespace, kept: Path) -> FaceDataset:
    """The dataset that `add_dataset_options` names; kept: folder for what a detector finds."""
    faces = None if options.detector == "none" else FirstFaces(options.detector, kept)
    return build_dataset(
        options.dataset,
        options.source,
        options.split,
        options.input_size,
        options.crop_source,
        options.align,
        options.scheme,
        faces,
    )


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_dataset_options(parser, tuple(DATASETS))
    parser.add_argument("--out", type=Path, default=Path("data/packed"), help="<dataset>_local of local_config.ini")
    options = parser.parse_args(arguments)
    dataset = open_chosen(options, options.out / "faces")
    sys.stdout.write(f"{dataset}\n")
    packed = pack(dataset, options.out)
    sys.stdout.write(f"{len(packed)} crops of {packed.resolution} px in {packed.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
