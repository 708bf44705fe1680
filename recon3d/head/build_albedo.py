"""Learn the albedo of faces from photos with landmarks: pretrained/albedo_photos for the embedded head.

    python -m recon3d.head.build_albedo --w300 /data/300w

Fits the head to the 68 points of every training photo of 300-W, reads the colours of the vertices that the photo shows,
divides by the estimated light, fills hidden sides from their mirror image, lets the face run out into the painted
albedo of the head at its border, and reduces all by principal components of incomplete samples. Eyes, teeth, mouth,
ears, hair and neck stay painted, with the skin tone that explains the face best. The same photos give the same file.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.config import read_local_config
from common.errors import DataError
from common.pretrained import PRETRAINED
from common.scripts import exits_with_user_errors
from datasets.readers.w300 import W300
from geometry.cameras import weak_perspective
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import rasterize
from morphable.fit import fit_landmarks
from morphable.light import light_and_albedo, sample_vertices, shading
from morphable.model import FaceModel
from morphable.open import load_face_model, save_albedo
from recon3d.fitting.photometric import skin_weights
from recon3d.head.incomplete_pca import incomplete_components

COMPONENTS = 40
SIZE_PX, BATCH = 160, 32  # face crops; 227 px with their surroundings
MIRROR_WEIGHT = 0.25  # of a mirrored vertex against one that is seen itself
PAINTED_WEIGHT = 0.01  # of the painted albedo where nothing is seen; other people decide unless nobody shows the place
LEAST_LIGHT = 0.3  # darker vertices say little about their albedo
OUTLIER = 0.35  # distance of colours 0 … 1 to the painted model's best explanation: hair, glasses, hands, microphones
BURNT_OUT = 0.97  # of the brightest channel
MAX_ERROR = 0.13  # median distance of a face to its explanation; above it the photo is left out
MIN_SEEN, MIN_CHROMA, MAX_FIT_ERROR = (
    0.45,
    0.03,
    2.5,
)  # share of the face; colour of skin (grey photos); percent of the box
LICENCE = "Albedo: learned from photos of 300-W (AFW, Helen, LFPW), research use only."


@dataclass(frozen=True)
class Textures:
    """Albedos of S people at the vertices of the head."""

    albedo: np.ndarray  # (S, V, 3) float16, of the photo where known, else painted
    weights: np.ndarray  # (S, V) float16, near 0 = unknown; painted parts count as known
    photos: int  # that were looked at


def crops(dataset: W300, count: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (B, R, R, 3) RGB 0 … 1 and (B, 68, 2) landmarks on them."""
    indices = np.linspace(0, len(dataset) - 1, min(count or len(dataset), len(dataset))).round().astype(int)
    for start in tqdm(range(0, len(indices), BATCH), desc="photos", unit="batch"):
        faces = [dataset[i] for i in indices[start : start + BATCH]]
        pictures = torch.from_numpy(np.stack([face.image for face in faces])).float() / 255
        yield pictures, torch.from_numpy(np.stack([face.landmarks[:, :2] for face in faces])).float()


def border(model: FaceModel, rounds: int = 4) -> Tensor:
    """(V,) share of the photo in the albedo: the facial skin, shrunk and smoothed over the mesh."""
    share = (skin_weights(model) > 0.5).float() * (1 - model.regions["ears"])
    edges = torch.cat([model.triangles[:, [0, 1]], model.triangles[:, [1, 2]], model.triangles[:, [2, 0]]])
    degree = torch.zeros_like(share).index_add_(0, edges[:, 0], torch.ones(len(edges)))
    for _ in range(rounds):
        around = torch.zeros_like(share).index_add_(0, edges[:, 0], share[edges[:, 1]]) / degree.clamp_min(1)
        share = torch.minimum(share, around)
    return share


