"""Settings: defaults in a frozen dataclass, then local_config.ini, then the command line.

A setting is one dataclass field made by `option`; the parser is made from the fields. Field `batch_size` is the flag
`--batch-size`; prefixes of flags are accepted, and so are the typing slips of the papers' READMEs (`-epoch`,
`---daug`).
"""

import argparse
import configparser
import dataclasses
import math
import os
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common.aliases import FALSE, OLD_FLAGS, TRUE, hyphens, replace_old_flags
from common.errors import ConfigError, DataError
from common.files.inputs import check_file

MAX_CONFIG_BYTES = 2**20

GROUPS = ("run", "data", "model", "optimisation", "loss", "augmentation", "protocol", "logging", "output")  # of --help


def option(
    default: object,
    help: str,
    *flags: str,
    choices: tuple | None = None,
    positional: bool = False,
    group: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    check: Callable[[typing.Any], None] | None = None,
) -> typing.Any:
    """One setting: default, one line of help with unit and "off" value, further flags, allowed values, group in --help.

    A positional setting is a list that takes the arguments without a flag. Numbers are finite and within minimum …
    maximum (inclusive); check raises ValueError for other wrong values. Of a list all three hold for every element.
    """
    metadata = {
        "help": help,
        "flags": flags,
        "choices": choices,
        "positional": positional,
        "group": group,
        "minimum": minimum,
        "maximum": maximum,
        "check": check,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def check_session(name: str) -> None:
    """Raises: ValueError for a name of a session that is no folder below the folder of all sessions."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or not name.isprintable():
        raise ValueError(f"'{name}' is no name for a session; take letters, digits, - and _")


class OneSentenceParser(argparse.ArgumentParser):
    """A wrong argument is answered with one sentence, not with the usage of all options."""

    def print_usage(self, file: typing.TextIO | None = None) -> None:
        """Nothing: what argparse prints before an error would be sixty flags long; --help has them."""


def range_text(item: dataclasses.Field) -> str:
    """`at least 1`, `at most 2`, `1 to 2`, or nothing."""
    low, high = item.metadata.get("minimum"), item.metadata.get("maximum")
    if low is None or high is None:
        return f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""
    return f"{low} to {high}"


def converter(item: dataclasses.Field, kind: type) -> Callable[[str], typing.Any]:
    """From the text of one value to the value. It raises ArgumentTypeError or ValueError outside the option's range."""
    low, high, check = (item.metadata.get(key) for key in ("minimum", "maximum", "check"))

    def convert(text: str) -> typing.Any:
        if kind is bool:
            return parse_bool(text)
        value = kind(text)
        if kind in (int, float):
            if not math.isfinite(value):
                raise argparse.ArgumentTypeError(f"{text} is not a finite number")
            if (low is not None and value < low) or (high is not None and value > high):
                raise argparse.ArgumentTypeError(f"{text} is out of range: {range_text(item)}")
        if check is not None:
            try:
                check(value)
            except ValueError as error:
                raise argparse.ArgumentTypeError(str(error)) from None
        return value

    convert.__name__ = kind.__name__  # argparse names it in "invalid int value"
    return convert


def parse_bool(text: str) -> bool:
    """'1', 'true', 't', 'yes', 'y', 'on' and '0', 'false', 'f', 'no', 'n', 'off' in any case.

    Raises: argparse.ArgumentTypeError.
    """
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"expected 0 or 1, got '{text}'")


def build_parser(settings: type, description: str) -> argparse.ArgumentParser:
    """Parser whose destinations are the fields of a dataclass; nothing has a default, so only what was given
    appears.
    """
    parser = OneSentenceParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    hints = typing.get_type_hints(settings)
    used = {item.metadata.get("group", "") for item in dataclasses.fields(settings)}
    groups = {"": parser} | {name: parser.add_argument_group(name) for name in GROUPS if name in used}
    for item in dataclasses.fields(settings):
        name = "--" + item.name.replace("_", "-")
        kind, many = _kind(hints[item.name])
        if item.metadata.get("positional"):
            parser.add_argument(item.name, nargs="*", type=kind, help=item.metadata["help"])
            continue
        about = ", ".join(filter(None, (item.metadata.get("help", ""), range_text(item))))
        arguments: dict = {"dest": item.name, "help": f"{about} [{_default(item)}]".replace("%", "%%")}
        if item.metadata.get("choices"):
            arguments["choices"] = item.metadata["choices"]
        if kind is bool:
            arguments |= {"type": converter(item, kind), "nargs": "?", "const": True, "metavar": "0|1"}
        else:
            arguments |= {"type": converter(item, kind)} | ({"nargs": "+"} if many else {})
        groups[item.metadata.get("group", "")].add_argument(name, *item.metadata.get("flags", ()), **arguments)
    parser.add_argument("--config", type=Path, default=None, metavar="FILE", help="ini file [local_config.ini]")
    parser.add_argument("--dry-run", action="store_true", default=False, help="print the resolved settings and stop")
    return parser


