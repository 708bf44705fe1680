"""The list of models: what is bundled, what its authors give out, and what each is worth. Loading:
`model_zoo.load_model`.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from common.errors import CheckpointError

DEFAULT_LANDMARKS = "landmarks_fast"  # the bundled landmark model that everything uses unless told otherwise
PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"
TASKS = ("detection", "landmarks", "depth", "mesh", "fit", "reconstruct", "refine", "identity", "albedo")


class Score(NamedTuple):
    """A number with what was measured and on what, without which it says nothing."""

    metric: str
    value: float
    protocol: str


@dataclass(frozen=True)
class ModelEntry:
    """One model.

    Attributes:
        name: of a bundled model, or of its authors' file.  aliases: other names that `load_model` takes.
        task: one of TASKS.  does: in a few words.  input: what the network sees.  method: the paper.
        trained_on, licence: of the weights.  scores: with protocol.
        file: of a bundled model, relative to `pretrained/`, with its size in bytes and SHA-256; else empty.
        origin: "bundled", or where to get the file and how to name it.
    """

    name: str
    task: str
    does: str
    input: str
    method: str
    trained_on: str
    licence: str
    scores: tuple[Score, ...]
    aliases: tuple[str, ...]
    file: str
    bytes: int
    sha256: str
    origin: str

    @property
    def bundled(self) -> bool:
        """Whether its weights come with the code."""
        return self.origin == "bundled"


@cache
def model_entries() -> tuple[ModelEntry, ...]:
    """All entries of pretrained/models.json, in its order. Raises: CheckpointError where the list is missing or
    damaged.
    """
    path = PRETRAINED / "models.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            ModelEntry(**{**row, "scores": tuple(Score(*s) for s in row["scores"]), "aliases": tuple(row["aliases"])})
            for row in rows
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path}: the list of models cannot be read ({error}); take it from the repository."
        ) from None


def list_models(task: str | None = None, bundled: bool | None = None) -> list[str]:
    """Names of the models, of one task, or only those that are (not) bundled. Raises: CheckpointError for another
    task.
    """
    if task is not None and task not in TASKS:
        raise CheckpointError(f"no models for task '{task}'; choose one of: {', '.join(TASKS)}.")
    chosen = (e for e in model_entries() if task in (None, e.task) and bundled in (None, e.bundled))
    return [entry.name for entry in chosen]


def find_entry(name: str) -> ModelEntry | None:
    """The entry of a name or alias, None where the list has none."""
    return next((entry for entry in model_entries() if name in (entry.name, *entry.aliases)), None)


def model_entry(name: str) -> ModelEntry:
    """The entry of a name or alias. Raises: CheckpointError listing the names."""
    entry = find_entry(name)
    if entry is None:
        raise CheckpointError(f"no model '{name}' in the list; choose one of: {', '.join(list_models())}.")
    return entry


def full_name(name: str) -> str:
    """The name of an alias; anything else as it is."""
    entry = find_entry(name)
    return name if entry is None else entry.name


def published_folder(shipped: Path) -> Path:
    """The folder with a listed model's description and weights.

    Args: shipped: its folder of `pretrained/`, which lacks the weights in an installed package where they are for
        research only.
    Returns: `shipped` where it has them, else a folder of the cache. Raises: CheckpointError as `model_store.fetched`.
    """
    entry = find_entry(shipped.name)
    if entry is None or not entry.bundled or (shipped.parent / entry.file).is_file():
        return shipped
    from common.model_store import fetched  # with the internet's protocols, which a clone never needs

    return fetched(entry, shipped)


def verify(name: str) -> Path:
    """The weights of a bundled model after comparing their SHA-256. Raises: CheckpointError."""
    entry = model_entry(name)
    if not entry.bundled:
        raise CheckpointError(f"{entry.name} is not bundled; {entry.origin.removeprefix('authors: ')}.")
    path = PRETRAINED / entry.file
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); take it from the repository.") from None
    if digest != entry.sha256:
        raise CheckpointError(
            f"{path}: is not the published file (its SHA-256 differs); take it from the repository again."
        )
    return path


def markdown_table() -> str:
    """The bundled models as the table of README.md."""
    lines = ["| name | task | MB | trained on | score | licence |", "|---|---|---|---|---|---|"]
    for entry in model_entries():
        if entry.bundled:
            score = entry.scores[0]
            lines.append(
                f"| `{entry.name}` | {entry.does} | {entry.bytes / 1e6:.1f} | {entry.trained_on} |"
                f" {score.metric} {score.value:g} | {entry.licence.removesuffix(' use only')} |"
            )
    return "\n".join(lines)
