"""Weights that the package lacks: from the cache, or from the URL that local_config.ini names.

A clone has all weights of the list, an installed package those that are free for any use; others are fetched once.

    [Models]
    url = https://example.org/faces/pretrained     ; or a folder: that of a clone is one
    cache = /large_disk/faces                      ; default: $XDG_CACHE_HOME/faces, ~/.cache/faces
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from urllib.request import urlopen

from tqdm import tqdm

from common.config import LocalConfig, read_local_config
from common.errors import CheckpointError
from common.files.atomic import flush, publish_folder, temporary_name
from common.pretrained import ModelEntry

CHUNK = 2**20
SECONDS = 30  # without a byte, after which a server counts as not answering


def fetched(entry: ModelEntry, shipped: Path) -> Path:
    """A folder of the cache with a model's description and weights, filled from the URL where it lacks them.

    Args: shipped: the model's folder of `pretrained/`, which has all but the weights.
    Raises: CheckpointError saying what to do where the weights are nowhere, cannot be fetched, or have not the listed
        SHA-256.
    """
    local = read_local_config()
    cached = local.model_cache / f"{entry.name}-{entry.sha256[:8]}"
    if not _is_published(cached / Path(entry.file).name, entry):
        _fetch(entry, shipped, cached, local)
    return cached


def _is_published(weights: Path, entry: ModelEntry) -> bool:
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest() == entry.sha256
    except OSError:
        return False


def _fetch(entry: ModelEntry, shipped: Path, cached: Path, local: LocalConfig) -> None:
    """Fill a folder of the cache: the weights from the URL, all else from the package; whole or not at all."""
    if local.model_url is None:
        raise CheckpointError(
            f"{entry.name}: its weights are for {entry.licence} and not in the package; set [Models] url in"
            " local_config.ini to the folder pretrained/ of the repository, or to a copy of it on a server."
        )
    address = f"{local.model_url}/{quote(entry.file)}"
    with _new_folder(cached) as folder:
        digest = _copy(address, folder / Path(entry.file).name, entry, local)
        if digest != entry.sha256:
            raise CheckpointError(
                f"{address}: is not the published {entry.name} (its SHA-256 differs); copy the file again, or update"
                " the package."
            )
        for path in shipped.iterdir():
            shutil.copyfile(path, folder / path.name)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends. Raises: CheckpointError."""
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(folder)
        temporary.mkdir()
        yield temporary
        for path in temporary.iterdir():
            flush(path)
        publish_folder(temporary, folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written ({error.strerror or error}); make room, or set [Models] cache."
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _copy(address: str, weights: Path, entry: ModelEntry, local: LocalConfig) -> str:
    """Copy a file of the URL, at most as many bytes as the list says. Returns: its SHA-256."""
    digest, left = hashlib.sha256(), entry.bytes
    with (
        _opened(address, local) as source,
        weights.open("wb") as target,
        tqdm(total=left, unit="B", unit_scale=True, desc=entry.name, disable=None, leave=False) as bar,
    ):
        while left > 0 and (part := _read(source, min(CHUNK, left), address, local)):
            target.write(part)
            digest.update(part)
            left -= len(part)
            bar.update(len(part))
    return digest.hexdigest()


def _opened(address: str, local: LocalConfig) -> BinaryIO:
    try:
        return urlopen(address, timeout=SECONDS)  # noqa: S310  http, https or file, as the user's settings say
    except (OSError, ValueError, HTTPException) as error:
        raise _unreachable(address, error, local) from None


def _read(source: BinaryIO, count: int, address: str, local: LocalConfig) -> bytes:
    try:
        return source.read(count)
    except (OSError, HTTPException) as error:
        raise _unreachable(address, error, local) from None


def _unreachable(address: str, error: Exception, local: LocalConfig) -> CheckpointError:
    reason = str(getattr(error, "reason", error)).splitlines()[0][:120] if str(error) else type(error).__name__
    return CheckpointError(f"{address}: cannot be fetched ({reason}); check [Models] url in {local.file}.")