def read_albedo(model: FaceModel, photos: Tensor, landmarks: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Albedos (B', V, 3) and weights (B', V) of the B' ≤ B faces that are good enough.

    Args: photos (B, H, W, 3) 0 … 1; landmarks (B, 68, 2) px on them; share from `border`.
    """
    fit = fit_landmarks(model, landmarks)
    vertices = fit.vertices(model)
    screen = weak_perspective(vertices, fit.rotation, fit.scale, fit.translation)
    normals = vertex_normals(vertices @ fit.rotation.mT, model.triangles)
    ids = rasterize(screen, model.triangles, tuple(photos.shape[1:3]))
    colours, seen = sample_vertices(photos, screen, fit.scale, normals, model.triangles, ids)
    face = skin_weights(model) > 0.5
    gamma, coefficients = light_and_albedo(model, colours, normals, seen * face)
    light, painted = shading(normals, gamma), model.colours(coefficients).clamp(0, 1)
    distance = (colours - painted * light).norm(dim=-1)
    weights = (seen / 0.5).clamp(0, 1) * (light.amin(-1) > LEAST_LIGHT) * (distance < OUTLIER)
    weights = weights * (colours.amax(-1) < BURNT_OUT)
    albedo = (colours / light.clamp_min(LEAST_LIGHT)).clamp(0, 1)
    on_face = share > 0
    median = torch.where(weights > 0, distance, torch.nan)[:, face].nanmedian(1).values
    chroma = ((colours.amax(-1) - colours.amin(-1)) * weights)[:, on_face].sum(1) / weights[:, on_face].sum(
        1
    ).clamp_min(1)
    partner = weights[:, model.symmetry] * MIRROR_WEIGHT
    total = (weights + partner).clamp_min(1e-6)[..., None]
    albedo = (weights[..., None] * albedo + partner[..., None] * albedo[:, model.symmetry]) / total
    weights = torch.maximum(weights, partner / MIRROR_WEIGHT)
    albedo = torch.where(weights[..., None] > 0, albedo, painted)
    mixed = share[:, None] * albedo + (1 - share[:, None]) * painted
    known = weights[:, on_face].mean(1)
    weights = torch.where(on_face, weights.clamp_min(PAINTED_WEIGHT), 1.0)
    good = (median < MAX_ERROR) & (known > MIN_SEEN) & (chroma > MIN_CHROMA) & (fit.error < MAX_FIT_ERROR)
    return mixed[good], weights[good]


def collect(model: FaceModel, dataset: W300, count: int | None = None) -> Textures:
    """Albedos of the people of a data set (at most `count` photos, evenly chosen)."""
    share, albedo, weights, photos = border(model), [], [], 0
    for pictures, landmarks in crops(dataset, count):
        values, trust = read_albedo(model, pictures, landmarks, share)
        albedo.append(values.half().numpy())
        weights.append(trust.half().numpy())
        photos += len(pictures)
    return Textures(np.concatenate(albedo), np.concatenate(weights), photos)


def reduce(textures: Textures, components: int = COMPONENTS) -> tuple[Tensor, Tensor, float]:
    """Mean (V, 3), components (V, 3, K) in standard deviations, and the share of variance that they keep.

    Raises: DataError for too few faces.
    """
    count, vertices, _ = textures.albedo.shape
    flat = textures.albedo.reshape(count, -1).astype(np.float32)
    trust = np.repeat(textures.weights.astype(np.float32), 3, axis=1)
    try:
        mean, basis, kept = incomplete_components(flat, trust, components)
    except ValueError as error:
        raise DataError(f"{count} of {textures.photos} photos are good enough: {error}") from None
    return torch.from_numpy(mean).view(vertices, 3), torch.from_numpy(basis).view(vertices, 3, components), kept


@exits_with_user_errors
def main() -> int:
    """Exit code: 0 written, 2 no photos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--w300", type=Path, help="folder of 300-W; default: [Paths] w300 of local_config.ini")
    parser.add_argument("--count", type=int, help="use so many photos only")
    parser.add_argument("--out", type=Path, default=PRETRAINED / "albedo_photos/model.safetensors")
    settings = parser.parse_args()
    root = settings.w300 or read_local_config().dataset("w300")
    dataset = W300(root, "train", SIZE_PX, "lm_ground_truth")
    model = load_face_model("head")
    textures = collect(model, dataset, settings.count)
    mean, basis, kept = reduce(textures)
    save_albedo(settings.out, mean, basis, LICENCE)
    size = os.path.getsize(settings.out) / 2**20
    used = f"{len(textures.albedo)} of {textures.photos} photos"
    sys.stdout.write(f"{settings.out}: {used}, {basis.shape[2]} components keep {100 * kept:.1f} %, {size:.1f} MiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
