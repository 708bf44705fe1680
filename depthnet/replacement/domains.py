"""Face replacement (DepthNets, section 3.3): domains for a CycleGAN that paints backgrounds or repairs pasted faces.

Background: A is a frontalised face beside its photo with the face removed (6 channels), B are real frontal faces. Face
swap: A is a face pasted onto another person's head, B are real faces. All pictures are square crops; DepthNet supplies
the poses.
"""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files.atomic import replacing
from common.files.images import read_image
from datasets.crop import crop_from_landmarks
from datasets.registry import build_dataset
from depthnet.lifting import Lifter
from depthnet.warping.warper import composite, warp_faces
from geometry.face_template import TEMPLATE_66, TRIANGLES_68, to_66, to_68
from geometry.schemes import IBUG_68

FRONTAL, PROFILE = 0.2, 0.5  # of `asymmetry`
FACE_SHARE = 0.30  # half face width of the frontal target, of the crop's side
RIGHT_JAW, LEFT_JAW, MIDDLE = (0, 1, 2, 3), (16, 15, 14, 13), (28, 30, 33, 62)


@dataclass(frozen=True)
class FaceCrops:
    """images (N, S, S, 3) uint8 RGB; points (N, 68, 2) in their continuous pixels; names (N)."""

    images: np.ndarray
    points: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Domains:
    """Pictures of the two domains, uint8: a (N, C, S, S), b (M, 3, S, S)."""

    a: np.ndarray
    b: np.ndarray


def asymmetry(points: np.ndarray) -> np.ndarray:
    """(…, 68, 2) → (…) 0 for a frontal face to 1 for a profile: how unequal both jaw lines' distances to the middle
    are.
    """

    def distance(jaw: tuple[int, ...]) -> np.ndarray:
        return ((points[..., list(jaw), :] - points[..., list(MIDDLE), :]) ** 2).sum(axis=-1).mean(axis=-1)

    left, right = distance(LEFT_JAW), distance(RIGHT_JAW)
    return np.abs(left - right) / (left + right)


def load_crops(dataset: str, root: Path, split: str, size: int, count: int | None = None) -> FaceCrops:
    """Face crops of a landmark dataset with 68 points. A photo that cannot be read is named and left out.

    Raises: DataError when the dataset has other points or fewer than two usable faces.
    """
    faces = build_dataset(dataset, root, split, 128, "lm_ground_truth")
    annotations = [a for a in faces.annotations if a.landmarks is not None and len(a.landmarks) == 68][:count]
    images, points, names = [], [], []
    for annotation in tqdm(annotations, desc="crops", leave=False):
        try:
            crop = crop_from_landmarks(annotation.landmarks[:, :2], IBUG_68, size)
            images.append(crop.extract(read_image(annotation.path)))
        except DataError as error:
            warnings.warn(f"{dataset}: skipped {error}", stacklevel=2)
            continue
        points.append(crop.apply(annotation.landmarks[:, :2]))
        names.append(str(annotation.path))
    if len(images) < 2:
        raise DataError(
            f"{root}: {len(images)} faces with 68 points in split '{split}' of {dataset}; at least 2 are needed."
        )
    return FaceCrops(np.stack(images), np.stack(points).astype(np.float64), tuple(names))


def frontal_target(size: int) -> np.ndarray:
    """(66, 2) the template's frontal keypoints in a crop of that side."""
    points = TEMPLATE_66[:, :2] - TEMPLATE_66[:, :2].mean(axis=0)
    return points * FACE_SHARE * size + np.array([0.5, 0.56]) * size


def move_faces(faces: FaceCrops, targets: np.ndarray, lifter: Lifter) -> np.ndarray:
    """Every face in the pose of its target (N, 66, 2) or of one target (66, 2): (N, S, S, 4) uint8 RGBA."""
    targets = np.broadcast_to(targets, (len(faces), 66, 2))
    rendered = []
    for image, points, target in zip(tqdm(faces.images, desc="warp", leave=False), faces.points, targets, strict=True):
        depths, affines = lifter.to_targets(to_66(points), target[None])
        rendered.append(warp_faces(image[None], points[None], to_68(depths[..., None])[..., 0], affines)[0])
    return np.stack(rendered)


def remove_faces(faces: FaceCrops) -> np.ndarray:
    """The crops with the face black, from jaw line to brows.

    Triangle by triangle: the outline of a face near profile crosses itself, and filling it as one polygon would leave
        holes.
    """
    images = faces.images.copy()
    for image, points in zip(images, faces.points, strict=True):
        for corners in np.round((points[TRIANGLES_68] - 0.5) * 16).astype(np.int32):
            cv2.fillConvexPoly(image, corners, (0, 0, 0), shift=4)
    return images


def _channels_first(*images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate([image[..., :3] for image in images], axis=3).transpose(0, 3, 1, 2))


def background_domains(faces: FaceCrops, lifter: Lifter) -> Domains:
    """A: frontalised face and photo without face; B: photos of frontal faces. Raises: DataError when there are none."""
    skew = asymmetry(faces.points)
    frontal, usable = skew < FRONTAL, skew < PROFILE
    if not frontal.any() or not usable.any():
        raise DataError(f"{int(frontal.sum())} frontal and {int(usable.sum())} usable faces; give more photos.")
    chosen = FaceCrops(faces.images[usable], faces.points[usable], ())
    moved = move_faces(chosen, frontal_target(faces.images.shape[1]), lifter)
    return Domains(_channels_first(moved, remove_faces(chosen)), _channels_first(faces.images[frontal]))


def swap_domains(faces: FaceCrops, lifter: Lifter) -> Domains:
    """A: the next person's face pasted onto every head, in its pose; B: the photos themselves."""
    order = np.roll(np.arange(len(faces)), 1)
    givers = FaceCrops(faces.images[order], faces.points[order], ())
    moved = move_faces(givers, to_66(faces.points), lifter)
    return Domains(_channels_first(composite(moved, faces.images)), _channels_first(faces.images))


BUILDERS = {"background": background_domains, "faceswap": swap_domains}


def domains_key(build: str, faces: FaceCrops, lifter: Lifter) -> str:
    """Changes with whatever domains are made of: pictures, keypoints, weights, layout and scale of the model."""
    digest = hashlib.sha256("\n".join([build, *faces.names]).encode())
    for array in (faces.images, faces.points, lifter.centre, np.array(lifter.spread), lifter.factors):
        digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    for name, tensor in lifter.networks.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_domains(path: Path, build: str, faces: FaceCrops, lifter: Lifter) -> Domains:
    """Domains from a cache that belongs to exactly these faces and this model, else built and stored."""
    path = path / f"{build}_{domains_key(build, faces, lifter)}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as content:
            return Domains(content["a"], content["b"])
    domains = BUILDERS[build](faces, lifter)
    with replacing(path, keep_suffix=True) as temporary:
        np.savez(temporary, a=domains.a, b=domains.b)
    return domains
