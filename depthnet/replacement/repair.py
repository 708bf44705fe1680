"""A trained CycleGAN on photos: it repairs swapped faces and paints what is around frontalised ones."""

from pathlib import Path

import cv2
import numpy as np
import torch

from common.checkpoint import read_config, resolve_snapshot
from common.errors import DataError
from datasets.crop import Crop, crop_from_landmarks
from depthnet.lifting import Lifter
from depthnet.replacement.domains import FaceCrops, frontal_target, move_faces, remove_faces
from depthnet.replacement.models import load_cyclegan, to_unit
from geometry.face_template import TRIANGLES_68
from geometry.schemes import IBUG_68

PLAIN_SIZE = 256  # side of frontalised faces without a network
SEAM = 0.06  # of the crop's side: how far beyond the face's outline a repair reaches, and over how much it fades


class Repairer:
    """Generator A → B of a session that was trained for one task, at the side `size` of its crops."""

    def __init__(self, name: str, snapshots: Path, task: str, device: torch.device) -> None:
        """Raises: CheckpointError, ConfigError; DataError for a session of another task."""
        folder = resolve_snapshot(name, snapshots)
        networks = load_cyclegan(folder)
        trained = read_config(folder)["settings"]
        if trained["task"] != task:
            raise DataError(
                f"--repair {name}: was trained for --task {trained['task']}, not {task}; choose another session."
            )
        self.size, self.device = int(trained["size"]), device
        self.generator = networks.ab.to(device).eval()

    @torch.no_grad()
    def __call__(self, *images: np.ndarray) -> np.ndarray:
        """Pictures of A, (S, S, 3) uint8 RGB each, their channels side by side → B, the same."""
        stacked = np.ascontiguousarray(np.concatenate(images, axis=2).transpose(2, 0, 1))
        painted = self.generator(to_unit(torch.from_numpy(stacked)[None]).to(self.device))[0]
        return ((painted + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def face_mask(points: np.ndarray, size: int) -> np.ndarray:
    """(size, size) float32: 1 in the face of the keypoints (68, 2) and a little around it, fading to 0."""
    mask = np.zeros((size, size), np.uint8)
    for corners in np.round((points[TRIANGLES_68] - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(mask, corners, 1, shift=4)
    reach = max(1, round(SEAM * size))
    grown = cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)).astype(np.float32)
    return cv2.GaussianBlur(grown, (0, 0), reach)


def repair_swap(repairer: Repairer, image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A photo (H, W, 3) with a pasted face at the keypoints (68, 2) → the same, repaired in and around the face.

    The network works on small crops, so what it *changes* is enlarged and added; the photo keeps its detail.
    """
    crop = crop_from_landmarks(points, IBUG_68, repairer.size)
    small = crop.extract(image)
    change = repairer(small).astype(np.float32) - small
    change *= face_mask(crop.apply(points), repairer.size)[..., None]
    return np.clip(image + to_photo(crop, change, image.shape[:2]), 0, 255).round().astype(np.uint8)


def to_photo(crop: Crop, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values of a crop's pixels (S, S, C) at the pixels of its photo of that (height, width); 0 outside the crop."""
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])  # pixel indices to continuous coordinates
    to_crop = (np.linalg.inv(half) @ np.vstack([crop.matrix, [0, 0, 1]]) @ half)[:2]
    return cv2.warpAffine(values, to_crop, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def frontalise(image: np.ndarray, points: np.ndarray, lifter: Lifter, repairer: Repairer | None) -> np.ndarray:
    """A photo's face (keypoints (68, 2)) from the front: (S, S, 3) on black, or with a background painted by a
    network.
    """
    size = PLAIN_SIZE if repairer is None else repairer.size
    crop = crop_from_landmarks(points, IBUG_68, size)
    face = FaceCrops(crop.extract(image)[None], crop.apply(points)[None], ())
    moved = move_faces(face, frontal_target(size), lifter)[0, ..., :3]
    return moved if repairer is None else repairer(moved, remove_faces(face)[0])
