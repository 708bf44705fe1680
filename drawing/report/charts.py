"""The charts of a report as SVG text: error curves, means with intervals, errors on a mean face, scatter plots."""

import io
import itertools
import re
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from metrics.bootstrap import Estimate

# Okabe and Ito 2008: told apart with every kind of colour vision
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLE = {
    "svg.fonttype": "none",  # the page's own font, and words that can be searched
    "text.parse_math": False,  # a $ in the name of a model is a $
    "font.size": 9,
    "font.family": ["sans-serif"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a93a5",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ef",
    "legend.frameon": False,
}
_numbers = itertools.count()


def colour_of(number: int) -> str:
    """The colour of the n-th model in all charts of a page."""
    return COLOURS[number % len(COLOURS)]


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")  # not pyplot: no window, no global back end


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element without a fixed size, whose ids occur nowhere else on the page."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": f"chart{next(_numbers)}", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    return re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)


def ced_chart(curves: Mapping[str, np.ndarray], threshold: float, unit: str, legend: Mapping[str, str]) -> str:
    """Cumulative error distributions up to the threshold.

    Args: curves: name → (N,) error of every face, inf or NaN for a missed one; unit: of the errors; legend: name →
        what stands behind it.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.4, 4.2)
        axes = figure.add_subplot()
        for number, (name, values) in enumerate(curves.items()):
            errors = np.sort(np.where(np.isnan(values), np.inf, values))
            within = errors[errors <= threshold]
            share = np.arange(len(within) + 1) / max(len(errors), 1) * 100
            label = f"{name}: {legend.get(name, '')}".rstrip(": ")
            points = np.r_[0, within, threshold], np.r_[share, share[-1]]
            axes.step(*points, where="post", label=label, color=colour_of(number), lw=1.6)
        axes.set(xlim=(0, threshold), ylim=(0, 100), xlabel=f"error ({unit})", ylabel="faces within (%)")
        axes.legend(loc="lower right", fontsize=8)
        return to_svg(figure)


def interval_chart(groups: Mapping[str, Mapping[str, Estimate]], unit: str) -> str:
    """Means with 95 % intervals. Args: groups: model → bin → estimate; bins in the order of the first model."""
    bins = list(next(iter(groups.values())))
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.4, 0.9 + 0.26 * len(bins) * (1 + 0.45 * (len(groups) - 1)))
        axes = figure.add_subplot()
        step = 0.7 / len(groups)
        for number, (name, found) in enumerate(groups.items()):
            places = np.arange(len(bins)) + (number - (len(groups) - 1) / 2) * step
            means = np.array([found[label].mean for label in bins])
            ends = np.array([(found[label].low, found[label].high) for label in bins]).T
            ends = np.where(np.isfinite(ends), ends, means)  # one face has no interval
            axes.hlines(places, *ends, color=colour_of(number), lw=2.2, alpha=0.5)
            axes.plot(means, places, "o", color=colour_of(number), ms=5, label=name)
        first = next(iter(groups.values()))
        axes.set_yticks(range(len(bins)), [f"{label}  (n = {first[label].count})" for label in bins])
        axes.invert_yaxis()
        axes.set(xlabel=f"mean error ({unit}), 95 % interval")
        axes.set_xlim(left=0)
        axes.grid(axis="y", visible=False)
        if len(groups) > 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", fontsize=8, ncols=len(groups))
        return to_svg(figure)


def face_chart(
    shape: np.ndarray,
    contours: Sequence[Sequence[int]],
    values: Mapping[str, np.ndarray],
    unit: str,
    spreads: Mapping[str, np.ndarray] | None = None,
) -> str:
    """A value per landmark as colour on a mean face, one panel per model with one scale for all.

    Args: shape (K, 2), y down; contours of its scheme; values: model → (K,), NaN for no value; spreads: model → (K, 2,
        2) covariance of the errors in the units of the shape, drawn as ellipses of one standard deviation.
    """
    finite = np.concatenate([v[np.isfinite(v)] for v in values.values()]) if values else np.zeros(1)
    scale = Normalize(0, float(finite.max(initial=1e-6)))
    low, high = np.nanmin(shape, 0), np.nanmax(shape, 0)
    margin = 0.12 * float((high - low).max())
    with matplotlib.rc_context({**_STYLE, "axes.grid": False}):
        figure = _figure(4.6 * len(values) + 0.6, 4.8)
        panels = figure.subplots(1, len(values), squeeze=False)[0]
        for axes, (name, errors) in zip(panels, values.items(), strict=True):
            for line in contours:
                axes.plot(*shape[list(line)].T, color="#c3c9d4", lw=1, zorder=1)
            for point, spread in zip(shape, (spreads or {}).get(name, ()), strict=False):
                if np.isfinite(spread).all():
                    axes.add_patch(_ellipse(point, spread))
            dots = axes.scatter(*shape.T, c=errors, cmap="viridis", norm=scale, s=34, zorder=3, edgecolors="w", lw=0.6)
            axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(high[1] + margin, low[1] - margin), aspect="equal")
            axes.set_axis_off()
            axes.set_title(name if len(values) > 1 else "", fontsize=10)
        figure.colorbar(dots, ax=list(panels), label=unit, shrink=0.7, pad=0.02)
        return to_svg(figure)


def _ellipse(centre: np.ndarray, covariance: np.ndarray) -> Ellipse:
    variances, axes = np.linalg.eigh(covariance)
    width, height = 2 * np.sqrt(np.maximum(variances[::-1], 0))
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    return Ellipse(centre, width, height, angle=angle, fc="#0072b2", alpha=0.18, lw=0, zorder=2)


def scatter_chart(
    points: Mapping[str, tuple[np.ndarray, np.ndarray]], x_label: str, y_label: str, diagonal: bool = False
) -> str:
    """Two numbers of every face. Args: points: name → x (N,), y (N,); diagonal: also the line x = y."""
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.0, 4.4)
        axes = figure.add_subplot()
        for number, (name, (x, y)) in enumerate(points.items()):
            axes.scatter(x, y, s=9, alpha=0.55, color=colour_of(number), lw=0, label=name)
        if diagonal:
            axes.axline((0, 0), slope=1, color="#8a93a5", lw=1)
        axes.set(xlabel=x_label, ylabel=y_label)
        if len(points) > 1:
            axes.legend(fontsize=8)
        return to_svg(figure)
