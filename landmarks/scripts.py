"""What every script of the autoencoder does around its one call: settings, errors, exit codes."""

from collections.abc import Callable

import training.scripts
from datasets.errors import DataError


def run_script(run: Callable, settings_type: type, manual: str, arguments: list[str] | None) -> int:
    """See `training.scripts.run_script`; bad user data is wrong input."""
    return training.scripts.run_script(run, settings_type, manual, arguments, (DataError,))
