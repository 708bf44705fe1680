"""A page in the browser: all tasks on photos, samples and pictures of a webcam, and a head with sliders.

    python app.py                                # http://127.0.0.1:7860, until Ctrl-C
    python app.py --port 8000 --host 0.0.0.0     # for other machines of the network, too
    python app.py --max-mb 5 --max-megapixels 8  # what an upload may have

Nothing is kept: uploads and results lie in a temporary folder that is removed when a visit ends, and at the latest with
the program. Nothing is loaded from elsewhere. Needs the extra app (Gradio).
"""

import importlib.util
import os
import signal
import sys
from dataclasses import dataclass

from common.config import LocalConfig, option
from common.errors import DataError
from common.scripts import run_script


@dataclass(frozen=True)
class AppSettings:
    """app.py."""

    host: str = option("127.0.0.1", "address to serve on; 0.0.0.0: all of this machine", group="run")
    port: int = option(7860, "port to serve on", group="run", minimum=1, maximum=65535)
    open: bool = option(False, "open the page in the browser", group="run")
    max_mb: float = option(15.0, "size of an upload in megabytes", group="data", minimum=0.01, maximum=500)
    max_megapixels: float = option(25.0, "size of a photo", group="data", minimum=0.01, maximum=50)


def run_app(settings: AppSettings, local: LocalConfig) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises: DataError where Gradio is not installed or the port is taken."""
    if importlib.util.find_spec("gradio") is None:
        raise DataError("app.py needs Gradio, which is not installed; pip install 'faces-in-pytorch[app]'.")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from webpage.folders import PageFolders

    folders = PageFolders()  # before Gradio is imported, which asks where its files go
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        from webpage.page import CSS, THEME, Page

        blocks = Page(folders, round(settings.max_megapixels * 1e6)).build()
        blocks.launch(
            server_name=settings.host,
            server_port=settings.port,
            inbrowser=settings.open,
            max_file_size=round(settings.max_mb * 1e6),
            share=False,
            show_error=True,
            ssr_mode=False,
            theme=THEME,
            css=CSS,
            allowed_paths=[str(folders.root)],
        )
    except OSError as error:
        raise DataError(f"--port {settings.port}: cannot be served ({error}); choose another port.") from None
    finally:
        folders.close()


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 stopped, 2 wrong input."""
    return run_script(run_app, AppSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
