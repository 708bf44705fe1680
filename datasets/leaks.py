"""Training photos that are test photos too: every training leaves them out.

LFPW holds some photos twice under different names, once on each side of its split; found by comparing faces that were
aligned by their landmarks and scaled to 32 × 32 px.
"""

from pathlib import Path, PurePath

from common.files.images import IMAGE_SUFFIXES

# 300-W folder → names without suffix; each is followed by the test photo of test/common/lfpw that it repeats
LEAKED_300W = {
    "train/lfpw": {"image_0828": "image_0096", "image_0862": "image_0007", "image_0215": "image_0066"},
}


def is_leaked(folder: str, stem: str) -> bool:
    """Whether a 300-W photo, by its folder below `images/` and its name without suffix, is also a test photo."""
    return stem in LEAKED_300W.get(folder, {})


def is_leaked_photo(path: PurePath | str) -> bool:
    """The same by a path that ends with the photo's folders in 300-W, such as …/train/lfpw/image_0828.png."""
    path = PurePath(path)
    return is_leaked("/".join(path.parent.parts[-2:]), path.stem)


def training_photos(folder: Path) -> list[Path]:
    """All photos below a folder, sorted, but those that are test photos, too."""
    found = (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES)
    return [p for p in found if not is_leaked_photo(p)]
