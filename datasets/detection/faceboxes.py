"""FaceBoxes as a detector: 3DDFA_V2's weights, priors made at once and kept per size, torchvision's suppression."""

import functools
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from common.checkpoint import load_strict, read_state
from common.errors import DataError
from datasets.detection.boxes import Detection
from networks.faceboxes import FaceBoxes

MEAN_RGB = (123.0, 117.0, 104.0)
MAX_HEIGHT, MAX_WIDTH = 720, 1080  # larger photos are scaled down: to the height first, then to the width
VARIANCES = (0.1, 0.2)
CANDIDATE_SCORE, CANDIDATES, OVERLAP, MOST_FACES = 0.05, 5000, 0.3, 750
# stride, then (side px, priors along a cell's side, first centre in the cell) for each size
LEVELS = ((32, ((32, 4, 0.0), (64, 2, 0.0), (128, 1, 0.5))), (64, ((256, 1, 0.5),)), (128, ((512, 1, 0.5),)))


@functools.lru_cache(maxsize=8)
def make_priors(height: int, width: int) -> Tensor:
    """(P, 4) centre x, centre y, width, height of all priors as fractions of the photo, in the order of the network's
    outputs.

    Zhang et al. 2017, section 3.2 (anchor densification): small priors are repeated within a cell, row by row.
    """
    levels = []
    for stride, sizes in LEVELS:
        rows, columns = -(-height // stride), -(-width // stride)
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        cells = []
        for side, dense, first in sizes:
            offset = first + torch.arange(dense) / dense
            y, x = torch.meshgrid(offset, offset, indexing="ij")
            x = (column[..., None] + x.flatten()) * stride / width
            y = (row[..., None] + y.flatten()) * stride / height
            extent = torch.tensor([side / width, side / height]).expand(*x.shape, 2)
            cells.append(torch.cat([x[..., None], y[..., None], extent], dim=-1))
        levels.append(torch.cat(cells, dim=2).flatten(0, 2))
    return torch.cat(levels)


def decode_boxes(offsets: Tensor, priors: Tensor) -> Tensor:
    """(P, 4) network offsets and priors → (P, 4) left, top, right, bottom as fractions of the photo."""
    centre = priors[:, :2] + offsets[:, :2] * VARIANCES[0] * priors[:, 2:]
    half = priors[:, 2:] * torch.exp(offsets[:, 2:] * VARIANCES[1]) / 2
    return torch.cat([centre - half, centre + half], dim=1)


class FaceBoxesDetector:
    """Faces from about 20 px, in all poses up to profile.

    Args: weights: `FaceBoxesProd.pth` of 3DDFA_V2; threshold: score from which a box counts; device.
    Raises: DataError without weights; CheckpointError for other weights.
    """

    def __init__(self, weights: Path | None = None, threshold: float = 0.5, device: str = "cpu") -> None:
        if weights is None:
            raise DataError(
                "FaceBoxes needs the authors' FaceBoxesProd.pth (github.com/cleardusk/3DDFA_V2): --detector"
                " faceboxes:FILE."
            )
        tensors = {k.removeprefix("module."): v for k, v in read_state(weights).items()}
        if "conv1.conv.weight" in tensors:
            tensors["conv1.conv.weight"] = tensors["conv1.conv.weight"].flip(1)  # the authors feed BGR
        self.network = FaceBoxes()
        load_strict(self.network, tensors, Path(weights))
        self.network = self.network.eval().to(device)
        self.threshold, self.device = threshold, device

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> list[Detection]:
        """(H, W, 3) uint8 RGB → faces, surest first."""
        height, width = image.shape[:2]
        scale = min(1.0, MAX_HEIGHT / height)
        scale *= min(1.0, MAX_WIDTH / (width * scale))
        scaled = image
        if scale < 1:
            size = (max(1, int(scale * width)), max(1, int(scale * height)))
            scaled = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        mean = torch.tensor(MEAN_RGB, device=self.device)
        tensor = torch.from_numpy(np.ascontiguousarray(scaled)).to(self.device).float() - mean
        offsets, scores = self.network(tensor.permute(2, 0, 1)[None])
        extent = torch.tensor([*scaled.shape[1::-1]] * 2, device=self.device) / scale
        candidates = scores[0] > CANDIDATE_SCORE
        scores, priors = scores[0][candidates], make_priors(*scaled.shape[:2]).to(self.device)[candidates]
        boxes = decode_boxes(offsets[0][candidates], priors) * extent
        best = scores.argsort(descending=True, stable=True)[:CANDIDATES]
        kept = best[nms(boxes[best], scores[best], OVERLAP)][:MOST_FACES]
        kept = kept[scores[kept] > self.threshold]
        rows = torch.cat([boxes[kept], scores[kept, None]], dim=1).double().cpu().numpy()
        return [Detection(row[:4], float(row[4]), "faceboxes") for row in rows]
