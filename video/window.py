"""A window that shows a webcam's frames, where there is a display."""

import os
import sys

import numpy as np

from common.errors import DataError

NO_DISPLAY = "no display here, so no window is shown; the video is written, Ctrl-C ends it"


def has_display() -> bool:
    """Whether windows can be opened: Linux needs a display server."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Window:
    """A window with one picture, closed by q, Escape or its button.

    OpenCV's are missing from its headless package, Tk comes with Python. Raises: DataError where it does not.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk  # noqa: F401  a part that some systems leave out

            self._root = tkinter.Tk()
        except ImportError:
            raise DataError(
                "a window needs Tk; install it (Debian: apt install python3-tk python3-pil.imagetk)."
            ) from None
        except tkinter.TclError as error:
            raise DataError(f"no window can be opened ({error}); unset DISPLAY to write the video alone.") from None
        self._root.title(title)
        self._label = tkinter.Label(self._root)
        self._label.pack()
        self._open = True
        for key in ("q", "<Escape>"):
            self._root.bind(key, lambda _: self._end())
        self._root.protocol("WM_DELETE_WINDOW", self._end)

    def _end(self) -> None:
        self._open = False

    def show(self, image: np.ndarray) -> bool:
        """(H, W, 3) uint8 RGB. Returns: False once the user has closed it."""
        from PIL import Image, ImageTk

        self._picture = ImageTk.PhotoImage(Image.fromarray(image))  # Tk shows it only while somebody holds it
        self._label.configure(image=self._picture)
        self._root.update()
        return self._open

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        self._root.destroy()
