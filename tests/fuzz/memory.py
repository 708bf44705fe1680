"""Memory and open files while thousands of photos are read, cropped, drawn on and written: both must stay flat.

    OMP_NUM_THREADS=1 python -m tests.fuzz.memory --count 10000

Every tenth photo is damaged, since what is leaked is leaked where something fails. Linux only: it reads /proc.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from common.errors import DataError
from common.files.images import read_image
from common.files.pictures import save_picture
from common.files.points import format_pts, read_pts
from datasets.crop import crop_from_box

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
PHOTOS = 20  # different ones, read in turn
MOST_GROWTH_MIB = 8


def used() -> tuple[float, int]:
    """MiB of memory and number of open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE_KIB / 1024, len(os.listdir("/proc/self/fd"))


def draw_photos(folder: Path) -> list[Path]:
    """PHOTOS photos of several sizes and kinds; each tenth is cut short."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(PHOTOS):
        path = folder / f"{number}.{('jpg', 'png')[number % 2]}"
        height, width = rng.integers(100, 400, 2)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        if number % 10 == 9:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        paths.append(path)
    return paths


def process(path: Path, out: Path) -> bool:
    """Read, crop and write one photo; False for a damaged one."""
    try:
        image = read_image(path)
    except DataError:
        return False
    crop = crop_from_box(np.array([10.0, 10, 90, 90]), 128, image.shape, padded=True)
    save_picture(out / f"{path.stem}.png", crop.extract(image))
    (out / f"{path.stem}.pts").write_text(format_pts(crop.apply(np.eye(68, 2))))
    read_pts(out / f"{path.stem}.pts", 68)
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="photos [10000]")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paths, out = draw_photos(Path(folder)), Path(folder) / "out"
        out.mkdir()
        measured, read = [], 0
        for number in range(options.count):
            if number % max(1, options.count // 10) == 0:
                measured.append(used())
            read += process(paths[number % PHOTOS], out)
        measured.append(used())
    memory, files = zip(*measured)
    sys.stdout.write(
        f"{options.count} photos, {read} read: MiB after each tenth {' '.join(f'{m:.0f}' for m in memory)};"
        f" open files {' '.join(map(str, files))}\n"
    )
    return int(memory[-1] - memory[1] > MOST_GROWTH_MIB or files[-1] > files[1])  # [0] is before anything is warm


if __name__ == "__main__":
    sys.exit(main())
