"""The report of several methods by several measures."""

import csv
import io

import numpy as np
import pytest

from common.errors import DataError
from drawing.report.candidates import Comparison, Measure, candidate_page
from drawing.report.page import render


def comparison(count: int = 9) -> Comparison:
    base = np.arange(count, dtype=float)
    first = Measure("NME", "%", {"mean face": base + 2, "net": base})
    second = Measure("colour", "", {"net": np.where(base == 3, np.nan, base / 10)}, 4)
    groups = {"half": {"low": base < 4, "high": base >= 4}}
    return Comparison("Faces <x>", [f"face {i}" for i in range(count)], [first, second], {"data": "toy"}, groups)


def test_page_has_means_curves_and_groups():
    page = candidate_page(comparison())
    text = render(page)
    assert page.headline[0] == ("NME (%), net", "4.00") and "Faces &lt;x&gt;" in text
    assert "6.00 [" in text and ">–<" in text  # the mean face has no colour
    assert text.count("<svg") == 3 and "NME by half." in text


def test_csv_has_a_row_per_item():
    rows = list(csv.DictReader(io.StringIO(candidate_page(comparison()).files["items.csv"])))
    assert len(rows) == 9 and rows[3]["NME_mean_face"] == "5" and rows[3]["colour_net"] == "nan"


def test_nothing_scored_is_one_sentence():
    with pytest.raises(DataError, match="nothing was scored"):
        candidate_page(comparison(0))
