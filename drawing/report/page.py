"""A report as data, and the one HTML file that it becomes: no scripts, no other files, nothing from the network."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from common.errors import DataError
from common.files.atomic import write_file

TEMPLATE = Path(__file__).with_name("page.html")
PAGE_NAME = "report.html"
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Table:
    """Rows of cells under their titles; cells are text, numbers already formatted."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Chart:
    """An SVG element as text, of `drawing.report.charts`."""

    svg: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Picture:
    """(H, W, 3) uint8 RGB, shown at its own size or smaller."""

    pixels: np.ndarray
    caption: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True)
class Gallery:
    """Pictures in rows under a heading; folded ones open by a click."""

    title: str
    pictures: Sequence[Picture]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, sentences, then tables, charts and galleries in that order."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    galleries: Sequence[Gallery] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes: headline: (name, value) of the few numbers that stand on top; protocol: how they came about, by name;
        files: text of the csv files beside the page, by file name.
    """

    title: str
    headline: Sequence[tuple[str, str]]
    protocol: Mapping[str, object]
    sections: Sequence[Section]
    files: Mapping[str, str] = field(default_factory=dict)


def render(page: Page) -> str:
    """The HTML text. All text of the page is escaped; the charts' SVG is not."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(page=page)


def write_report(folder: Path, page: Page) -> Path:
    """`report.html` and the csv files of the page into a folder, which is made. Returns: the page's path.

    Raises: DataError when the folder cannot be written.
    """
    folder = Path(folder)
    try:
        for name, text in page.files.items():
            write_file(folder / name, text)
        return write_file(folder / PAGE_NAME, render(page))
    except OSError as error:
        raise DataError(f"--report {folder}: cannot be written ({error.strerror}); name another folder.") from None
