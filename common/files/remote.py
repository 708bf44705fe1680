"""Files of a server: copied whole, compared with their SHA-256, or not at all."""

import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from common.errors import DataError
from common.files.atomic import replacing

PIECE = 2**20
SECONDS = 60  # without a byte, after which a server counts as not answering


def is_url(text: str) -> bool:
    """Whether a text names a file of a server."""
    return text.startswith(("https://", "http://"))


def read_url(url: str, most_bytes: int) -> bytes:
    """A small file. Raises: DataError naming the URL when it cannot be fetched or is larger."""
    try:
        with urlopen(url, timeout=SECONDS) as source:  # noqa: S310  http or https: `is_url`
            content = source.read(most_bytes + 1)
    except (OSError, ValueError, HTTPException) as error:
        raise _unreachable(url, error) from None
    if len(content) > most_bytes:
        raise DataError(f"{url}: larger than {most_bytes:,} bytes; refused.")
    return content


def fetch_file(url: str, path: Path, sha256: str, size: int) -> Path:
    """Copy a file unless it is there already; it takes its name only with the right bytes.

    Raises: DataError naming the URL when it cannot be fetched, or is not what size and SHA-256 say.
    """
    if path.is_file() and path.stat().st_size == size:
        return path
    digest, left = hashlib.sha256(), size
    try:
        with urlopen(url, timeout=SECONDS) as source, replacing(path) as temporary:  # noqa: S310  see `is_url`
            with temporary.open("wb") as target:
                while left > 0 and (piece := source.read(min(PIECE, left))):
                    target.write(piece)
                    digest.update(piece)
                    left -= len(piece)
            if digest.hexdigest() != sha256:
                raise DataError(f"{url}: is not the file that its index lists (its SHA-256 differs); copy it again.")
    except DataError:
        raise
    except (OSError, ValueError, HTTPException) as error:
        raise _unreachable(url, error) from None
    return path


def _unreachable(url: str, error: Exception) -> DataError:
    reason = str(getattr(error, "reason", None) or error or type(error).__name__).splitlines()[0][:120]
    return DataError(f"{url}: cannot be fetched ({reason}); check the address and the network.")
