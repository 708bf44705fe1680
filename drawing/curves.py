"""Plots of scores."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from metrics.landmarks import per_image
from metrics.report import LandmarkReport


def plot_ced(reports: dict[str, LandmarkReport], path: Path) -> None:
    """Cumulative error distribution of one or several reports up to the first one's threshold; AUC and FR in the
    legend.
    """
    protocol = next(iter(reports.values())).protocol
    figure = Figure(figsize=(6, 4.5), layout="constrained")  # not pyplot: no window, no global back end
    axes = figure.add_subplot()
    for label, report in reports.items():
        errors = np.sort(per_image(report.errors).nan_to_num(nan=np.inf).numpy())
        within = errors[errors <= protocol.threshold]
        share = np.arange(len(within) + 1) / max(len(errors), 1) * 100
        summary = report.summary()
        scores = f"NME {summary['nme']:.2f} %, AUC {summary['auc']:.3f}, FR {summary['failure_rate']:.1f} %"
        text = f"{label}: {scores}, n = {len(errors)}"
        axes.step(np.r_[0, within, protocol.threshold], np.r_[share, share[-1]], where="post", label=text)
    axes.set(
        xlim=(0, protocol.threshold),
        ylim=(0, 100),
        xlabel=f"NME (% of {protocol.normaliser})",
        ylabel="images (%)",
        title=f"{protocol.dataset}/{protocol.split}, {protocol.scheme}",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
