"""Which part of the head a vertex of the embedded model belongs to, its texture coordinates and its contour lines."""

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from morphable.model import SurfacePoints

MASKS = {"lips": "lips", "eyelids": "eyelids", "ears": "ears", "mouth_inside": "inside-mouth", "face": "face"}
BROW_HALF_WIDTH, BROW_SOFTNESS = 0.035, 0.02  # dm
BACK_OF_EYE_RAD = 2.5
IRIS_RADIUS, PUPIL_RADIUS = 0.06, 0.022  # dm
COLLAR_HEIGHT = -1.28  # dm; below it the neck wears clothes
HAIRLINE = 0.72  # dm above the origin at the forehead
FACE_SHARE, FACE_ANGLE = 0.36, np.pi / 2  # the texture gives the front half of the head 72 % of its width
SEAM_MARGIN = 0.95
STRIP = 0.14  # height of the texture's lower strip, which holds eyes, teeth, tongue and the inside of the mouth
CONTOUR_POINTS = 14


def image_masks(folder, uv: np.ndarray, uv_triangles: np.ndarray, triangles: np.ndarray, body: np.ndarray) -> dict:
    """MPFB's CC0 region pictures, sampled at the vertices: name → (N,) 0 … 1."""
    masks = {}
    for name, file in MASKS.items():
        picture = np.asarray(Image.open(folder / f"mpfb_{file}.jpg").convert("L")) / 255.0
        height, width = picture.shape
        at = uv[uv_triangles.ravel()]
        rows = np.clip(((1 - at[:, 1]) * height).astype(int), 0, height - 1)
        values = picture[rows, np.clip((at[:, 0] * width).astype(int), 0, width - 1)]
        total, count = np.zeros(len(body)), np.zeros(len(body))
        np.add.at(total, triangles.ravel(), values)
        np.add.at(count, triangles.ravel(), 1)
        masks[name] = np.where(body, total / np.maximum(count, 1), 0)
    return masks


