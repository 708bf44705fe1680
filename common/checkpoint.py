"""The one checkpoint format: a folder with `model.safetensors`, `state.pt` and `config.json`, whole or absent.

Only this file reads weights. Nothing it reads can run code: safetensors, or `torch.load(weights_only=True)`.
"""

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.config import read_local_config
from common.errors import CheckpointError, DataError
from common.files.atomic import flush, publish_folder, temporary_name
from common.files.inputs import check_file
from common.pretrained import PRETRAINED, published_folder

FORMAT = 1
MAX_BYTES = 4 * 2**30
MAX_CONFIG_BYTES = 16 * 2**20
Network = TypeVar("Network", bound=nn.Module)


def save_snapshot(folder: Path, tensors: dict[str, Tensor], config: dict, state: dict | None = None) -> None:
    """Write a snapshot beside its place and publish it in one step; a kill leaves old or new, never half.

    Args: tensors by name; config, JSON-ready; state, tensors, numbers, strings and containers (optimisers, RNG,
    position).
    Raises: CheckpointError when the disk refuses it; what stood there stays.
    """
    with _new_folder(Path(folder)) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary / "model.safetensors")
        if state is not None:
            torch.save(state, temporary / "state.pt")
        (temporary / "config.json").write_text(json.dumps({"format": FORMAT, **config}, indent=1))
        for file in temporary.iterdir():
            file.chmod(0o644)


def link_snapshot(source: Path, folder: Path) -> None:
    """A second name of a snapshot that was just written: its files as hard links, or copies where there are none."""
    with _new_folder(Path(folder)) as temporary:
        for file in source.iterdir():
            try:
                os.link(file, temporary / file.name)
            except OSError:  # a file system without links
                shutil.copy2(file, temporary / file.name)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is published under the name when the block ends. Raises: CheckpointError."""
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(folder)
        temporary.mkdir()
        yield temporary
        for file in temporary.iterdir():
            flush(file)
        flush(temporary)
        publish_folder(temporary, folder)
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:120]
        raise CheckpointError(f"{folder}: cannot be written ({reason}); make room or choose another place.") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def read_config(folder: Path) -> dict:
    """config.json of a snapshot. Raises: CheckpointError naming the file."""
    path = Path(folder) / "config.json"
    try:
        check_file(path, MAX_CONFIG_BYTES)
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a snapshot ({error}); check -r/--resume.") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {config.get('format') if isinstance(config, dict) else '?'} is not {FORMAT}."
        )
    return config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises: CheckpointError for missing, truncated, over-large or non-finite
    files.
    """
    path = Path(path)
    try:
        check_file(path, MAX_BYTES)
        tensors = load_file(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error}).") from None
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: damaged or no safetensors file ({error}); copy it again.") from None
    bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if bad:
        raise CheckpointError(f"{path}: tensor {bad[0]} holds values that are not finite; the file is not usable.")
    return tensors


def read_state(path: Path) -> dict:
    """`state.pt` or an author's checkpoint, tensors and plain containers only. Raises: CheckpointError naming the
    file.
    """
    path = Path(path)
    try:
        check_file(path, MAX_BYTES)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error}).") from None
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged or hostile pickle may raise anything; none of it may pass
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: damaged, or not made of tensors alone, so refused ({reason}).") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary, found {type(content).__name__}.")
    return content


def load_strict(
    module: nn.Module, tensors: dict[str, Tensor], source: Path, optional: tuple[str, ...] = ()
) -> list[str]:
    """Copy tensors into a module after comparing every name and shape.

    Args: optional: name prefixes that may be missing in the file (they keep their initial values).
    Returns: names that kept their initial values.
    Raises: CheckpointError naming the first difference.
    """
    expected = module.state_dict()
    missing = [k for k in expected if k not in tensors]
    fresh = [k for k in missing if k.startswith(optional)] if optional else []
    wrong = [k for k in missing if k not in fresh]
    extra = [k for k in tensors if k not in expected]
    shapes = [k for k in expected if k in tensors and expected[k].shape != tensors[k].shape]
    for names, text in ((wrong, "lacks"), (extra, "has the unknown tensor")):
        if names:
            raise CheckpointError(f"{source}: {text} {names[0]} ({len(names)} such); it is of another architecture.")
    if shapes:
        k = shapes[0]
        raise CheckpointError(
            f"{source}: {k} has shape {list(tensors[k].shape)} where {list(expected[k].shape)} is expected;"
            " it is of another architecture."
        )
    module.load_state_dict({k: v.to(expected[k].dtype) for k, v in tensors.items()}, strict=False)
    return fresh


