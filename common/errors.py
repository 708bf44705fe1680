"""The errors that a user reads: one sentence that names the file or option and the remedy; scripts print it and exit
with 2.
"""

from pathlib import Path


class UserError(ValueError):
    """Something that the user gave is wrong; the message is one sentence with the remedy."""


class ConfigError(UserError):
    """A setting is wrong."""


class CheckpointError(ConfigError):
    """A checkpoint is missing, damaged or of another architecture."""


class DataError(UserError):
    """Something about the user's data is wrong."""


class FaceModelError(UserError):
    """A face model is missing, damaged or does not have what is asked of it."""


class MeshFileError(UserError):
    """A mesh cannot be written, or a file is no mesh."""


class DivergenceError(RuntimeError):
    """A loss or a weight is not finite."""


class Interrupted(RuntimeError):
    """SIGINT or SIGTERM arrived; the state is saved. `exit_code` is 130 or 143."""

    def __init__(self, signal_number: int, snapshot: Path) -> None:
        super().__init__(f"interrupted; continue with --resume {snapshot}")
        self.exit_code = 128 + signal_number