def regions(mean: np.ndarray, part: np.ndarray, masks: dict, landmarks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All region weights (N,) that `datasets.synthetic.skin.Surface` needs, and face, skin and eye_sockets.

    Args: mean (N, 3) dm; part (N,) group names; masks from `image_masks`; landmarks: (68, 3) and (98, 3) points of the
    mean.
    """
    body = part == "body"
    points, fine = landmarks["ibug68"], landmarks["wflw98"]
    x, y, z = mean.T

    def near(centre: np.ndarray, radius: float) -> np.ndarray:
        return np.exp(-(((mean - centre) ** 2).sum(1)) / (2 * radius**2)) * body

    cheeks = (
        near(points[[2, 31, 36, 48]].mean(0), 0.16)
        + near(points[[14, 35, 45, 54]].mean(0), 0.16)
        + near(points[30], 0.1)
    )
    beard = np.clip((points[33, 1] + 0.02 - y) / 0.12, 0, 1) * np.clip((y - points[8, 1] + 0.25) / 0.2, 0, 1)
    beard *= np.clip((z + 0.45) / 0.25, 0, 1) * (1 - np.clip(masks["lips"] * 2, 0, 1)) * (masks["face"] > 0.3)
    beard *= 1 - np.clip(near(points[[2, 31, 48]].mean(0), 0.2) + near(points[[14, 35, 54]].mean(0), 0.2), 0, 1)
    behind = np.clip((-0.25 - z) / 0.1, 0, 1)
    scalp = np.clip((y - (HAIRLINE - 0.25 * np.abs(x))) / 0.06, 0, 1) + behind * np.clip((y + 0.75) / 0.1, 0, 1)
    scalp = np.clip(scalp, 0, 1) * body * (1 - masks["ears"]) * (1 - masks["mouth_inside"]) * (y > -0.8)
    eyes = np.char.endswith(part, "eye")
    out = dict(masks)
    out["brows"] = np.maximum(*[brow(mean, upper, lower) for upper, lower in _brow_lines(fine)]) * body
    out |= {"beard": beard, "cheeks": np.clip(cheeks, 0, 1), "scalp": scalp}
    out["cloth"] = np.clip((COLLAR_HEIGHT - y - 0.12 * z) / 0.05, 0, 1) * body
    distance = np.minimum(np.linalg.norm(mean - fine[96], axis=1), np.linalg.norm(mean - fine[97], axis=1))
    out |= {"eyeball": eyes * 1.0, "iris": eyes * (distance < IRIS_RADIUS), "pupil": eyes * (distance < PUPIL_RADIUS)}
    out |= {"teeth": np.char.endswith(part, "teeth") * 1.0, "tongue": (part == "helper-tongue") * 1.0}
    hidden = out["mouth_inside"] + out["cloth"] + out["scalp"]
    out["skin"] = np.clip(body * masks["face"] * (1 - masks["lips"]) * (1 - out["brows"]) - hidden, 0, 1)
    return {name: np.clip(values, 0, 1).astype(np.float32) for name, values in out.items()}


def _brow_lines(fine: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(upper, lower) polylines of both brows from the 98 points, outer end to inner end."""
    return [
        (fine[33:38], fine[[33, 41, 40, 39, 38]]),
        (fine[[46, 45, 44, 43, 42]], fine[[46, 47, 48, 49, 50]]),
    ]


def brow(mean: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """(N,) soft membership of a brow that runs midway between two polylines."""
    middle = upper * 0.45 + lower * 0.55
    steps = np.linspace(0, 1, 9)[:, None]
    dense = np.concatenate([a * (1 - steps) + b * steps for a, b in zip(middle, middle[1:], strict=False)])
    distance = cKDTree(dense).query(mean)[0]
    return 1 / (1 + np.exp((distance - BROW_HALF_WIDTH) / (BROW_SOFTNESS / 2)))


def texture_coordinates(
    mean: np.ndarray,
    triangles: np.ndarray,
    part: np.ndarray,
    inside: np.ndarray,
    old_uv: np.ndarray,
    old_triangles: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A texture made for faces: the skin unrolled on a cylinder, front half widened; all else in a strip below.

    Args: mean (N, 3); triangles (F, 3); part (N,); inside (N,) the mouth's inner skin; old_uv, old_triangles:
    MakeHuman's.
    Returns: (U, 2) coordinates, v up, and (F, 3) ids into them; the seam runs down the back of the head.
    """
    owner = part[triangles[:, 0]]
    in_strip = (owner != "body") | (inside[triangles].mean(1) > 0.5)
    angle = np.arctan2(mean[:, 0], mean[:, 2] + 0.45)
    height = STRIP + (1 - STRIP) * (mean[:, 1] - mean[:, 1].min()) / np.ptp(mean[:, 1])
    corner_angle = angle[triangles]
    wraps = np.ptp(corner_angle, axis=1) > np.pi
    corner_angle = np.where(wraps[:, None] & (corner_angle < 0), corner_angle + 2 * np.pi, corner_angle)
    magnitude = np.abs(corner_angle)
    half = np.where(
        magnitude < FACE_ANGLE,
        magnitude / FACE_ANGLE * FACE_SHARE,
        FACE_SHARE + (magnitude - FACE_ANGLE) / (np.pi - FACE_ANGLE) * (0.5 - FACE_SHARE),
    )
    # triangles across the seam reach beyond half a turn, for which the margin leaves room
    across = 0.5 + np.sign(corner_angle) * half * SEAM_MARGIN
    corners = np.stack([across.clip(0, 1), height[triangles]], -1)  # a few triangles of the crown contain the axis
    slots = [*sorted(set(owner) - {"body"}), "mouth"]
    label = np.where(owner == "body", "mouth", owner)
    for slot, name in enumerate(slots):
        chosen = in_strip & (label == name)
        local = _unrolled_ball(mean, triangles[chosen]) if name.endswith("eye") else old_uv[old_triangles[chosen]]
        low, high = local.min((0, 1)), local.max((0, 1))
        box = np.array([1 / len(slots), STRIP]) * 0.9
        corners[chosen] = (local - low) / (high - low) * box + [slot / len(slots) + 0.005, 0.005]
    unique, index = np.unique(corners.reshape(-1, 2).round(6), axis=0, return_inverse=True)
    return unique, index.reshape(-1, 3)


def _unrolled_ball(mean: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F, 3, 2) azimuthal equidistant coordinates of an eyeball about its front pole."""
    centre = mean[np.unique(triangles)].mean(0)
    x, y, z = np.moveaxis(mean[triangles] - centre, -1, 0)
    sideways = np.hypot(x, y)
    angle = np.arctan2(sideways, z)
    flat = np.stack([x, y], -1) * (angle / np.maximum(sideways, 1e-9))[..., None]
    # triangles around the back pole would span the disc; never seen, they shrink to points
    back = angle.min(1) > BACK_OF_EYE_RAD
    flat[back] = flat[back][:, :1]
    return flat


def contour_lines(mean: np.ndarray, face: np.ndarray, points: SurfacePoints, jaw: np.ndarray) -> np.ndarray:
    """(17, L) vertices along which each jaw point may slide when the head turns: rows across the cheek, from the ear
    forward.

    Args: mean (N, 3); face (N,) weights of the facial skin; points: the 68 landmarks; jaw (17, 3) their jaw on the
    mean. Each row lies near the horizontal plane through its jaw point, on its side of the face; the chin slides along
    its underside.
    """
    lines = []
    nearest = points.nearest_vertices.numpy()
    for k in range(17):
        if k == 8:
            candidates = np.abs(mean[:, 0]) < 0.02
            low, high = jaw[k, 1] - 0.06, jaw[k, 1] + 0.06
        else:
            side = -1 if k < 8 else 1
            candidates = side * mean[:, 0] > 0.12
            low, high = jaw[k, 1] - 0.035, jaw[k, 1] + 0.035
        candidates &= (face > 0.5) & (mean[:, 1] > low) & (mean[:, 1] < high) & (np.abs(mean[:, 2] - jaw[k, 2]) < 0.5)
        ids = np.flatnonzero(candidates)
        order = ids[np.argsort(mean[ids, 2])]
        chosen = order[np.linspace(0, len(order) - 1, CONTOUR_POINTS - 1).round().astype(int)] if len(order) else order
        row = np.concatenate([[nearest[k]], chosen, np.full(CONTOUR_POINTS, nearest[k])])[:CONTOUR_POINTS]
        lines.append(row)
    return np.array(lines)
