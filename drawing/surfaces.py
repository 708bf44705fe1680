"""Pictures of reconstructed faces: depth, position codes (PNCC), normals, the shaded mesh over the photo.

All take a `Scene`, which puts the faces of a photo into one z-buffer, and give RGB arrays of the photo's size.
"""

import io
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from common.errors import DataError
from common.files.atomic import write_file
from common.files.inputs import check_file
from morphable.model import FaceModel
from morphable.scene import Scene

DEPTH_STEP_MM = 0.1
_STEP_KEY, _OFFSET_KEY = "depth_step_mm", "depth_offset_mm"
LIGHT = (0.35, 0.45, 0.82)  # toward the light: from above the viewer's right shoulder
AMBIENT, DIFFUSE, _CLAY = 0.35, 0.65, (0.86, 0.86, 0.9)


def write_depth(path: Path, depth_mm: Tensor) -> None:
    """Depth as a 16-bit PNG: value v > 0 means offset + 0.1 mm · (v − 1), 0 the background.

    The offset is the nearest depth of the picture. It and the step stand in the file's text chunks `depth_offset_mm`
    and `depth_step_mm`; `read_depth` applies them. 6.5 m beyond the nearest point fit.

    Args: depth_mm (H, W), NaN in the background. Raises: DataError if there is nothing but background, or a deeper
    scene.
    """
    depth = depth_mm.detach().double().cpu().numpy()
    covered = np.isfinite(depth)
    if not covered.any():
        raise DataError(f"{path}: the depth map has no face in it; nothing is written.")
    offset = round(float(depth[covered].min()), 3)
    steps = np.rint((np.where(covered, depth, offset) - offset) / DEPTH_STEP_MM) + 1
    if steps.max() > 65535:
        raise DataError(
            f"{path}: the scene is {depth[covered].max() - offset:.0f} mm deep, more than 16 bits of 0.1 mm hold."
        )
    info = PngImagePlugin.PngInfo()
    info.add_text(_STEP_KEY, str(DEPTH_STEP_MM))
    info.add_text(_OFFSET_KEY, str(offset))
    buffer = io.BytesIO()
    Image.fromarray(np.where(covered, steps, 0).astype(np.uint16)).save(buffer, "PNG", pnginfo=info)
    write_file(path, buffer.getvalue())


def read_depth(path: Path) -> Tensor:
    """(H, W) float32 mm of a file that `write_depth` wrote, NaN in the background. Raises: DataError naming the
    file.
    """
    check_file(path)
    try:
        with Image.open(path, formats=("PNG",)) as image:
            step, offset = float(image.text[_STEP_KEY]), float(image.text[_OFFSET_KEY])
            values = np.asarray(image).astype(np.float64)
    except (OSError, AttributeError, KeyError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: not a depth map of this program ({error}).") from None
    return torch.from_numpy(np.where(values > 0, offset + step * (values - 1), np.nan).astype(np.float32))


def colour_depth(depth_mm: Tensor, faces: Tensor | None = None) -> np.ndarray:
    """(H, W) mm → (H, W, 3) uint8: near yellow, far dark violet (inferno), background black.

    Args: faces (H, W) from `Scene.faces`, to spread the colours over each face on its own; None spreads them over the
        picture, where several faces at different distances look flat.
    """
    depth = depth_mm.detach().float().cpu().numpy()
    covered = np.isfinite(depth)
    group = np.where(covered, 0, -1) if faces is None else faces.cpu().numpy()
    levels = np.zeros(depth.shape, np.uint8)
    for number in np.unique(group[covered]):
        chosen = covered & (group == number)
        low, high = depth[chosen].min(), depth[chosen].max()
        # The darkest colours are left to the background.
        levels[chosen] = (40 + 215 * (high - depth[chosen]) / max(high - low, 1e-6)).round()
    picture = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return picture * covered[..., None]


def position_codes(scene: Scene, model: FaceModel) -> np.ndarray:
    """PNCC: the model's position code of the visible surface, (H, W, 3) uint8 with R, G, B = x, y, z; background black.

    Zhu et al. 2016, eq. 5. 3DDFA writes the same channel order to its files, 3DDFA_V2 the opposite one.
    """
    return _to_bytes(scene.draw(model.pncc.to(scene.screen)))


def normal_map(scene: Scene) -> np.ndarray:
    """Normals in the camera's frame, x right, y up, z toward the viewer: (H, W, 3) uint8 = (n + 1) / 2, background
    black.
    """
    normals = scene.draw(scene.normals)
    unit = normals / normals.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return _to_bytes(torch.where(scene.mask[..., None], (unit + 1) / 2, 0.0))


def shaded(
    scene: Scene,
    colours: Tensor | None = None,
    light: tuple[float, float, float] = LIGHT,
    ambient: float = AMBIENT,
    diffuse: float = DIFFUSE,
) -> np.ndarray:
    """The meshes under one lamp, (H, W, 3) uint8, background black.

    Args: colours (n, V, 3) 0 … 1, or None for grey clay; light: direction toward the lamp, x right, y up, z toward the
        viewer; ambient: brightness without the lamp; diffuse: what it adds where it shines straight.
    """
    direction = torch.tensor(light).to(scene.posed)
    facing = (scene.normals @ (direction / direction.norm())).clamp_min(0)
    base = torch.tensor(_CLAY).to(scene.posed).expand_as(scene.posed) if colours is None else colours
    return _to_bytes(scene.draw(base * (ambient + diffuse * facing[..., None])))


def over_photo(photo: np.ndarray, picture: np.ndarray, mask: Tensor, strength: float = 0.6) -> np.ndarray:
    """Lay a picture over the photo where a face is: (H, W, 3) uint8 each, mask (H, W) bool, strength 0 … 1.

    Raises: DataError if the sizes differ.
    """
    if photo.shape != picture.shape or photo.shape[:2] != tuple(mask.shape):
        raise DataError(f"the photo has size {photo.shape}, the picture {picture.shape}: they must be the same.")
    weight = strength * mask.cpu().numpy()[..., None]
    return (photo * (1 - weight) + picture * weight).round().astype(np.uint8)


def _to_bytes(values: Tensor) -> np.ndarray:
    return (values.detach().clamp(0, 1) * 255).round().byte().cpu().numpy()
