"""Read any photo as upright 8-bit RGB, or say clearly why not."""

import io
import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from PIL import Image, ImageOps

from common.errors import DataError
from common.files.inputs import check_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_PIXELS = 50_000_000
# Pillow takes a file for what its content says: a renamed EPS would start Ghostscript, an ICO decodes before its size
# is known.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_NAME, MAX_PART = 2000, 255  # characters of a name, bytes of one part of it, that file systems take


def read_image(path: str | Path, span: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a photo of any mode (grey, palette, RGBA, CMYK, 16-bit), turned upright by its EXIF tag.

    Args: path; span, (offset, size) of a photo inside a tar file (`common.files.tar`); max_pixels, a limit that is
        checked in the header before anything is decoded.
    Returns: (H, W, 3) uint8 RGB; transparency is laid on black.
    Raises: DataError naming the file when it is missing, no image, cut short or larger than the limit.
    """
    path = Path(path)
    check_file(path)
    try:
        source = path if span is None else io.BytesIO(_read_span(Path(path), *span))
        with Image.open(source, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise DataError(
                    f"{path}: {width}×{height} pixels exceed the limit of {max_pixels:,}; scale the photo down."
                )
            return _to_rgb(ImageOps.exif_transpose(image))
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error}); replace or remove the file.") from None


def _read_span(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        grey = np.clip(values / top * 255, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.array(image.convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of an upright photo from its header alone. Raises: DataError naming the file."""
    check_file(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = image.size
            return (height, width) if turned else (width, height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error}); replace or remove the file.") from None


def _may_be_linked(root: Path, parts: tuple[str, ...]) -> bool:
    """Whether something below root is a symbolic link or cannot be seen; resolving every name costs ten times as
    much.
    """
    place = str(root)
    for part in parts:
        place = os.path.join(place, part)
        try:
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            return False
        except OSError:
            return True
        if stat.S_ISLNK(mode):
            return True
    return False


def safe_join(root: Path, name: str) -> Path:
    """root / name for a name that comes out of an annotation file, refused when it would leave root.

    Raises: DataError for absolute names, drive letters, "..", NUL, names too long for a file system, and symbolic links
        that lead outside.
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if not name or "\0" in name or posix.is_absolute() or windows.drive or windows.root:
        raise DataError(f"'{name}' is not a file name below {root}; correct the annotation file.")
    if len(name) > MAX_NAME or any(len(part.encode(errors="replace")) > MAX_PART for part in posix.parts):
        raise DataError(f"'{name[:60]}…' is too long for a file name; correct the annotation file.")
    if ".." in posix.parts or ".." in windows.parts:
        raise DataError(f"'{name}' leaves {root}; correct the annotation file.")
    path = Path(root) / name
    try:
        inside = not _may_be_linked(root, Path(name).parts) or path.resolve().is_relative_to(Path(root).resolve())
    except (OSError, RuntimeError):
        inside = False
    except ValueError:  # lone surrogates, which no file system takes
        raise DataError(f"{name!r} is not a file name below {root}; correct the annotation file.") from None
    if not inside:
        raise DataError(f"'{name}' leaves {root} through a link; correct the dataset folder.")
    return path
