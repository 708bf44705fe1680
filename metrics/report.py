"""A score with its protocol: collected batch by batch, printed in one line, written as JSON and CSV."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from geometry.schemes import LandmarkScheme
from metrics.landmarks import (
    auc,
    auc_steps,
    effective_normaliser,
    failure_count,
    failure_rate,
    gte_errors,
    landmark_errors,
    mean_error,
    normaliser,
    per_image,
    std_nme,
)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a score came about; travels with it everywhere.

    Attributes: threshold in %; flip: heatmaps averaged with the mirrored crop's; subpixel: False = integer peaks;
        auc_steps: 0 = exact AUC, 50 = 3FabRec's sum; readout: where the landmarks come from.
    """

    dataset: str
    split: str
    scheme: str
    normaliser: str
    crop: str = ""
    threshold: float = 10.0
    seed: int = 0
    commit: str = ""
    flip: bool = False
    subpixel: bool = True
    auc_steps: int = 0
    readout: str = "heatmaps"


class LandmarkReport:
    """Errors of all images, a few floats per landmark and nothing else, whatever the size of the photos.

    Attributes: controls: reports by name of answers that need no network, on the same images; extra: further numbers by
        name; points: (K, 2) predicted points in px of the photo, by name of the image, where they were kept.
    """

    def __init__(self, protocol: Protocol, scheme: LandmarkScheme) -> None:
        self.protocol = dataclasses.replace(protocol, normaliser=effective_normaliser(scheme, protocol.normaliser))
        self.scheme = scheme
        self.names: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.controls: dict[str, LandmarkReport] = {}
        self.extra: dict[str, float] = {}
        self.points: dict[str, np.ndarray] = {}
        self._errors: list[Tensor] = []
        self._gte: list[Tensor] = []

    def add(
        self, names: Sequence[str], predicted: Tensor, truth: Tensor, visibility: Tensor | None, image_size: float
    ) -> None:
        """One batch: (B, K, 2 or 3) landmarks in crop px, (B, K) visibility. NME is of x and y; GTE needs depths."""
        flat = truth[..., :2]
        distances = normaliser(flat, self.scheme, self.protocol.normaliser, image_size, visibility)
        # on the CPU, so that a long run fills no device memory and failures join from anywhere
        self._errors.append(landmark_errors(predicted[..., :2], flat, distances, visibility).cpu())
        if predicted.shape[-1] == 3 and truth.shape[-1] == 3:
            self._gte.append(gte_errors(predicted, truth, self.scheme, visibility, image_size).cpu())
        self.names += list(names)

    def keep(self, name: str, points: np.ndarray) -> None:
        """Remember an image's predicted points, (K, 2 or 3) px of the photo, to draw them later."""
        self.points[name] = np.asarray(points, dtype=np.float32)[:, :2]

    def add_failure(self, name: str, reason: str) -> None:
        """An image without a prediction: error inf, named in the summary."""
        self.failures.append((name, reason))
        self.names.append(name)
        self._errors.append(torch.full((1, self.scheme.num_points), torch.inf))

    @property
    def errors(self) -> Tensor:
        """(N, K) in %; inf rows are failures, NaN points do not count."""
        return torch.cat(self._errors) if self._errors else torch.zeros(0, self.scheme.num_points)

    def summary(self) -> dict:
        """All numbers, failures by name, and the protocol. NaN where there is nothing to average.

        excluded names every image without a finite error (no prediction, no visible point, normaliser 0): it is a
        failure in FR and AUC and stays out of the means.
        """
        errors = self.errors
        means = per_image(errors)
        threshold, protocol = self.protocol.threshold, self.protocol
        area = auc_steps(means, threshold, protocol.auc_steps) if protocol.auc_steps else auc(means, threshold)
        numbers: dict = {
            "n": len(errors),
            "nme": mean_error(errors),
            "nme_inner": mean_error(errors, self.scheme.inner),
            "std_nme": std_nme(errors),
            "failure_rate": failure_rate(means, threshold),
            "failures": failure_count(means, threshold),
            "auc": area,
            "excluded": [
                name for name, mean in zip(self.names, means.tolist(), strict=True) if not math.isfinite(mean)
            ],
        }
        if self.scheme.outline:
            numbers["nme_outline"] = mean_error(errors, self.scheme.outline)
        if self._gte:
            gte = torch.cat(self._gte)
            kind = effective_normaliser(self.scheme, "outer")
            numbers |= {"gte": mean_error(gte), "std_gte": std_nme(gte), "gte_normaliser": kind}
        if self.controls:
            numbers["controls"] = {name: control.summary()["nme"] for name, control in self.controls.items()}
        numbers |= self.extra
        unread = [{"name": name, "reason": reason} for name, reason in self.failures]
        return numbers | {"without_prediction": unread, "protocol": dataclasses.asdict(protocol)}

    def line(self) -> str:
        """The score on one line with everything that is needed to compare it."""
        s, p = self.summary(), self.protocol
        kind = f"steps{p.auc_steps}" if p.auc_steps else "exact"
        parts = [
            f"{p.dataset}/{p.split} {p.scheme}  NME {s['nme']:.2f} %",
            f"norm={p.normaliser}",
            f"crop={p.crop or '-'}",
            f"AUC@{p.threshold:g}({kind}) {s['auc']:.4f}",
            f"FR@{p.threshold:g} {s['failure_rate']:.2f} % ({s['failures']})",
            f"n={s['n']}",
            f"without-prediction={len(self.failures)}",
            f"excluded={len(s['excluded'])}",
            f"flip={int(p.flip)}",
            f"subpixel={int(p.subpixel)}",
            f"readout={p.readout}",
            f"seed={p.seed}",
            f"commit={p.commit or '-'}",
        ]
        if "gte" in s:
            parts.insert(1, f"GTE {s['gte']:.2f} %")
        return "  ".join(parts)

    def block(self) -> str:
        """The papers' block of lines."""
        s = self.summary()
        lines = [
            f"NME:   {s['nme']:6.3f}",
            f"STD_NME:   {s['std_nme']:6.3f}",
            f"FR@{self.protocol.threshold:g}: {s['failure_rate']:6.3f} ({s['failures']})",
            f"AUC:   {s['auc']:6.4f}",
        ]
        if "gte" in s:
            lines += [f"GTE:   {s['gte']:6.3f}", f"STD_GTE:   {s['std_gte']:6.3f}"]
        lines += [f"control, {name}: NME {nme:6.3f}" for name, nme in s.get("controls", {}).items()]
        lines += [f"{name}: {value:6.3f}" for name, value in self.extra.items()]
        return "\n".join(lines)

    def csv_text(self) -> str:
        """One row per image: name, NME of all, inner and outline points, largest error; in %."""
        errors = self.errors
        columns = [per_image(errors), per_image(errors, self.scheme.inner)]
        header = ["name", "nme", "nme_inner"]
        if self.scheme.outline:
            columns.append(per_image(errors, self.scheme.outline))
            header.append("nme_outline")
        largest = errors.nan_to_num(nan=-1.0, posinf=torch.inf).amax(dim=1)
        columns.append(largest.masked_fill(largest < 0, torch.nan))
        rows = torch.stack(columns, dim=1).tolist()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*header, "max"])
        writer.writerows([name, *(f"{value:.4f}" for value in row)] for name, row in zip(self.names, rows, strict=True))
        return text.getvalue()

    def json_text(self) -> str:
        """The summary; numbers that JSON has no word for become null."""
        return json.dumps(_finite(self.summary()), indent=1)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list) else value
