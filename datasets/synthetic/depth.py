"""Faces with known depth in 3DFAW's layout, made from a template: identity, expression, pose, weak-perspective camera,
noise.

    python -m datasets.synthetic.depth data/depth_synthetic --train 512 --valid 128 --per-pose 10

All quantities are our own choice (no data of other people); scores on them say whether code works, not how good a
method is.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from common.files.atomic import write_file
from datasets.readers.threedfaw import LIST_FILE, POSES
from geometry.face_template import TEMPLATE_66, TRIANGLES_68, to_68

TEST_YAW = {"left": (-45, -20), "center": (-5, 5), "right": (20, 45)}  # degrees
_NOSE = dict(zip(range(27, 36), (0.2, 0.5, 0.8, 1, 0.4, 0.4, 0.4, 0.4, 0.4), strict=True))
_MOUTH_DOWN = {**dict.fromkeys((55, 56, 57, 58, 59, 63, 64, 65), 1.0), 48: 0.5, 54: 0.5}
_MOUTH_DOWN |= dict(zip(range(4, 13), (0.4, 0.7, 0.9, 1, 1, 1, 0.9, 0.7, 0.4), strict=True))


def _weights(table: dict[int, float]) -> np.ndarray:
    weights = np.zeros(66)
    weights[list(table)] = list(table.values())
    return weights


def random_shapes(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 66, 3) faces of different identity and expression in the template's frame."""
    distance = np.linalg.norm(TEMPLATE_66[:, None] - TEMPLATE_66[None], axis=-1)
    smooth = np.linalg.cholesky(np.exp(-0.5 * (distance / 0.45) ** 2) + 1e-9 * np.eye(66))
    shapes = TEMPLATE_66 * rng.normal(1, (0.05, 0.06, 0.10), (count, 1, 3))
    shapes += 0.03 * np.einsum("ij,njc->nic", smooth, rng.normal(size=(count, 66, 3)))
    shapes[..., 2] -= rng.normal(0, 0.06, (count, 1)) * _weights(_NOSE)
    shapes[..., 1] += np.abs(rng.normal(0, 0.07, (count, 1))) * _weights(_MOUTH_DOWN)
    smile = rng.normal(0, 0.05, count)
    for corner, outward in ((48, -1), (54, 1)):
        shapes[:, corner] += smile[:, None] * np.array([outward, -1, 1])
    shapes[:, 17:27, 1] -= rng.normal(0, 0.03, (count, 1))
    return shapes


def rotations(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Rz(roll) · Rx(pitch) · Ry(yaw) (N, 3, 3), angles in degrees; positive yaw turns the nose to the left of the
    picture.
    """

    def about(axis: int, angle: np.ndarray) -> np.ndarray:
        matrix = np.zeros((len(angle), 3, 3))
        a, b = [(1, 2), (2, 0), (0, 1)][axis]
        cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        matrix[:, axis, axis] = 1
        matrix[:, a, a], matrix[:, b, b], matrix[:, a, b], matrix[:, b, a] = cosine, cosine, -sine, sine
        return matrix

    return about(2, roll) @ about(0, pitch) @ about(1, yaw)


def random_faces(count: int, seed: int, yaw: tuple[float, float] | None = None) -> np.ndarray:
    """(count, 66, 3) keypoints: x, y in units of the image side, z in the same unit, smaller is nearer.

    Args: yaw: uniform range in degrees; None: 40 % N(0, 10), 60 % N(0, 28), cut at ±55.
    """
    rng = np.random.default_rng(seed)
    shapes = random_shapes(count, rng)
    if yaw is None:
        spread = np.where(rng.random(count) < 0.4, 10, 28)
        angles = np.clip(rng.normal(0, spread), -55, 55)
    else:
        angles = rng.uniform(*yaw, count)
    pitch = np.clip(rng.normal(0, 7, count), -np.rad2deg(0.4), np.rad2deg(0.4))
    turned = shapes @ rotations(angles, pitch, rng.normal(0, 6, count)).transpose(0, 2, 1)
    turned -= turned.mean(axis=1, keepdims=True)
    faces = turned * rng.uniform(0.26, 0.34, (count, 1, 1))
    faces[..., :2] += np.array([0.5, 0.53]) + rng.normal(0, 0.02, (count, 1, 2)) + rng.normal(0, 0.002, (count, 66, 2))
    return faces


def draw_face(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Flat-shaded mesh of one face (66, 3) in pixels → (H, W, 3) uint8 RGB."""
    points = to_68(pixels)
    image = np.full((height, width, 3), (70, 90, 110), np.uint8)
    corners = points[TRIANGLES_68]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    light = 0.35 + 0.65 * np.abs(normals @ np.array([0.3, -0.3, -0.9]))
    for i in np.argsort(-corners[:, :, 2].mean(axis=1)):
        colour = np.array([224, 172 + 12 * (i % 3), 140]) * light[i]
        cv2.fillConvexPoly(image, np.round(corners[i, :, :2] * 16).astype(np.int32), colour.tolist(), cv2.LINE_8, 4)
    return image


def write_faces(root: Path, part: str, names: list[str], faces: np.ndarray, seed: int) -> None:
    """csv and photo of every face; widths and heights between 200 and 400 px."""
    rng = np.random.default_rng(seed)
    for name, face in zip(names, faces, strict=True):
        width, height = (int(side) for side in rng.integers(200, 401, 2))
        pixels = face * np.array([width, height, (width + height) / 2])
        text = "".join(f"{x:.6f},{y:.6f},{z:.6f}\n" for x, y, z in pixels)
        write_file(root / f"{part}_lm" / f"{name}_lm.csv", text.encode())
        coded = cv2.imencode(".jpg", draw_face(pixels, width, height)[..., ::-1])[1]
        write_file(root / f"{part}_img" / f"{name}.jpg", coded.tobytes())


def write_dataset(root: Path, train: int = 512, valid: int = 128, per_pose: int = 10, seed: int = 0) -> None:
    """A data set in 3DFAW's layout: train, validation and per_pose test faces of each of three poses."""
    root = Path(root)
    write_faces(root, "train", [f"syn_{i:06d}" for i in range(train)], random_faces(train, seed), seed)
    names = [f"syn_{train + i:06d}" for i in range(valid)]
    write_faces(root, "valid", names, random_faces(valid, seed + 1), seed + 1)
    lines = [f"{name},valid\n" for name in names]
    for number, pose in enumerate(POSES):
        names = [f"syn_{pose}_{i:03d}" for i in range(per_pose)]
        write_faces(root, "valid", names, random_faces(per_pose, seed + 2 + number, TEST_YAW[pose]), seed + 2 + number)
        lines += [f"{name},test,{pose}\n" for name in names]
    write_file(root / LIST_FILE, "".join(lines).encode())


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--train", type=int, default=13671)
    parser.add_argument("--valid", type=int, default=4500)
    parser.add_argument("--per-pose", type=int, default=75)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    write_dataset(options.root, options.train, options.valid, options.per_pose, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
