"""The sample pictures of the page, all free for any use.

NASA's portrait of Eileen Collins (public domain) and the photo of a cameraman (CC0) come with scikit-image; the
rendered faces of `samples/` are ours (CC0) and can be made again:

    python -m webpage.samples     # renders webpage/samples/*.jpg
"""

import sys
from pathlib import Path

from PIL import Image

from common.files.pictures import save_picture

FOLDER = Path(__file__).resolve().parent / "samples"
SIDE_PX, SEED = 384, 3
RENDERED = {"rendered_front": 3, "rendered_half_profile": 2, "rendered_glasses": 10}  # their numbers in the stream


def sample_photos(folder: Path) -> list[tuple[Path, str]]:
    """(file, caption) of all samples; those of scikit-image are written to `folder`."""
    from skimage import data

    photos = []
    for name, caption in (("astronaut", "astronaut, NASA"), ("camera", "cameraman, CC0")):
        path = folder / f"{name}.png"
        save_picture(path, getattr(data, name)())
        photos.append((path, caption))
    return photos + [(FOLDER / f"{name}.jpg", name.replace("_", " ")) for name in RENDERED]


def main() -> int:
    """Render the faces again. Exit code 0."""
    from datasets.synthetic.rendered import SyntheticFaces, SyntheticSettings
    from morphable.open import load_face_model

    settings = SyntheticSettings(size_px=SIDE_PX, yaw_std_deg=22.0, any_yaw=0.0, pitch_std_deg=8.0)
    faces = SyntheticFaces(load_face_model("head"), settings, SEED)
    for name, number in RENDERED.items():
        picture = Image.fromarray(faces.batch(number, 1).images[0].numpy())
        picture.save(FOLDER / f"{name}.jpg", quality=88)
        sys.stdout.write(f"{FOLDER / name}.jpg\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
