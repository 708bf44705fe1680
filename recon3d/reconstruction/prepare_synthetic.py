"""Rendered faces prepared for 3D reconstruction: aligned crops, landmarks, skin, and the shape that each was made from.

    python -m recon3d.reconstruction.prepare_synthetic data/prepared/synthetic --count 5000

Faces come from the dataset `synthetic` in --root, where they are rendered on first use. The folder is read like one of
recon3d.reconstruction.prepare; what was written before is kept, so a killed run goes on.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files.images import read_image
from common.scripts import exits_with_user_errors
from datasets.alignment import align, five_of_68
from datasets.readers.prepared import PreparedSample, write_tf, write_truth
from datasets.skin_probability import skin_mask
from datasets.synthetic.faces import BATCH, FACES, render_split
from morphable.model import EMBEDDED_HEAD, FaceModel


def write_faces(root: Path, out: Path, count: int, split: str = "train") -> int:
    """Prepare the first faces of a split of the dataset `synthetic`; how many of them could be used.

    Profiles whose eyes or mouth corners change sides cannot be aligned by five points. Raises: DataError for more faces
    than the split has.
    """
    if not 0 < count <= FACES[split]:
        raise DataError(f"--count {count}: the split {split} has 1..{FACES[split]} faces.")
    render_split(root, split)
    reference = FaceModel.load(EMBEDDED_HEAD).five_points.double().numpy()
    left_out = 0
    for first in tqdm(range(0, count, BATCH), desc="preparing"):
        folder = root / split / f"{first // BATCH:04d}"
        with np.load(folder.with_suffix(".npz")) as truth:
            landmarks, identity, expression = (truth[key] for key in ("landmarks_2d", "identity", "expression"))
        for i in range(min(BATCH, count - first)):
            name = f"{folder.name}_{i:02d}"
            if (out / f"{name}.png").is_file():
                continue
            try:
                alignment = align(five_of_68(landmarks[i].astype(np.float64)), reference, name)
            except DataError:
                left_out += 1
                continue
            image = read_image(folder / f"{i:02d}.jpg")
            crop = alignment.crop()
            cut = crop.extract(image)
            write_truth(out, name, identity[i], expression[i])
            sample = PreparedSample(cut, crop.apply(landmarks[i]), skin_mask(cut))
            write_tf(out, name, sample, alignment.trans_params(image.shape[1::-1]))
    return count - left_out


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--root", type=Path, default=Path("data/synthetic"), help="of the dataset synthetic [data/synthetic]"
    )
    parser.add_argument("--count", type=int, default=FACES["train"])
    parser.add_argument("--split", choices=sorted(FACES), default="train")
    options = parser.parse_args(arguments)
    done = write_faces(options.root, options.out, options.count, options.split)
    sys.stdout.write(f"{done} faces in {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
