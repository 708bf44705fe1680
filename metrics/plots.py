"""Plots of scores."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from metrics.landmarks import per_image
from metrics.report import LandmarkReport


def plot_ced(reports: dict[str, LandmarkReport], path: Path) -> None:
    """Cumulative error distribution of one or several reports up to the first one's threshold; AUC and FR in the legend."""
    protocol = next(iter(reports.values())).protocol
    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    for label, report in reports.items():
        errors = np.sort(per_image(report.errors).nan_to_num(nan=np.inf).numpy())
        share = np.arange(1, len(errors) + 1) / len(errors) * 100
        summary = report.summary()
        text = f"{label}: NME {summary['nme']:.2f} %, AUC {summary['auc']:.3f}, FR {summary['failure_rate']:.1f} %"
        axes.step(np.r_[0, errors], np.r_[0, share], where="post", label=text)
    axes.set(
        xlim=(0, protocol.threshold), ylim=(0, 100), xlabel=f"NME (% of {protocol.normaliser})", ylabel="images (%)",
        title=f"{protocol.dataset}/{protocol.split}, {protocol.scheme}, n = {len(errors)}",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
