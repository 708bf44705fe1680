"""Pictures that people look at: reconstructions, errors, random faces, interpolations, landmarks, heatmaps.

All functions take and give uint8 RGB arrays (H, W, 3) unless they say otherwise.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from drawing.landmarks import draw_landmarks, draw_offsets
from geometry.heatmaps import render_heatmaps
from geometry.schemes import LandmarkScheme
from landmarks.inference import to_pictures, to_unit
from landmarks.losses import StructuralLoss
from metrics.images import pixel_error, ssim
from metrics.landmarks import landmark_errors, normaliser
from networks.aae import AAE
from networks.landmark_heads import HEATMAP_SIZE

WHITE = (255, 255, 255)
IMAGES_PER_ROW = {128: 8, 256: 7, 512: 2}


def draw_text(image: np.ndarray, text: str, line: int = 0, top: bool = False) -> None:
    """White text on a dark edge in the lower (or upper) left corner, in place; line counts from that edge."""
    scale = max(0.35, image.shape[0] / 512)
    step = int(28 * scale) + 3
    y = step * (line + 1) if top else image.shape[0] - 5 - step * line
    # the edge is the same text one pixel off: OpenCV spaces thicker letters wider
    for dx, dy, colour in ((-1, 0, (0, 0, 0)), (1, 0, (0, 0, 0)), (0, -1, (0, 0, 0)), (0, 1, (0, 0, 0)), (0, 0, WHITE)):
        cv2.putText(image, text, (4 + dx, y + dy), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)


def colour_map(values: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """(H, W) numbers → picture in the jet colours, blue at low and red at high."""
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return cv2.cvtColor(cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)


def overlay_heatmaps(image: np.ndarray, heatmaps: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """Channel maximum of (K, h, w) heatmaps, coloured and blended onto a picture."""
    collapsed = cv2.resize(np.clip(heatmaps.max(axis=0), 0, 1), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    weight = strength * collapsed[..., None]
    return (image * (1 - weight) + colour_map(collapsed) * weight).round().astype(np.uint8)


def grid(images: list[np.ndarray] | np.ndarray, columns: int) -> np.ndarray:
    """Pictures of one size, row by row; missing places are black."""
    images = list(images)
    images += [np.zeros_like(images[0])] * (-len(images) % columns)
    rows = [np.concatenate(images[i : i + columns], axis=1) for i in range(0, len(images), columns)]
    return np.concatenate(rows, axis=0)


def autoencoder_pictures(
    networks: AAE, images: Tensor, output: Tensor, structural: StructuralLoss, settings
) -> dict[str, np.ndarray]:
    """Pictures of a validation of the autoencoder by name."""
    count = min(len(images), IMAGES_PER_ROW[networks.config.input_size])
    images, output = images[:count], output[:count]
    pictures = {
        "reconstructions": reconstruction_picture(images, output, structural, networks.config.normalize),
        "ssim_errors": structural_error_picture(images, output, structural),
    }
    if settings.show_random_faces:
        latents = networks.Q(images)
        pictures["random_faces"] = random_faces(networks, latents)
        pictures["interpolations"] = interpolations(networks, latents)
    return pictures


def reconstruction_picture(images: Tensor, output: Tensor, structural: StructuralLoss, normalize: bool) -> np.ndarray:
    """Inputs over reconstructions; on each, from below: L1 (0–255), 1 − SSIM, 1 − cs."""
    inputs, outputs = to_pictures(images, normalize), to_pictures(output, normalize)
    l1 = pixel_error(output, images)
    dissimilarity = 1 - ssim(to_unit(output, normalize), to_unit(images, normalize))
    contrast = structural.per_image(output, images)
    for i, picture in enumerate(outputs):
        draw_text(picture, f"L1 {l1[i]:.1f}")
        draw_text(picture, f"1-ssim {dissimilarity[i]:.2f}", line=1)
        draw_text(picture, f"1-cs {contrast[i]:.2f}", line=2)
    return grid([*inputs, *outputs], len(inputs))


def structural_error_picture(images: Tensor, output: Tensor, structural: StructuralLoss) -> np.ndarray:
    """1 − cs at every valid position, blue 0 to red 1."""
    maps = (1 - structural.map(output, images)).mean(dim=1).cpu().numpy()
    return grid([colour_map(m) for m in maps], len(maps))


@torch.no_grad()
def random_faces(networks: AAE, latents: Tensor) -> np.ndarray:
    """Row 1: decoded draws from the prior; row 2: half-way between photos' latents and those draws."""
    generator = torch.Generator().manual_seed(0)  # the same draws every time, so that epochs can be compared
    prior = torch.randn(latents.shape, generator=generator).to(latents.device)
    faces = networks.P(torch.cat([prior, latents + 0.5 * (prior - latents)])).float()
    return grid(to_pictures(faces, networks.config.normalize), len(latents))


@torch.no_grad()
def interpolations(networks: AAE, latents: Tensor, steps: int = 8) -> np.ndarray:
    """Two rows of linear steps from the first two photos' latents to the last one's."""
    ends = latents[:2]
    t = torch.linspace(0, 1, steps, device=latents.device)[None, :, None]
    path = ends[:, None] + t * (latents[-1] - ends)[:, None]
    faces = networks.P(path.flatten(0, 1)).float()
    return grid(to_pictures(faces, networks.config.normalize), steps)


