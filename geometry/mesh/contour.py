"""Jaw landmarks as annotators see them: on the side turned away they slide to the head's silhouette (Zhu et al.
2015).
"""

import torch
from torch import Tensor

TURNED_AWAY_RAD = 0.09  # 5°: from here on the far jaw is a silhouette


def silhouette_choice(lines: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Which vertex of each contour line a jaw landmark lies on.

    Args: lines (B, R, L, 3) positions along the R contour lines of a face model, entry 0 being the landmark itself;
        rotation (B, 3, 3) model → camera.
    Returns: index (B, R) into the line, 0 where the landmark stays; moved (B, R) bool.
    """
    count, rows = lines.shape[:2]
    across = (lines @ rotation[:, None, 0, :, None])[..., 0]
    yaw = torch.asin(rotation[:, 0, 2].clamp(-1, 1))  # > 0: turned toward the right of the picture
    row = torch.arange(rows, device=lines.device)
    side = torch.where(row < rows // 2, -1.0, 1.0).to(
        lines
    )  # the first half of the jaw lies on the left of the picture
    moved = (side * yaw[:, None] > TURNED_AWAY_RAD) & (row != rows // 2)
    outermost = (across * side[:, None]).argmax(-1)
    return torch.where(moved, outermost, 0), moved
