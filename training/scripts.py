"""What every script does around its one call: settings, errors, exit codes."""

import dataclasses
import json
import sys
from collections.abc import Callable

from training.checkpoint import json_safe
from training.config import ConfigError, parse_settings
from training.loop import DivergenceError, Interrupted


def run_script(
    run: Callable, settings_type: type, manual: str, arguments: list[str] | None, bad_input: tuple[type, ...] = ()
) -> int:
    """Parse, run, and turn expected errors into one sentence on standard error.

    Args: bad_input: exceptions that mean wrong input, beside ConfigError.
    Returns: exit code: 0 done, 2 wrong input, 3 diverged, 130/143 interrupted.
    """
    try:
        settings, local, dry_run = parse_settings(settings_type, manual, sys.argv[1:] if arguments is None else arguments)
        if dry_run:
            sys.stdout.write(json.dumps(json_safe(dataclasses.asdict(settings)), indent=1) + "\n")
            return 0
        run(settings, local)
    except (ConfigError, *bad_input) as error:
        return _complain(error, 2)
    except DivergenceError as error:
        return _complain(error, 3)
    except Interrupted as error:
        return _complain(error, error.exit_code)
    return 0


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return code
