"""One writer per session: a lock that the system takes back when its process ends, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator

from common.errors import ConfigError
from common.runtime import main_object

try:
    import fcntl
except ImportError:  # Windows: no lock there
    fcntl = None

LOCK_FILE = ".lock"


@contextmanager
def session_lock(session: Path, accelerator: Accelerator) -> Iterator[None]:
    """Hold the session's folder; process 0 does it for all. Raises: ConfigError on every process where another run has
    it.
    """
    stream, problem = None, None
    if accelerator.is_main_process:
        try:
            session.mkdir(parents=True, exist_ok=True)
            stream = (session / LOCK_FILE).open("w")
            if fcntl is not None:
                # a record lock: loader workers do not inherit it, so it ends with this process and not with the last of
                # them
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = (
                f"session '{session.name}' is being trained by another process; wait, or give another --sessionname."
            )
        except OSError as error:
            problem = f"{session}: cannot be written ({error.strerror}); choose another place for [Paths] data."
    try:
        problem = main_object(problem, accelerator)
        if problem is not None:
            raise ConfigError(problem)
        yield
    finally:
        if stream is not None:
            stream.close()
