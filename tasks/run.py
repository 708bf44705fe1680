"""The demo's one loop: inputs in batches through one or all tasks; a line, a JSON and files for each."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from common.config import LocalConfig
from common.errors import ConfigError, DataError, UserError
from common.files.atomic import write_file
from common.logs import console
from datasets.photos import parse_save
from tasks.inputs import Input, find_inputs
from tasks.method import Method, Photo, Result
from tasks.results import SCHEMA, ResultFolder
from tasks.settings import DemoSettings
from tasks.table import ALL, RECORDS, TASKS

NO_FACE = "no face found; give its place with --box x,y,w,h, or use --detector none for face crops"
BAR_FROM = 8  # inputs; fewer need no progress bar
NOT_ASKED = ("inputs", "out", "skip_done", "device", "batch_size")  # options that change no result


def run_demo(settings: DemoSettings, local: LocalConfig) -> None:
    """Process all inputs; one that fails is named and the others go on.

    Raises: UserError for a wrong option, and DataError at the end when an input failed.
    """
    names = list(TASKS) if settings.task == ALL else [settings.task]
    if settings.task == ALL and settings.model is not None:
        raise ConfigError("--model: each task has its own; name one --task, or leave it out.")
    kinds = chosen_kinds(settings, names)
    if settings.skip_done and "json" not in kinds:
        raise ConfigError("--resume: it reads the JSON files of the inputs; add json to --save.")
    folder = ResultFolder(settings.out or local.outputs / "demo" / settings.task, settings.flat)
    inputs = find_inputs(settings.all_inputs, settings.flat, folder.own_files)
    request = _request(settings)
    done = {one.name: record for one in inputs if settings.skip_done and (record := folder.finished(one, request))}
    waiting = [one for one in inputs if one.name not in done]
    if len(waiting) < len(inputs):
        console().info(f"{len(inputs) - len(waiting)} of {len(inputs)} inputs were done before")
    loop = Loop(folder, kinds, request, _open(names, settings, local, kinds) if waiting else {})
    try:
        with tqdm(total=len(waiting), unit="input", disable=None if len(waiting) >= BAR_FROM else True) as bar:
            together = any(method.together for method in loop.methods.values())
            for batch in _batches(waiting, len(waiting) if together else settings.batch_size):
                loop.process(batch)
                bar.update(len(batch))
    finally:
        loop.write_table(list(done.values()))
    if loop.failed:
        count, first = len(loop.failed), loop.failed[0].rstrip(".")
        raise DataError(f"{count} of {len(inputs)} inputs gave no result, the first: {first}.")


def chosen_kinds(settings: DemoSettings, names: Sequence[str]) -> list[str]:
    """Kinds of files of `--save`, by default those of the tasks. Raises: DataError for an unknown one."""
    if settings.save is None:
        default = settings.asked_by_aliases or [kind for name in names for kind in TASKS[name].default]
        return [*dict.fromkeys(default), *RECORDS]
    return parse_save(settings.save, list(dict.fromkeys([*(k for n in names for k in TASKS[n].kinds), *RECORDS])))


def _request(settings: DemoSettings) -> dict[str, object]:
    """The options that results depend on, JSON-ready."""
    values = {k: v for k, v in dataclasses.asdict(settings).items() if k not in NOT_ASKED}
    return json.loads(json.dumps(values, default=str))


def _open(names: Sequence[str], settings: DemoSettings, local: LocalConfig, kinds: Sequence[str]) -> dict[str, Method]:
    """The methods by name of their task, each imported only where it is asked for."""
    return {name: import_module(TASKS[name].module).open_method(settings, local, kinds) for name in names}


def _batches(inputs: Sequence[Input], size: int) -> Iterator[Sequence[Input]]:
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size]


class Loop:
    """Goes through inputs, and keeps what the table and the last line need."""

    def __init__(self, folder: ResultFolder, kinds: Sequence[str], request: dict, methods: dict[str, Method]) -> None:
        self.folder, self.kinds, self.request, self.methods = folder, kinds, request, methods
        self.failed: list[str] = []
        self.records: list[dict] = []

    def process(self, inputs: Sequence[Input]) -> None:
        """A batch: read, put through every method, write."""
        for one in inputs:
            if one.kind != "photo":
                self._video(one)
        photos = [photo for one in inputs if one.kind == "photo" and (photo := self._read(one)) is not None]
        found = {name: outcomes(method, photos) for name, method in self.methods.items()}
        for i, photo in enumerate(photos):
            self._finish(photo, {name: results[i] for name, results in found.items()})

    def _read(self, one: Input) -> Photo | None:
        try:
            return Photo(one, one.read())
        except (UserError, OSError) as error:
            self._fail(one, str(error))
        return None

    def _video(self, one: Input) -> None:
        """The video of every method, its tables and its JSON."""
        from tasks.videos import write_video  # with PyAV, only for videos

        try:
            with self.folder.staged(one.name) as staging:
                try:
                    results = [
                        write_video(method, one, staging / name if len(self.methods) > 1 else staging, self.kinds)
                        for name, method in self.methods.items()
                    ]
                finally:  # a video that was interrupted keeps its frames
                    written = self.folder.publish(staging, one.name)
            files = ", ".join(str(self.folder.root / path) for path in written)
            console().info(f"{one.source}: {results[0].summary}, wrote {files}")
            for result in results:
                result.check()
        except (UserError, OSError, ValueError) as error:
            self._fail(one, str(error))

    def _finish(self, photo: Photo, results: dict[str, Result | Exception]) -> None:
        """Write what the methods found, and say it on a line."""
        one, errors = photo.input, [str(r) for r in results.values() if isinstance(r, Exception)]
        good = {name: r for name, r in results.items() if not isinstance(r, Exception)}
        try:
            if good:
                written = self._write(photo, good)
                count = max(len(result.faces) for result in good.values())
                text = f"{count} face{'s'[: count != 1]}" if count else NO_FACE
                files = ", ".join(str(self.folder.root / path) for path in written)
                console().info(f"{one.source}: {text}" + (f", wrote {files}" if files else ""))
        except (UserError, OSError, ValueError) as error:
            errors.append(str(error))
        if errors:
            self._fail(one, errors[0])

    def _write(self, photo: Photo, results: dict[str, Result]) -> list[Path]:
        """All files of an input. Returns: their paths relative to the root."""
        one = photo.input
        with self.folder.staged(one.name) as staging:
            record = new_record(photo, self.request)
            for name, result in results.items():
                place = staging / name if len(self.methods) > 1 else staging
                place.mkdir(exist_ok=True)
                own = self.methods[name].write(place, result, self.kinds)
                add_to_record(record, name, self.methods[name], result)
                for face, paths in zip(record["faces"][len(record["faces"]) - len(own) :], own, strict=True):
                    face["files"] = [self._final(one, staging, path) for path in paths]
            record["files"] = sorted(self._final(one, staging, path) for path in staging.rglob("*") if path.is_file())
            if "json" in self.kinds and len(results) == len(self.methods):
                write_file(staging / f"{one.name}.json", json.dumps(record))
            written = self.folder.publish(staging, one.name)
        self.records.append(record)
        return written

    def _final(self, one: Input, staging: Path, path: Path) -> str:
        """Where a staged file will lie, relative to the root."""
        place = self.folder.folder_of(one.name).relative_to(self.folder.root)
        return (place / path.relative_to(staging)).as_posix()

    def _fail(self, one: Input, text: str) -> None:
        self.failed.append(f"{one.source}: {text.removeprefix(f'{one.source}: ')}")
        console().info(f"failed: {self.failed[-1]}")

    def write_table(self, before: Sequence[dict]) -> None:
        """faces.csv over the inputs of this run and those that were done before."""
        if "csv" in self.kinds:
            path = self.folder.write_table([*before, *self.records])
            if path is not None:
                console().info(f"wrote {path}")


def outcomes(method: Method, photos: Sequence[Photo]) -> list[Result | Exception]:
    """The result of every photo, or why it has none; photos go one by one where the batch fails."""
    if not photos:
        return []
    try:
        return list(method.process(photos))
    except (UserError, ValueError) as error:  # ValueError: of the geometry, as a face that fits no camera
        if len(photos) == 1:
            return [error]
    return [outcome for photo in photos for outcome in outcomes(method, [photo])]


def new_record(photo: Photo, request: dict) -> dict:
    """The JSON of an input, schema faces/1, without its faces."""
    height, width = photo.image.shape[:2]
    return {
        "schema": SCHEMA,
        "name": photo.input.name,
        "input": photo.input.source,
        "size": [width, height],
        "convention": "continuous",
        "request": request,
        "tasks": {},
        "faces": [],
        "files": [],
    }


def add_to_record(record: dict, task: str, method: Method, result: Result) -> None:
    """A task's faces; the first one's landmarks besides, so that the file is an annotation for `folder` datasets."""
    record["tasks"][task] = method.description
    for number, face in enumerate(result.faces):
        extra = result.extras[number] if result.extras else {}
        record["faces"].append({"task": task, "number": number, **face.to_json(), **extra})
    if result.faces and "landmarks" not in record:
        first = record["faces"][-len(result.faces)]
        record |= {"scheme": first["scheme"], "landmarks": first["landmarks"]}