def _kind(hint: object) -> tuple[type, bool]:
    """Element type of a field and whether it is a list."""
    if isinstance(hint, types.UnionType):
        hint = next(argument for argument in typing.get_args(hint) if argument is not type(None))
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0], True
    return hint, False


def _default(item: dataclasses.Field) -> str:
    value = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_choices(item: dataclasses.Field, value: object) -> None:
    """The choices that argparse checks on the command line, for a value of the ini file. Raises: ValueError."""
    choices = item.metadata.get("choices")
    if choices and not set(value if isinstance(value, list) else [value]) <= set(choices):
        raise ValueError(f"choose from {', '.join(map(str, choices))}")


def flags_of(settings: type) -> list[str]:
    """All flags that the parser of a dataclass takes."""
    flags = ["--help", "-h", "--config", "--dry-run"]
    for item in dataclasses.fields(settings):
        if not item.metadata.get("positional"):
            flags += ["--" + item.name.replace("_", "-"), *item.metadata.get("flags", ())]
    return flags


def tidy_arguments(arguments: list[str], own: list[str]) -> tuple[list[str], dict[str, str]]:
    """Accept `---flag` and `-flag` for `--flag` where they can only mean that, and old spellings. Args: own: the flags.

    Returns: (arguments, environment variables that old flags stand for).
    """
    known = [*own, *OLD_FLAGS]
    short = {flag for flag in known if not flag.startswith("--")}
    tidy = []
    for argument in arguments:
        name = argument.lstrip("-")
        dashes = len(argument) - len(name)
        is_long = any(flag.startswith(hyphens(f"--{name.split('=')[0]}")) for flag in known)
        wrong = dashes >= 3 or (dashes == 1 and len(name) > 2 and argument[:2] + name[1:2] not in short)
        argument = f"--{name}" if wrong and is_long and name[:1].isalpha() else argument
        as_given = any(flag.startswith(argument.split("=")[0]) for flag in own)
        tidy.append(argument if as_given else hyphens(argument))
    return replace_old_flags(tidy, own)


def switches_apart(settings: type, arguments: list[str]) -> list[str]:
    """`--flat photo.jpg` → `--flat=1 photo.jpg` for settings with positional arguments, which would be taken for the
    switch's value.
    """
    items = dataclasses.fields(settings)
    if not any(item.metadata.get("positional") for item in items):
        return arguments
    hints = typing.get_type_hints(settings)
    switches = {
        flag
        for item in items
        if _kind(hints[item.name])[0] is bool
        for flag in ("--" + item.name.replace("_", "-"), *item.metadata.get("flags", ()))
    }
    following = [*arguments[1:], ""]
    return [
        f"{flag}=1" if flag in switches and after.lower() not in TRUE + FALSE else flag
        for flag, after in zip(arguments, following, strict=False)
    ]


@dataclass(frozen=True)
class LocalConfig:
    """Content of local_config.ini.

    Attributes: file, or None when none was found; paths [Paths], lower-case keys; runtime [Runtime]; models [Models].
    """

    file: Path | None
    paths: dict[str, Path]
    runtime: dict[str, str]
    models: dict[str, str] = field(default_factory=dict)

    def dataset(self, name: str) -> Path:
        """Folder of a dataset: its key in [Paths], else <data>/<name>."""
        return self.paths.get(name, self.data / name)

    @property
    def data(self) -> Path:
        """Root of datasets, packed crops and models."""
        return self.paths.get("data", Path("data"))

    @property
    def outputs(self) -> Path:
        """Root of results, reports and logs."""
        return self.paths.get("outputs", Path("outputs"))

    def cache(self, name: str) -> Path:
        """Folder of a dataset's packed crops: <name>_local, else <data>/packed."""
        return self.paths.get(f"{name}_local", self.data / "packed")

    @property
    def snapshots(self) -> Path:
        """Folder of all sessions."""
        return self.data / "models" / "snapshots"

    @property
    def model_url(self) -> str | None:
        """Where weights that the package lacks are fetched: [Models] url, a folder as `file:…`; None where nothing is
        set.
        """
        text = self.models.get("url", "").strip().rstrip("/")
        if not text or "://" in text:
            return text or None
        return (self._base / _expanded(text)).as_uri()

    @property
    def model_cache(self) -> Path:
        """Folder of fetched weights: [Models] cache, else $XDG_CACHE_HOME/faces, else ~/.cache/faces."""
        if self.models.get("cache"):
            return self._base / _expanded(self.models["cache"])
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "faces"

    @property
    def _base(self) -> Path:
        """Folder from which relative paths of the file count."""
        return Path() if self.file is None else self.file.resolve().parent


