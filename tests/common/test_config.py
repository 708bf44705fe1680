"""Settings: ini, dataclass, command line."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from common.config import option, parse_settings, read_local_config
from common.errors import ConfigError


@dataclass(frozen=True)
class Small:
    """Settings of a test."""

    inputs: list[str] = option([], "files", positional=True)
    epochs: int | None = option(None, "number", "-e")
    lr: float = option(0.1, "rate, 100 %")
    daug: int = option(0, "level", choices=(0, 1, 2))
    with_gan: bool = option(False, "switch")
    dataset_train: list[str] = option(["a", "b"], "names")
    seed: int = option(0, "seed")
    out: Path | None = option(None, "folder")


def parse(*arguments, tmp_path=None, ini=None):
    extra = []
    if ini is not None:
        (tmp_path / "x.ini").write_text(ini)
        extra = ["--config", str(tmp_path / "x.ini")]
    return parse_settings(Small, "text", [*arguments, *extra])


def test_defaults_ini_and_command_line(tmp_path):
    ini = "[Paths]\nw300 = ../w\ndata = store ; comment\n[Runtime]\nseed = 7\nlr = 0.5\nunknown = 1\n"
    settings, local, dry_run = parse("--lr", "0.25", tmp_path=tmp_path, ini=ini)
    assert (settings.seed, settings.lr, settings.daug, settings.dataset_train, dry_run) == (
        7,
        0.25,
        0,
        ["a", "b"],
        False,
    )
    assert (
        local.dataset("w300") == tmp_path.resolve() / "../w"
        and local.dataset("wflw") == tmp_path.resolve() / "store/wflw"
    )
    assert local.cache("w300") == tmp_path.resolve() / "store/packed"
    assert local.snapshots == tmp_path.resolve() / "store/models/snapshots"


@pytest.mark.parametrize("flags", ["--epochs 3", "--epoch 3", "-epoch 3", "---epochs 3", "-e 3", "-e3"])
def test_abbreviations_and_slips_of_the_published_readmes(flags):
    assert parse(*flags.split())[0].epochs == 3


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        (["--with-gan"], True),
        (["--with-gan", "1"], True),
        (["--with-gan", "true"], True),
        (["--with-gan", "True"], True),
        (["--with-gan", "0"], False),
        ([], False),
    ],
)
def test_booleans(flags, value):
    assert parse(*flags)[0].with_gan is value


def test_lists_positionals_and_paths():
    settings, _, _ = parse("one.jpg", "two.jpg", "---dataset-train", "c", "--out", "x")
    assert settings.inputs == ["one.jpg", "two.jpg"] and settings.dataset_train == ["c"] and settings.out == Path("x")
    assert parse()[0].inputs == []


@pytest.mark.parametrize("flags", [["--lr", "fast"], ["--daug", "9"], ["--with-gan=maybe"], ["--nothing"]])
def test_bad_flags_exit_with_2(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(*flags)
    assert caught.value.code == 2 and "error:" in capsys.readouterr().err


def test_bad_ini_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="x.ini.*seed = seven"):
        parse(tmp_path=tmp_path, ini="[Runtime]\nseed = seven\n")
    with pytest.raises(ConfigError, match="x.ini"):
        parse(tmp_path=tmp_path, ini="no section\n")
    with pytest.raises(ConfigError, match="none.ini"):
        read_local_config(tmp_path / "none.ini")


def test_shipped_ini_works_unedited():
    local = read_local_config(Path(__file__).resolve().parents[2] / "local_config.ini")
    assert local.runtime == {"device": "auto", "precision": "no", "workers": "0", "compile": "false", "seed": "0"}
    assert set(local.paths) == {"data", "outputs"}


def test_help_shows_defaults(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    assert "rate, 100 % [0.1]" in capsys.readouterr().out


def test_ini_lists_and_choices(tmp_path):
    assert parse(tmp_path=tmp_path, ini="[Runtime]\ndataset_train = c d\n")[0].dataset_train == ["c", "d"]
    assert parse(tmp_path=tmp_path, ini="[Runtime]\ndaug = 2\n")[0].daug == 2
    with pytest.raises(ConfigError, match="daug = 9: choose from 0, 1, 2"):
        parse(tmp_path=tmp_path, ini="[Runtime]\ndaug = 9\n")


def test_dry_run_is_reported():
    assert parse("--dry-run")[2] is True and parse()[2] is False