@dataclass(frozen=True)
class Snapshot:
    """What inference needs of a snapshot.

    Attributes: folder; info, content of config.json; tensors by name, floating-point ones in float32.
    """

    folder: Path
    info: dict
    tensors: dict[str, Tensor]

    def restore(
        self, build: Callable[[], Network], optional: tuple[str, ...] = (), tensors: dict[str, Tensor] | None = None
    ) -> Network:
        """A network with the weights of the snapshot, in evaluation mode.

        Args: build: makes the network that config.json describes; optional as of `load_strict`; tensors: instead of
        all.
        Raises: CheckpointError for a description that cannot be built, and as `load_strict`.
        """
        try:
            network = build()
        except CheckpointError:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.folder}: its network description is not usable ({error}); update the code or copy the"
                " snapshot again."
            ) from None
        load_strict(network, self.tensors if tensors is None else tensors, self.folder, optional)
        return network.eval()


def read_snapshot(folder: Path, title: str, *kinds: str) -> Snapshot:
    """A snapshot of one of some kinds: its config.json first, then its tensors.

    Args: title: of these kinds in the message, with its article; kinds: allowed values of config.json's `kind`.
    Raises: CheckpointError for another kind, and as `read_config` and `read_tensors`.
    """
    info = read_config(folder)
    kind = info.get("kind")
    if kind not in kinds:
        raise CheckpointError(f"{folder}: holds a '{kind}', not {title}; choose another snapshot.")
    tensors = read_tensors(Path(folder) / "model.safetensors")
    return Snapshot(Path(folder), info, {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})


def sessions_folder(snapshots: Path | None = None) -> Path:
    """Where the sessions lie: as given, else as local_config.ini says. Raises: ConfigError for an unreadable ini
    file.
    """
    return read_local_config().snapshots if snapshots is None else Path(snapshots)


def resolve_snapshot(name: str | Path, snapshots: Path | None = None) -> Path:
    """Folder that a name means: a path, `session/00001`, a session (its newest snapshot), or a bundled name.

    Args: snapshots: as of `sessions_folder`. Raises: CheckpointError listing what there is.
    """
    snapshots = sessions_folder(snapshots)
    for base in (Path(name), snapshots / name):
        if (base / "config.json").is_file() or base.is_file():
            return base
        newest = newest_snapshot(base)
        if newest is not None:
            return newest
    if (PRETRAINED / name / "config.json").is_file():
        return published_folder(PRETRAINED / name)
    known = [p.name for folder in (snapshots, PRETRAINED) for p in sorted(folder.glob("*")) if p.is_dir()]
    there = ", ".join(known) or "none"
    raise CheckpointError(f"no model '{name}' (looked in ., {snapshots} and pretrained); there are: {there}.")


def newest_snapshot(session: Path) -> Path | None:
    """The snapshot of a session that has seen most steps, an interrupted one included; None when there is none."""
    folders = [p for p in Path(session).glob("*") if re.fullmatch(r"\d{5,}|interrupted", p.name)]
    folders = [p for p in folders if (p / "config.json").is_file()]
    return max(folders, key=lambda p: (read_config(p).get("step", 0), p.name), default=None)


def sessions_part(name: str, snapshots: Path) -> str:
    """Session that a resumed run continues when --sessionname is not given: the first part of `session/epoch`."""
    path = Path(name)
    try:
        path = path.resolve().relative_to(Path(snapshots).resolve())
    except ValueError:
        pass
    return path.parts[0] if not path.is_absolute() else path.parent.name


def json_safe(value: object) -> object:
    """Numbers that JSON has no word for (NaN, ±inf) as None, recursively."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(v) for v in value]
    return str(value) if isinstance(value, Path) else value
