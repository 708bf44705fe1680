"""Console lines with time stamps that do not break the progress bar."""

import logging

from tqdm import tqdm


class TqdmHandler(logging.Handler):
    """Console lines that do not break the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record))


def console() -> logging.Logger:
    """The logger of all scripts: `[YYYY-mm-dd HH:MM:SS] text` on standard output."""
    logger = logging.getLogger("faces")
    if not logger.handlers:
        handler = TqdmHandler()
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger
