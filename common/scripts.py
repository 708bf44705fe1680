"""What every script does around its one call: settings, errors, exit codes."""

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

from common.config import LocalConfig, parse_settings, read_local_config
from common.errors import DivergenceError, Interrupted, UserError


def run_script(run: Callable, settings_type: type, manual: str, arguments: list[str] | None) -> int:
    """Parse, run, and turn expected errors into one sentence on standard error.

    Returns: exit code: 0 done, 2 wrong input, 3 diverged, 130/143 interrupted.
    """
    try:
        settings, local, dry_run = parse_settings(
            settings_type, manual, sys.argv[1:] if arguments is None else arguments
        )
        if dry_run:
            from common.checkpoint import json_safe  # with PyTorch, which --help does not wait for

            sys.stdout.write(json.dumps(json_safe(dataclasses.asdict(settings)), indent=1) + "\n")
            return 0
        run(settings, local)
    except UserError as error:
        return _complain(error, 2)
    except DivergenceError as error:
        return _complain(error, 3)
    except Interrupted as error:
        return _complain(error, error.exit_code)
    return 0


def run_bundler(
    save: Callable[[argparse.Namespace, LocalConfig], None],
    manual: str,
    arguments: list[str] | None,
    flags: dict[str, dict] | None = None,
) -> int:
    """`python -m <method>.bundle SESSION FOLDER`: make a bundled model from a training snapshot.

    Args: save: does it, given `session`, `folder` and the flags; flags: name → arguments of `add_argument`.
    Returns: exit code: 0 done, 2 wrong input with one sentence on standard error.
    """
    parser = argparse.ArgumentParser(description=manual)
    parser.add_argument("session", help="session, session/epoch or path")
    parser.add_argument("folder", type=Path, help="where the bundled model goes")
    for name, extra in (flags or {}).items():
        parser.add_argument(name, **extra)
    parser.add_argument("--config", type=Path, default=None, metavar="FILE", help="ini file [local_config.ini]")
    options = parser.parse_args(arguments)
    try:
        save(options, read_local_config(options.config))
    except UserError as error:
        return _complain(error, 2)
    return 0


def exits_with_user_errors(main: Callable[..., int]) -> Callable[..., int]:
    """Decorates the `main` of a command with a parser of its own: a UserError becomes one sentence and exit code 2."""

    @functools.wraps(main)
    def guarded(*arguments: object) -> int:
        try:
            return main(*arguments)
        except UserError as error:
            return _complain(error, 2)

    return guarded


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return code
