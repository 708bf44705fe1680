"""The report of several methods on the same items by one or several measures: depths, meshes, reconstructions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.errors import DataError
from drawing.report.charts import ced_chart, interval_chart, scatter_chart
from drawing.report.faces import Masks
from drawing.report.landmarks import csv_text
from drawing.report.page import Chart, Page, Section, Table
from metrics.bootstrap import Estimate

CED_QUANTILE = 0.98  # of the errors, where the axis of the curves ends


@dataclass(frozen=True)
class Measure:
    """One number per item and method: values by method (N,), NaN where there is none; smaller is better.

    Methods may lack a measure.
    """

    title: str
    unit: str
    values: Mapping[str, np.ndarray]
    decimals: int = 2

    @property
    def label(self) -> str:
        """For an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Comparison:
    """What `candidate_page` shows.

    Attributes: names (N,) of the items; measures, the first of which decides; groups: ways to part the items; sections:
        what only this benchmark has, behind the scores; note: a sentence under the scores.
    """

    title: str
    names: Sequence[str]
    measures: Sequence[Measure]
    protocol: Mapping[str, object]
    groups: Mapping[str, Masks] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    note: str = ""


def candidate_page(comparison: Comparison) -> Page:
    """Scores with intervals, error curves, the first two measures against each other, groups. Raises: DataError for no
    item.
    """
    if not len(comparison.names):
        raise DataError("--report: nothing was scored; check the data.")
    first = comparison.measures[0]
    *_, last = first.values
    sections = [_scores(comparison, first)]
    charts = [
        Chart(interval_chart(_estimates(first, bins), first.label), f"{first.title} by {title}.")
        for title, bins in comparison.groups.items()
    ]
    sections += [Section("Error by group", "", (), charts)] if charts else []
    value = Estimate.of(first.values[last])
    return Page(
        comparison.title,
        [(f"{first.label}, {last}", f"{value.mean:.{first.decimals}f}"), ("scored", str(len(comparison.names)))],
        comparison.protocol,
        [*sections, *comparison.sections],
        {"items.csv": _csv(comparison)},
    )


def _estimates(measure: Measure, bins: Masks) -> dict[str, dict[str, Estimate]]:
    return {
        name: {label: Estimate.of(values[mask]) for label, mask in bins.items()}
        for name, values in measure.values.items()
    }


def _scores(comparison: Comparison, first: Measure) -> Section:
    methods = list(dict.fromkeys(name for measure in comparison.measures for name in measure.values))
    rows = []
    for name in methods:
        cells = [Estimate.of(m.values[name]).text(m.decimals) if name in m.values else "–" for m in comparison.measures]
        known = [np.isfinite(m.values[name]).sum() for m in comparison.measures if name in m.values]
        rows.append([name, *cells, str(max(known))])
    caption = " ".join(["Means with 95 % bootstrap intervals.", comparison.note]).strip()
    table = Table(["method", *(measure.label for measure in comparison.measures), "n"], rows, caption)
    everything = np.concatenate([values[np.isfinite(values)] for values in first.values.values()])
    charts = []
    if len(everything):
        end = float(np.quantile(everything, CED_QUANTILE)) or 1.0
        legend = {name: f"mean {Estimate.of(v).mean:.{first.decimals}f}" for name, v in first.values.items()}
        charts.append(Chart(ced_chart(first.values, end, first.label, legend), "Cumulative error distribution."))
    for second in comparison.measures[1:2]:
        both = {name: (values, second.values[name]) for name, values in first.values.items() if name in second.values}
        if both:
            charts.append(Chart(scatter_chart(both, first.label, second.label), f"{first.title} and {second.title}."))
    return Section("Scores", "", [table], charts)


def _csv(comparison: Comparison) -> str:
    """One row per item, one column per measure and method."""
    columns = {
        f"{measure.title}_{name}".replace(" ", "_"): values
        for measure in comparison.measures
        for name, values in measure.values.items()
    }
    rows = [[name, *(f"{v[i]:.5g}" for v in columns.values())] for i, name in enumerate(comparison.names)]
    return csv_text(["name", *columns], rows)
