"""Packed crops of the regressors as data of R-Net: aligned by their landmarks, with the shape of their fits as truth.

    python -m recon3d.reconstruction.prepare_packed data/packed/taught data/prepared/taught --count 5000

The fits must be of the face model that R-Net is trained with. Crops without landmarks, or that show no skin, are left
out; what was written before is kept, so a killed run goes on.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.scripts import exits_with_user_errors
from datasets.alignment import align, five_of_68
from datasets.readers.prepared import PreparedSample, write_tf, write_truth
from datasets.skin_probability import skin_mask
from geometry.schemes import IBUG_68
from morphable.open import load_face_model
from recon3d.regression.data import PackedCrops
from recon3d.regression.params import POSE


def write_crops(packed: PackedCrops, out: Path, count: int | None = None) -> int:
    """Prepare the crops of a packed folder, evenly spread when count is smaller; how many could be used.

    Raises: DataError for crops without 68 landmarks, or with labels of part of a face model.
    """
    model = load_face_model(packed.face_model)
    if (packed.layout.identity, packed.layout.expression) != tuple(model.sizes[:2]):
        raise DataError(f"{packed.folder}: labels hold a part of face model {model.name}; pack fits of all of it.")
    if packed.landmarks is None or packed.landmarks.shape[1] != IBUG_68.num_points:
        raise DataError(f"{packed.folder}: has no 68 landmarks to align by; pack photos with points.")
    reference = model.five_points.double().numpy()
    rows = np.flatnonzero(np.isfinite(packed.landmarks).all((1, 2)))
    rows = rows[np.linspace(0, len(rows) - 1, min(count or len(rows), len(rows))).round().astype(int)]
    done = 0
    for row in tqdm(rows, desc="preparing"):
        name = f"{packed.folder.name}_{row:06d}"
        done += (out / f"{name}.png").is_file() or _write_crop(packed, int(row), out, name, reference)
    return done


def _write_crop(packed: PackedCrops, row: int, out: Path, name: str, reference: np.ndarray) -> bool:
    """Whether it could be used."""
    landmarks = packed.landmarks[row].astype(np.float64)
    try:
        alignment = align(five_of_68(landmarks), reference, name, ordered=False)
    except DataError:
        return False
    crop = alignment.crop()
    cut = crop.extract(np.asarray(packed.read_image(row)))
    mask = skin_mask(cut)
    if not mask.any():
        return False
    coefficients = packed.parameters[row][POSE:]
    write_truth(out, name, *np.split(coefficients, [packed.layout.identity]))
    sample = PreparedSample(cut, crop.apply(landmarks), mask)
    write_tf(out, name, sample, alignment.trans_params((packed.resolution, packed.resolution)))
    return True


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", type=Path, help="folder of recon3d.regression.prepare")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=None, help="so many crops, evenly spread; default all")
    options = parser.parse_args(arguments)
    done = write_crops(PackedCrops(options.packed), options.out, options.count)
    sys.stdout.write(f"{done} faces in {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
