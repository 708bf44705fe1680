"""Write the crops of any dataset as tar shards of the WebDataset format, for training from disks and servers.

    python -m datasets.commands.pack w300 --from data/300w --out data/shards/w300
    python -m datasets.commands.pack packed --from data/packed/rendered --out data/shards/rendered --shard-mb 64

`packed` is a folder of crops that datasets.commands.prepare or .render wrote. Training takes the folder, or its address
on a server, in the place of a dataset's name.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from common.errors import DataError
from common.scripts import exits_with_user_errors
from datasets.commands.prepare import add_dataset_options, open_chosen
from datasets.crop import Crop
from datasets.packing import PackedDataset, readable_samples
from datasets.registry import DATASETS
from datasets.sample import Sample
from datasets.shards import write_shards
from geometry.schemes import LandmarkScheme, generic_scheme


def packed_samples(packed: PackedDataset) -> Iterator[Sample]:
    """Crops that are packed already, as samples."""
    for i in range(len(packed)):
        crop = Crop(packed.matrices[i], packed.resolution)
        image, points = packed.read_image(i), packed.landmarks[i]
        yield Sample(image, crop, points, packed.visibility[i], str(packed.names[i]), {})


def chosen_samples(options: argparse.Namespace) -> tuple[Iterator[Sample], int, LandmarkScheme | None, str]:
    """Samples, inner side of the crops, scheme of the landmarks and name of what the options name."""
    if options.dataset != "packed":
        dataset = open_chosen(options, options.out.parent / "faces")
        return readable_samples(dataset, progress=True), dataset.image_size, dataset.scheme, dataset.name
    packed = PackedDataset(options.source)
    count = packed.landmarks.shape[1]
    return packed_samples(packed), packed.image_size, generic_scheme(count) if count else None, options.source.name


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; exit code 2 with one sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_dataset_options(parser, (*DATASETS, "packed"))
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--shard-mb", type=float, default=64.0, help="most MiB of a tar file [64]")
    options = parser.parse_args(arguments)
    if not 0 < options.shard_mb <= 2**20:
        raise DataError(f"--shard-mb {options.shard_mb:g}: give a number of MiB above 0.")
    samples, image_size, scheme, name = chosen_samples(options)
    try:
        index = write_shards(options.out, samples, image_size, scheme, name, int(options.shard_mb * 2**20))
    except OSError as error:
        raise DataError(f"--out {options.out}: cannot be written ({error.strerror}).") from None
    count, size = sum(s.samples for s in index.shards), sum(s.bytes for s in index.shards)
    sys.stdout.write(f"{count} crops of {index.resolution} px in {len(index.shards)} tar files, {size / 1e6:.1f} MB.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
