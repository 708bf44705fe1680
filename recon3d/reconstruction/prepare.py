"""Prepare photos for weakly supervised 3D reconstruction: align, find 68 landmarks, mark skin.

    python -m recon3d.reconstruction.prepare --img_path photos --save_path processed_data  # points beside the photos
    python -m recon3d.reconstruction.prepare --images photos --landmarks points --out prepared  # own points
    python -m recon3d.reconstruction.prepare --images photos --out datasets/mine --layout pt  # the authors' layout

Points of a photo are read from <name>.txt (five or 68, 0-based), .pts or .json in --landmarks, beside the photo, or in
detections/; what is missing is detected. Photos that cannot be used are named, left out and listed in skipped.txt.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, read_image
from common.files.points import read_json_points, read_pts, read_rows
from common.pretrained import DEFAULT_LANDMARKS
from common.scripts import exits_with_user_errors
from datasets.alignment import (
    MIN_PHOTO_PX,
    align,
    check_five,
    check_inside,
    crop_of_five,
    five_of_68,
    read_reference,
)
from datasets.leaks import is_leaked_photo
from datasets.readers.prepared import LAYOUTS, PreparedSample, write_lists, write_pt, write_tf
from datasets.skin_probability import skin_mask
from landmarks.finder import LandmarkFinder
from morphable.model import EMBEDDED_HEAD, FaceModel

_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".txt": lambda path: read_rows(path) + 0.5,
    ".pts": read_pts,
    ".json": read_json_points,
}

# image, crop (4,) around the face or None → (68, 2) continuous px, or None without a face
Finder = Callable[[np.ndarray, np.ndarray | None], np.ndarray | None]


def given_points(photo: Path, folder: Path | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(five, 68) points that files give for a photo; None for what they do not. Raises: DataError for a broken file."""
    places = [folder] if folder is not None else [photo.parent, photo.parent / "detections", photo.parent / "landmarks"]
    for place in places:
        for suffix, read in _READERS.items():
            path = place / f"{photo.stem}{suffix}"
            if not path.is_file():
                continue
            points = np.asarray(read(path), dtype=np.float64)[:, :2]
            if len(points) == 68:
                return five_of_68(points), points
            return check_five(points, str(path)), None
    if folder is not None:
        raise DataError(f"{folder}: holds no {photo.stem}.txt, .pts or .json.")
    return None, None


def prepare(
    photo: Path, folder: Path | None, reference: np.ndarray, find: Finder
) -> tuple[np.ndarray, np.ndarray, np.ndarray, PreparedSample, np.ndarray]:
    """One photo → photo, five and 68 points in it, sample, trans_params. Raises: DataError for one that cannot be
    used.
    """
    image = read_image(photo)
    if min(image.shape[:2]) < MIN_PHOTO_PX:
        raise DataError(f"{photo}: {image.shape[1]}×{image.shape[0]} px; a face needs at least {MIN_PHOTO_PX} px.")
    five, landmarks = given_points(photo, folder)
    if five is not None:
        check_inside(five, image.shape[1::-1], str(photo))
    if landmarks is None:
        landmarks = find(image, None if five is None else crop_of_five(five))
        if landmarks is None:
            raise DataError(f"{photo}: no face found; give its five or 68 points with --landmarks.")
        five = five_of_68(landmarks) if five is None else five
    alignment = align(five, reference, str(photo))
    crop = alignment.crop()
    cut = crop.extract(image)
    mask = skin_mask(cut)
    if not (mask > 25).any():
        raise DataError(
            f"{photo}: nothing in the crop has the colour of skin, so it cannot teach colours; check the points."
        )
    sample = PreparedSample(cut, crop.apply(landmarks), mask)
    return image, five, landmarks, sample, alignment.trans_params(image.shape[1::-1])


def own_detector(model: str, device: str) -> Finder:
    """This codebase's landmark network, loaded when it is first needed."""
    finder = LandmarkFinder(model, device=device)

    def find(image: np.ndarray, crop: np.ndarray | None) -> np.ndarray | None:
        faces = finder(image, crops=None if crop is None else [crop])
        return None if not faces else np.asarray(faces[0].landmarks[:, :2], dtype=np.float64)

    return find


def reference_points(source: str) -> np.ndarray:
    """(5, 3) dm of `head`, a face model file of ours (.safetensors) or similarity_Lm3D_all.mat. Raises: DataError."""
    if source.endswith(".mat"):
        return read_reference(Path(source))
    return FaceModel.load(EMBEDDED_HEAD if source == "head" else Path(source)).five_points.double().numpy()


def run(options: argparse.Namespace) -> int:
    """Prepare all photos; how many. Raises: DataError when none could be used."""
    if not options.images.is_dir():
        raise DataError(f"--images {options.images}: no such folder.")
    if options.landmarks is not None and not options.landmarks.is_dir():
        raise DataError(f"--landmarks {options.landmarks}: no such folder.")
    found = (p for p in options.images.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    photos = sorted(p for p in found if not is_leaked_photo(p))  # test photos that recur among training photos
    if not photos:
        raise DataError(f"--images {options.images}: holds no photos ({', '.join(IMAGE_SUFFIXES)}).")
    if options.out.resolve() == options.images.resolve():
        raise DataError(f"--out {options.out}: is the folder of the photos; choose another.")
    stems = [p.stem for p in photos]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise DataError(f"{options.images}: two photos are called {twice}; results would overwrite each other.")
    reference, find = reference_points(options.reference), own_detector(options.model, options.device)
    skipped, done = [], 0
    for photo in tqdm(photos, desc="preparing"):
        if options.layout == "tf" and (options.out / f"{photo.stem}.png").is_file() and not options.again:
            done += 1
            continue
        try:
            image, five, landmarks, sample, trans = prepare(photo, options.landmarks, reference, find)
        except DataError as error:
            skipped.append(str(error))
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            continue
        if options.layout == "tf":
            write_tf(options.out, photo.stem, sample, trans)
        else:
            write_pt(options.out, photo.stem, image, five, landmarks, skin_mask(image))
        done += 1
    if not done:
        raise DataError(
            f"{options.images}: none of {len(photos)} photos could be used, the first because: {skipped[0]}"
        )
    if options.layout == "pt":
        write_lists(options.out, options.split)
    if skipped:
        (options.out / "skipped.txt").write_text("\n".join(skipped) + "\n")
    return done


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", "--img_path", type=Path, default=Path("input"), help="folder of photos [input]")
    parser.add_argument("--out", "--save_path", type=Path, default=Path("processed_data"), help="[processed_data]")
    parser.add_argument(
        "--landmarks", type=Path, default=None, help="folder of points; default: beside photos, else detected"
    )
    parser.add_argument(
        "--reference", default="head", help="five points: head, a model .safetensors, similarity_Lm3D_all.mat"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="tf", help="tf (also GCN_ResNet's): crops; pt: photos and lists"
    )
    parser.add_argument("--split", default="train", help="name of the lists of --layout pt")
    parser.add_argument("--model", default=DEFAULT_LANDMARKS, help="landmark model: bundled name, session or path")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--again", action="store_true", help="also photos that were prepared before")
    options = parser.parse_args(arguments)
    done = run(options)
    sys.stdout.write(f"{done} photos in {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
