"""Rendered faces as a dataset, and in the layout of any other one: training and tests on a machine without licensed
data.

    python -m datasets.synthetic.faces OUT --dataset w300 wflw --count 200    # write datasets' own layouts
    python train_aae_landmarks.py --dataset synthetic …  # rendered on first use, kept in [Paths] synthetic

Each batch of faces is one folder of JPEG photos with one npz of truth; a killed rendering goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files.atomic import replacing
from common.scripts import exits_with_user_errors
from datasets.sample import Annotation, FaceDataset
from datasets.synthetic.backgrounds import PhotoBackgrounds
from datasets.synthetic.layouts import WRITERS, LabelledFace, write_layout
from datasets.synthetic.rendered import SyntheticBatch, SyntheticFaces, SyntheticSettings
from geometry.schemes import IBUG_68
from morphable.model import EMBEDDED_HEAD, FaceModel

BATCH, JPEG_QUALITY = 50, 92
FACES = {"train": 5000, "test": 500}
SEEDS = {"train": 0, "test": 1}
PHOTO_PX = 192
TRUTH = ("landmarks_2d", "identity", "expression", "rotation", "angles_deg", "scale", "translation", "gamma")


def embedded_faces(size_px: int = PHOTO_PX, seed: int = 0, backgrounds: Path | None = None) -> SyntheticFaces:
    """The stream of the embedded head; backgrounds: folder of photos behind it. Raises: DataError for one without
    any.
    """
    behind = None if backgrounds is None else PhotoBackgrounds(backgrounds)
    return SyntheticFaces(FaceModel.load(EMBEDDED_HEAD), SyntheticSettings(size_px=size_px), seed, backgrounds=behind)


def labelled(batch: SyntheticBatch) -> list[LabelledFace]:
    """The faces of a batch as layouts need them, jaw points as 300-W marks them."""
    faces = []
    for i in range(len(batch)):
        points = batch.landmarks["ibug68"][i].clone()
        points[:, :2] = batch.landmarks_2d[i]
        flat = points.numpy()
        box = np.concatenate([flat[:, :2].min(0), flat[:, :2].max(0)])
        faces.append(LabelledFace(batch.images[i].numpy(), flat, batch.landmarks["wflw98"][i, :, :2].numpy(), box))
    return faces


def write_dataset(
    name: str, root: Path, count: int = 6, seed: int = 0, backgrounds: Path | None = None
) -> list[LabelledFace]:
    """Render faces and write them in a dataset's layout; returns them. Raises: DataError for an unknown dataset."""
    if name not in WRITERS:
        raise DataError(f"unknown dataset '{name}'; choose one of: {', '.join(WRITERS)}.")
    if count < 1:
        raise DataError(f"--count {count}: ask for at least one face.")
    stream = embedded_faces(seed=seed, backgrounds=backgrounds)
    sizes = [min(BATCH, count - first) for first in range(0, count, BATCH)]
    faces = []
    for index, size in enumerate(tqdm(sizes, desc=name, disable=count <= BATCH)):
        faces += labelled(stream.batch(index, size))
    write_layout(name, root, faces)
    return faces


def render_split(root: Path, split: str) -> None:
    """Render what is missing of a split below root, batch by batch."""
    indices = range(FACES[split] // BATCH)
    missing = [i for i in indices if not (root / split / f"{i:04d}.npz").exists()]
    stream = embedded_faces(seed=SEEDS[split]) if missing else None
    for index in tqdm(missing, desc=f"rendering synthetic {split}", disable=not missing):
        batch = stream.batch(index, BATCH)
        folder = root / split / f"{index:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(batch.images.numpy()):
            cv2.imwrite(str(folder / f"{i:02d}.jpg"), image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
        truth = {name: getattr(batch, name).numpy() for name in TRUTH}
        for scheme, points in batch.landmarks.items():
            truth |= {f"landmarks_{scheme}": points.numpy(), f"visibility_{scheme}": batch.visibility[scheme].numpy()}
        with replacing(folder.with_suffix(".npz"), keep_suffix=True) as temporary:
            np.savez(temporary, **truth)


class Synthetic(FaceDataset):
    """Rendered faces with the 68 points as 300-W marks them: jaw points of the far side on the silhouette."""

    name = "synthetic"
    title = "Synthetic faces"
    source = "nowhere: they are rendered on first use"
    splits = ("train", "test")
    scheme = IBUG_68

    def __init__(self, root: Path, *arguments, **options) -> None:
        Path(root).mkdir(parents=True, exist_ok=True)
        super().__init__(root, *arguments, **options)

    def read_annotations(self) -> list[Annotation]:
        render_split(self.root, self.split)
        annotations = []
        for index in range(FACES[self.split] // BATCH):
            with np.load(self.root / self.split / f"{index:04d}.npz") as truth:
                points, angles = self._landmarks(truth).astype(np.float32), truth["angles_deg"]
            for i, (face, angle) in enumerate(zip(points, angles, strict=True)):
                name = f"{self.split}/{index:04d}/{i:02d}.jpg"
                annotations.append(Annotation(self.root / name, name, face, labels={"yaw": float(angle[1])}))
        return annotations

    def _landmarks(self, truth: np.lib.npyio.NpzFile) -> np.ndarray:
        return truth["landmarks_2d"]


class Synthetic3D(Synthetic):
    """The same faces with the 68 points fixed to the skin, in space."""

    name = "synthetic3d"
    title = "Synthetic faces in 3D"

    def _landmarks(self, truth: np.lib.npyio.NpzFile) -> np.ndarray:
        return truth["landmarks_ibug68"]


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; exit code 2 for an unknown dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dataset", nargs="+", default=["w300"], help=f"layouts: {', '.join(WRITERS)}")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backgrounds", type=Path, default=None, help="folder of photos to put behind the heads")
    options = parser.parse_args(arguments)
    for name in options.dataset:
        write_dataset(name, options.out / name, options.count, options.seed, options.backgrounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