def _expanded(text: str) -> str:
    return os.path.expandvars(os.path.expanduser(text))


def local_config_places() -> tuple[Path, ...]:
    """Where a local_config.ini is looked for, in this order: the current folder, the one above, the user's settings
    ($XDG_CONFIG_HOME/faces, else ~/.config/faces).
    """
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "faces"
    return tuple(folder / "local_config.ini" for folder in (Path(), Path(".."), settings))


def read_local_config(file: Path | None = None) -> LocalConfig:
    """Read an ini file; without a name, the first of `local_config_places`, else defaults.

    Relative paths count from the ini file's folder; `~` and environment variables are expanded.
    Raises: ConfigError naming the file.
    """
    if file is None:
        file = next((path for path in local_config_places() if path.is_file()), None)
    if file is None:
        return LocalConfig(None, {}, {})
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    try:
        check_file(Path(file), MAX_CONFIG_BYTES)
    except DataError as error:
        raise ConfigError(f"{error} Give another --config.") from None
    try:
        with Path(file).open(encoding="utf-8-sig") as stream:
            parser.read_file(stream)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(
            f"{file}: cannot read the configuration ({first}); correct it or give another --config."
        ) from None
    base = Path(file).resolve().parent
    sections = {name: dict(parser[name]) for name in parser.sections()}
    bad = [key for key, value in sections.get("Paths", {}).items() if "\0" in value]
    if bad:
        raise ConfigError(f"{file}: [Paths] {bad[0]} holds a NUL byte, which is in no file name; correct it.")
    paths = {key: base / _expanded(value) for key, value in sections.get("Paths", {}).items() if value}
    return LocalConfig(Path(file), paths, sections.get("Runtime", {}), sections.get("Models", {}))


def parse_settings(settings: type, description: str, arguments: list[str]) -> tuple[typing.Any, LocalConfig, bool]:
    """Resolve a script's settings: command line over [Runtime] of the ini file over defaults.

    Returns: (settings object, local configuration, whether --dry-run was given).
    Raises: SystemExit(2) from argparse for bad flags; ConfigError for a bad value in the ini file.
    """
    own = flags_of(settings)
    parser = build_parser(settings, description)
    tidy, environment = tidy_arguments(arguments, own)
    given = vars(parser.parse_args(switches_apart(settings, tidy)))
    file, dry_run = given.pop("config"), given.pop("dry_run")
    local = read_local_config(file)
    values, more = _runtime_values(settings, local, own)
    if not dry_run:
        os.environ.update(more | environment)
    return settings(**(values | given)), local, dry_run


def _runtime_values(settings: type, local: LocalConfig, own: list[str]) -> tuple[dict[str, typing.Any], dict[str, str]]:
    """Values of [Runtime], old names translated; a key of other scripts is left out, a new name outranks an old one.

    Returns: (values, environment variables). Raises: ConfigError.
    """
    hints = typing.get_type_hints(settings)
    known = {item.name.lower(): item for item in dataclasses.fields(settings)}
    values, environment = {}, {}
    for key, text in sorted(local.runtime.items(), key=lambda pair: pair[0] in known):
        if text == "":
            continue
        name, words = key, text.split()
        if key not in known:
            (name, *words), variables = _today(key, words, own)
            environment |= variables
        if name not in known:
            continue
        item = known[name]
        kind, many = _kind(hints[item.name])
        convert = converter(item, kind)
        try:
            values[item.name] = [convert(word) for word in words] if many else convert(" ".join(words))
            _check_choices(item, values[item.name])
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise ConfigError(f"{local.file}: [Runtime] {key} = {text}: {error}.") from None
    return values, environment


def _today(key: str, words: list[str], own: list[str]) -> tuple[list[str], dict[str, str]]:
    """An old key of [Runtime] and its words as today's: ([name, words …], environment variables); [""] where it is
    ignored.
    """
    old = "--" + key.replace("_", "-")
    arguments, environment = replace_old_flags([old, *words], own)
    flag, *rest = arguments or [""]
    return [flag.lstrip("-").replace("-", "_").lower(), *rest], environment