def landmark_picture(
    images: Tensor, predicted: np.ndarray, truth: np.ndarray, errors: np.ndarray, normalize: bool
) -> np.ndarray:
    """Inputs with ground truth (green), prediction (blue) and offsets (red); NME in % in the corner."""
    pictures = to_pictures(images, normalize)
    for i, picture in enumerate(pictures):
        draw_offsets(picture, predicted[i], truth[i])
        draw_text(picture, f"NME {errors[i]:.2f}")
    return grid(pictures, min(len(pictures), 5))


def heatmap_picture(images: Tensor, predicted: Tensor, truth: Tensor, normalize: bool) -> np.ndarray:
    """Row 1 ground truth, row 2 prediction, blended onto the inputs."""
    pictures = to_pictures(images, normalize)
    maps = torch.cat([truth, predicted]).float().cpu().numpy()
    rows = [overlay_heatmaps(p, m) for p, m in zip([*pictures, *pictures], maps, strict=True)]
    return grid(rows, len(pictures))


def prediction_pictures(
    data, prediction, scheme: LandmarkScheme, ocular_norm: str, sigma: float, normalize: bool
) -> dict[str, np.ndarray]:
    """ "landmarks" and "heatmaps" of the first faces of a batch (`datasets.augment.Batch`) and its `Prediction`."""
    count = min(10, len(data.images))
    images, truth = data.images[:count], data.landmarks[:count, :, :2]
    points = prediction.landmarks[:count, :, :2].float()
    distances = normaliser(truth, scheme, ocular_norm, image_size=images.shape[-1])
    errors = landmark_errors(points, truth, distances, data.visibility[:count]).nanmean(dim=1)
    target = render_heatmaps(truth * (HEATMAP_SIZE / images.shape[-1]), HEATMAP_SIZE, sigma)
    arrays = (points.cpu().numpy(), truth.cpu().numpy(), errors.cpu().numpy())
    pictures = {"landmarks": landmark_picture(images, *arrays, normalize)}
    if prediction.heatmaps is not None:
        few = min(count, 5)
        pictures["heatmaps"] = heatmap_picture(images[:few], prediction.heatmaps[:few], target[:few], normalize)
    return pictures


def face_tiles(
    picture: np.ndarray,
    reconstruction: np.ndarray,
    heatmaps: np.ndarray,
    landmarks: np.ndarray,
    scheme: LandmarkScheme,
    tile_px: int = 256,
) -> np.ndarray:
    """The paper's five tiles: input, reconstruction, heatmaps, prediction in the reconstruction, prediction in the
    input.

    Args: picture, reconstruction (S, S, 3) uint8, the latter empty where there is none: three tiles then; heatmaps (K,
        h, w); landmarks (K, 2+) in crop pixels; tile_px shown side.
    """
    zoom, points = tile_px / len(picture), landmarks[:, :2]
    shown = cv2.resize(picture, (tile_px, tile_px), interpolation=cv2.INTER_CUBIC)
    tiles = {"input": shown.copy(), "heatmaps": overlay_heatmaps(shown, heatmaps)}
    if reconstruction.size:
        rebuilt = cv2.resize(reconstruction, (tile_px, tile_px), interpolation=cv2.INTER_CUBIC)
        tiles = {"input": tiles["input"], "reconstruction": rebuilt.copy(), "heatmaps": tiles["heatmaps"]}
        tiles["on reconstruction"] = rebuilt
        draw_landmarks(rebuilt, points * zoom, scheme)
    draw_landmarks(shown, points * zoom, scheme)
    tiles["on input"] = shown
    for caption, tile in tiles.items():
        draw_text(tile, caption)
    return np.concatenate(list(tiles.values()), axis=1)


def photo_with_faces(
    image: np.ndarray, faces: list[tuple[np.ndarray, np.ndarray]], scheme: LandmarkScheme, max_side: int = 0
) -> np.ndarray:
    """The whole photo with every face's (box, landmarks) drawn; small photos are enlarged to 640 px first, and those
    above max_side (0: none) made smaller.
    """
    longest = max(image.shape[:2])
    zoom = max(1.0, 640 / longest)
    if max_side:
        zoom = min(zoom, max_side / longest)
    if zoom != 1:
        method = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
        size = [max(1, round(side * zoom)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=method)
    return draw_faces(image, [(np.asarray(box) * zoom, points * zoom) for box, points in faces], scheme)


def draw_faces(image: np.ndarray, faces: list[tuple[np.ndarray, np.ndarray]], scheme: LandmarkScheme) -> np.ndarray:
    """A copy of the picture with every face's (box, landmarks) in its pixels drawn."""
    picture = image.copy()
    thick = max(1, round(max(picture.shape) / 500))
    for box, landmarks in faces:
        left, top, right, bottom = np.asarray(box).round().astype(int).tolist()
        cv2.rectangle(picture, (left, top), (right, bottom), WHITE, thick, cv2.LINE_AA)
        draw_landmarks(picture, landmarks[:, :2], scheme)
    return picture
