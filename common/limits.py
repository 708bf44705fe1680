"""The largest work that one input or option may ask for, checked before memory is taken for it."""

from common.errors import DataError

MAX_BOX_PX = 20_000  # side or place of a face box
MAX_TEXTURE = 4096  # side of an unwrapped texture; 8192 takes 5.9 GB
MAX_SHOWN_PX = 1024  # side of a face cut out to be turned or drawn; a gif of larger ones fills memory
MAX_FRAME_BYTES = 2**31  # of all frames that are held at once


def check_frames(count: int, height: int, width: int, remedy: str) -> None:
    """Raises: DataError with the remedy when so many RGBA frames would take too much memory."""
    size = 4 * count * height * width
    if size > MAX_FRAME_BYTES:
        raise DataError(
            f"{count} frames of {width}×{height} px take {size / 2**30:.1f} GiB, beyond the limit of"
            f" {MAX_FRAME_BYTES / 2**30:.0f}; {remedy}."
        )
