"""docs/tour.ipynb runs from beginning to end and shows a picture for every task; it is stored with its pictures."""

import base64
import importlib.util
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NEEDED = [name for name in ("nbclient", "ipykernel") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"not installed: {', '.join(NEEDED)}")
LARGEST = 1_500_000  # bytes


def pictures(notebook) -> list[np.ndarray]:
    data = [out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", [])]
    found = [base64.b64decode(values["image/jpeg"]) for values in data if "image/jpeg" in values]
    return [np.asarray(Image.open(io.BytesIO(picture))).astype(int) for picture in found]


def test_the_tour_runs_and_shows_what_is_stored(monkeypatch):
    import nbformat

    monkeypatch.syspath_prepend(ROOT / "docs")
    from run_tour import TOUR, run_tour

    stored = nbformat.read(TOUR, as_version=4)
    nbformat.validate(stored)
    assert TOUR.stat().st_size < LARGEST
    before, now = pictures(stored), pictures(run_tour())
    assert len(now) >= 8 and [p.shape for p in now] == [p.shape for p in before]
    for old, new in zip(before, now, strict=True):
        assert new.std() > 10
        assert np.abs(old - new).mean() < 8, "the stored picture is another one; run python docs/run_tour.py"
    sys.modules.pop("run_tour")
