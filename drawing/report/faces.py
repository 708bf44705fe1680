"""The faces of a test set as a report groups them: pose and size from the annotated points, and their labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
import torch

from geometry.face_template import template_angles, to_66
from geometry.schemes import FAW_66, IBUG_68, WFLW_98, WFLW_98_TO_IBUG_68, LandmarkScheme

YAW_EDGES_DEG = (-90, -45, -25, -10, 10, 25, 45, 90)
PITCH_EDGES_DEG = (-90, -15, -5, 5, 15, 90)
SIZE_BINS = 5  # of equal numbers of faces
MOST_LABELS = 12  # of a label with more values than this nothing can be read off
Masks = dict[str, np.ndarray]  # bin → (N,) bool


@dataclass(frozen=True)
class AnnotatedFaces:
    """Annotated faces of one test set.

    Attributes:
        names: (N,), unique.  truth: (N, K, 2) px of the photos, NaN where a point is not annotated.
        labels: of each face, by name.
        thumbnail: number of a face → picture (S, S, 3) uint8 of it and (2, 3) matrix from photo px to px of the
            picture; raises DataError where the photo cannot be read.
    """

    names: Sequence[str]
    truth: np.ndarray
    scheme: LandmarkScheme
    labels: Sequence[Mapping[str, object]]
    thumbnail: Callable[[int], tuple[np.ndarray, np.ndarray]]

    @cached_property
    def sizes_px(self) -> np.ndarray:
        """(N,) √(width · height) of the box of the points."""
        return np.sqrt(np.prod(np.nanmax(self.truth, 1) - np.nanmin(self.truth, 1), axis=1))

    @cached_property
    def angles_deg(self) -> np.ndarray | None:
        """(N, 3) pitch, yaw, roll of a generic head fitted to the points, NaN where one is missing; None for schemes
        without the 66 points that it takes.
        """
        points = self._points_66()
        if points is None:
            return None
        angles = np.full((len(points), 3), np.nan)
        whole = np.isfinite(points).all((1, 2))
        if whole.any():
            angles[whole] = template_angles(torch.from_numpy(points[whole]).double()).numpy()
        return angles

    def _points_66(self) -> np.ndarray | None:
        if self.scheme.name == FAW_66.name:
            return self.truth
        if self.scheme.name == WFLW_98.name:
            return to_66(self.truth[:, WFLW_98_TO_IBUG_68])
        return to_66(self.truth) if self.scheme.name == IBUG_68.name else None

    def groups(self) -> dict[str, Masks]:
        """All ways to part the faces that these data allow, by name; every bin holds a face."""
        found = {"face size": size_bins(self.sizes_px)}
        if self.angles_deg is not None:
            found["yaw (estimated from the points)"] = angle_bins(self.angles_deg[:, 1], YAW_EDGES_DEG)
            found["pitch (estimated from the points)"] = angle_bins(self.angles_deg[:, 0], PITCH_EDGES_DEG)
        folders = [str(PurePosixPath(name).parent) for name in self.names]
        found |= {"folder": value_bins(folders)} | self._by_label()
        parted = {name: {label: mask for label, mask in bins.items() if mask.any()} for name, bins in found.items()}
        return {name: bins for name, bins in parted.items() if len(bins) > 1}

    def _by_label(self) -> dict[str, Masks]:
        """One way per label; yes-or-no labels together are one."""
        keys = dict.fromkeys(key for labels in self.labels for key in labels)
        found: dict[str, Masks] = {}
        for key in keys:
            values = [labels.get(key) for labels in self.labels]
            if all(isinstance(value, bool) for value in values):
                found.setdefault("attribute", {})[key] = np.array(values)
            else:
                found[key] = value_bins(["unknown" if value is None else str(value) for value in values])
        if "attribute" in found:
            found["attribute"]["none of these"] = ~np.any(list(found["attribute"].values()), axis=0)
        return found


def angle_bins(angles_deg: np.ndarray, edges: Sequence[float]) -> Masks:
    """(N,) angles between consecutive edges; NaN belongs to no bin."""
    return {f"{low:+d}° … {high:+d}°": (angles_deg >= low) & (angles_deg < high) for low, high in zip(edges, edges[1:])}


def size_bins(sizes: np.ndarray) -> Masks:
    """(N,) sizes in bins of about equal numbers."""
    known = sizes[np.isfinite(sizes)]
    if not len(known):
        return {}
    edges = np.unique(np.round(np.quantile(known, np.linspace(0, 1, SIZE_BINS + 1))))
    edges[0], edges[-1] = np.floor(known.min()), np.ceil(known.max()) + 1
    return {f"{low:.0f} … {high:.0f} px": (sizes >= low) & (sizes < high) for low, high in zip(edges, edges[1:])}


def value_bins(values: Sequence[str]) -> Masks:
    """(N,) words by their value; nothing where there are too many values to compare."""
    distinct = sorted(set(values))
    if len(distinct) > MOST_LABELS:
        return {}
    return {value: np.array([v == value for v in values]) for value in distinct}
