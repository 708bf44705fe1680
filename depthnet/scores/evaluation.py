"""Scores of keypoint depths on all ordered pairs of a set of faces: DepthCorr, pose tables, keypoint errors, gauge-free
scores.

A DepthCorr is mostly pose: a rigid template that is turned with the face has it too. So `compare` puts the scores of
controls that learn nothing beside those of a model.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.readers.threedfaw import POSES, Keypoints
from depthnet.inference import all_pair_depths, all_pair_errors
from depthnet.scores.controls import template_constant
from geometry.lifted_affine import fix_gauge, plane_error
from metrics.depth import beyond_template, depth_corr, explained_variance, pair_corr


@dataclass(frozen=True)
class Faces:
    """Faces on a device: points (N, 66, 2), depth (N, 66) float32, poses (N,) or empty, mean training depth (66,)."""

    points: Tensor
    depth: Tensor
    poses: tuple[str, ...]
    mean: Tensor | None = None

    @classmethod
    def of(
        cls, keypoints: Keypoints, device: torch.device, count: int | None = None, train: Keypoints | None = None
    ) -> "Faces":
        """The first count faces (all) of a split; train: whose mean depth is the generic face of these data."""
        points, depth = torch.from_numpy(keypoints.points[:count]), torch.from_numpy(keypoints.depth[:count])
        poses = tuple(p for p in keypoints.poses[:count].tolist() if p)
        mean = None if train is None else torch.from_numpy(train.depth.astype(np.float64).mean(axis=0)).to(device)
        return cls(points.to(device), depth.to(device), poses if len(poses) == len(points) else (), mean)

    def __len__(self) -> int:
        return len(self.points)


def off_diagonal(values: Tensor) -> Tensor:
    """(N, N, …) → (N (N − 1), …) without i = j."""
    count = len(values)
    return values[~torch.eye(count, dtype=torch.bool, device=values.device)]


def pose_table(depth: Tensor, faces: Faces) -> list[list[float]]:
    """DepthCorr by pose: rows of sources, columns of targets (3 × 3); for depths (N, 1, 66) one column.

    Args: depth (N, N, 66), of source i for target j, or (N, 1, 66). Diagonal cells leave out i = j.
    """
    members = [torch.tensor([i for i, p in enumerate(faces.poses) if p == pose], device=depth.device) for pose in POSES]
    table = []
    for own in members:
        if depth.shape[1] == 1:
            table.append([depth_corr(depth[own, 0], faces.depth[own])])
            continue
        row = []
        for other in members:
            truth = faces.depth[own][:, None].expand(-1, len(other), -1)
            cell = depth[own][:, other]
            row.append(depth_corr(off_diagonal(cell), off_diagonal(truth)) if own is other else depth_corr(cell, truth))
        table.append(row)
    return table


def summarise(depth: Tensor, errors: Tensor, faces: Faces) -> dict:
    """All scores of one run.

    Args: depth (N, N, 66) or (N, 1, 66); errors (N, N) of all pairs, of which i = j is left out.
    Returns: depth_corr, table (with poses), kp_mean, kp_std (population), and what the gauge or a template cannot
    change:
        gauge_corr (both gauge-fixed), gauge_raw_corr (truth raw), cosine of z⊥, beyond (a constant template),
        beyond_mean (the mean training depth), pair_corr, r2 of the true depth on [z, x, y, 1], r2_gain over the
        constant template's.
    """
    errors = off_diagonal(errors.double())
    chosen, source, truth = depth, faces.points, faces.depth
    if depth.shape[1] == 1:
        chosen = depth[:, 0]
    else:
        chosen = off_diagonal(depth)
        source = off_diagonal(source[:, None].expand(-1, len(faces), -1, -1))
        truth = off_diagonal(truth[:, None].expand(-1, len(faces), -1))
    wide = source.double()
    ours, true = fix_gauge(wide, chosen.double()), fix_gauge(wide, truth.double())
    template = fix_gauge(wide, template_constant(wide))
    r2 = explained_variance(source, chosen, truth)
    gain = r2 - explained_variance(source, template_constant(source), truth)
    scores = {
        "depth_corr": depth_corr(chosen, truth),
        "kp_mean": float(errors.mean()),
        "kp_std": float(errors.std(correction=0)),
        "gauge_corr": depth_corr(ours, true),
        "gauge_raw_corr": depth_corr(ours, truth),
        "cosine": float((ours * true).sum(dim=1).mean()),
        "beyond": float(beyond_template(ours, true, template).mean()),
        "pair_corr": float(pair_corr(chosen, truth).mean()),
        "r2": float(r2.mean()),
        "r2_gain": float(gain.mean()),
    }
    if faces.mean is not None:
        generic = fix_gauge(wide, faces.mean.expand(wide.shape[:-1]))
        scores["beyond_mean"] = float(beyond_template(ours, true, generic).mean())
    return scores | ({"table": pose_table(depth, faces)} if faces.poses else {})


def score_networks(networks: torch.nn.Module, faces: Faces, full: bool = True) -> list[dict]:
    """Scores of every run (seed) of a model; full=False: depth_corr, kp_mean and kp_std alone."""
    depths, affines = all_pair_depths(networks, faces.points, faces.points)
    rows = []
    for run, depth in enumerate(depths):
        errors = all_pair_errors(faces.points, depth, faces.points, None if affines is None else affines[run])
        rows.append(summarise(depth, errors, faces) if full else quick_scores(depth, errors, faces))
    return rows


def quick_scores(depth: Tensor, errors: Tensor, faces: Faces) -> dict[str, float]:
    """What upstream prints, without the pose table."""
    errors = off_diagonal(errors)
    truth = faces.depth[:, None]
    if depth.shape[1] > 1:
        depth, truth = off_diagonal(depth), off_diagonal(truth.expand(-1, len(faces), -1))
    mean, std = float(errors.mean()), float(errors.std(correction=0))
    return {"depth_corr": depth_corr(depth, truth), "kp_mean": mean, "kp_std": std}


def score_controls(controls: dict[str, Callable[[Tensor], Tensor]], faces: Faces) -> dict[str, dict]:
    """Scores of the controls, of the true depth, and the error of the plain 2D affine fit, by name."""
    depths = {name: control(faces.points) for name, control in controls.items()} | {"true depth": faces.depth}
    rows = {}
    for name, depth in depths.items():
        errors = all_pair_errors(faces.points, depth[:, None], faces.points)
        rows[name] = summarise(depth[:, None], errors, faces)
    flat = plane_error(faces.points[:, None].double(), faces.points[None].double())
    flat = off_diagonal(flat)
    rows["2D affine"] = {"kp_mean": float(flat.mean()), "kp_std": float(flat.std(correction=0))}
    return rows
