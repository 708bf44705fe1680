"""Five-point alignment of weakly supervised reconstruction: five landmarks and a face model's own → one exact `Crop`.

Microsoft's code resizes and cuts on whole pixels, which moves the picture against its landmarks by up to 1.6 px; here
picture and landmarks go through one affine map. Five points are always: the eye centre on the left of the picture, the
other eye's centre, nose tip, the mouth corner on the left of the picture, the other corner.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.mat import read_mat_file
from common.files.points import read_rows
from datasets.crop import Crop
from geometry.schemes import FIVE_OF_68

SIZE_PX = 224
FOCAL_PX, DISTANCE_DM = 1015.0, 10.0  # of the camera; a dm at the model's origin covers their ratio, 101.5 px
PX_PER_DM = 102.0  # what the published code scales faces to
MIN_PHOTO_PX = 30
# In units of the way from eyes to mouth: of 6,493 annotated faces, profiles among them, eyes and mouth corners lie 0.26
# and more apart (reversed: −0.26 and less), the nose tip from −0.02 to 1.09 of the way. Rendered profiles may cross a
# little.
_REVERSED, _NOSE = -0.15, (-0.1, 1.2)
_FLATTEST = 1e-3  # smallest allowed second singular value of the centred points, relative to the first


@dataclass(frozen=True)
class Alignment:
    """Where a face model's origin lies in a photo, and how large it is there (scaled orthographic)."""

    scale: float  # photo px per dm
    origin: np.ndarray  # (2,) continuous photo px, y down

    def crop(self, size: int = SIZE_PX, px_per_dm: float = PX_PER_DM) -> Crop:
        """The upright square that shows the face at px_per_dm (of size 224) with the model's origin in its middle."""
        zoom = px_per_dm * (size / SIZE_PX) / self.scale
        offset = size / 2 - zoom * self.origin
        return Crop(np.array([[zoom, 0.0, offset[0]], [0.0, zoom, offset[1]]]), size)

    def trans_params(self, photo_size: tuple[int, int]) -> np.ndarray:
        """(5,) width, height, zoom, t_x, t_y as the published code stores them: index coordinates with y up."""
        width, height = photo_size
        x, y = self.origin
        return np.array([width, height, PX_PER_DM / self.scale, x - 0.5, height - 0.5 - y])

    @classmethod
    def from_trans_params(cls, values: np.ndarray) -> "Alignment":
        """Inverse of `trans_params`."""
        _, height, zoom, x, y = np.asarray(values, dtype=np.float64).ravel()
        return cls(PX_PER_DM / zoom, np.array([x + 0.5, height - 0.5 - y]))


def align(five: np.ndarray, reference: np.ndarray, source: str = "five landmarks", ordered: bool = True) -> Alignment:
    """Scaled-orthographic pose without rotation (Deng et al. 2019): each image axis is fitted by its own least squares.

    Args: five (5, 2) continuous photo px, y down; reference (5, 3) of a face model, dm; source: what errors name;
        ordered: whether points in another order are refused. Projected and detected points of profiles may cross, so
            False
        for those; True for what a user wrote.
    Raises: DataError for points that are not five, not finite, in another order, or on one line.
    """
    points = check_five(five, source, ordered)
    system = np.hstack([np.asarray(reference, dtype=np.float64), np.ones((5, 1))])
    upright = points * [1.0, -1.0]
    solution = np.linalg.lstsq(system, upright, rcond=None)[0]  # (4, 2)
    scale = float(np.linalg.norm(solution[:3], axis=0).mean())
    return Alignment(scale, solution[3] * [1.0, -1.0])


def check_five(five: np.ndarray, source: str, ordered: bool = True) -> np.ndarray:
    """(5, 2) float64. Raises: DataError naming the source and what is wrong with its points; ordered as for `align`."""
    points = np.asarray(five, dtype=np.float64)
    if points.shape != (5, 2):
        raise DataError(f"{source}: {len(points)} landmarks; five are needed (eye centres, nose tip, mouth corners).")
    if not np.isfinite(points).all():
        raise DataError(f"{source}: a landmark is not finite; correct or remove it.")
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
    if spread[0] < 1e-6 or spread[1] < _FLATTEST * spread[0]:
        raise DataError(f"{source}: the five landmarks lie on one line; correct them.")
    wrong = _disorder(points) if ordered else None
    if wrong is not None:
        raise DataError(
            f"{source}: {wrong}; the order is: eye on the left of the picture, other eye, nose tip, mouth"
            " corner on the left,"
            " other corner."
        )
    return points


def in_order(five: np.ndarray) -> bool:
    """Whether five points (5, 2) lie as those of a face; projected or detected ones of some profiles do not."""
    return _disorder(np.asarray(five, dtype=np.float64)) is None


def _disorder(points: np.ndarray) -> str | None:
    """What is wrong with the order of five points (5, 2), if anything."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    right = np.array([down[1], -down[0]])  # across an upright face, toward the right of the picture
    length = max(down @ down, 1e-12)
    nose = (points[2] - eyes) @ down / length
    apart = np.array([points[1] - points[0], points[4] - points[3]]) @ right / length
    if apart.max() <= 0 or apart.min() < _REVERSED:
        return "eyes or mouth corners are swapped or mirrored"
    return None if _NOSE[0] <= nose <= _NOSE[1] else "the nose tip is not between eyes and mouth"


def check_inside(five: np.ndarray, photo_size: tuple[int, int], source: str) -> None:
    """Raise DataError when the middle of five points (5, 2) lies outside a photo of (width, height) px."""
    x, y = np.asarray(five, dtype=np.float64).mean(0)
    width, height = photo_size
    if not (0 <= x <= width and 0 <= y <= height):
        raise DataError(
            f"{source}: the five landmarks lie around ({x:.0f}, {y:.0f}), outside the photo of {width}×{height}"
            " px; they belong"
            " to another photo, or to another size of it."
        )


def five_of_68(landmarks: np.ndarray) -> np.ndarray:
    """(..., 68, 2+) iBUG landmarks → (..., 5, 2+): eye centres from the corners, nose tip, mouth corners."""
    return np.stack([landmarks[..., list(group), :].mean(-2) for group in FIVE_OF_68], axis=-2)


def crop_of_five(five: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom of the crop of a face from its five points: the landmark rule's, on which networks are
    trained.

    Medians of the 2,012 training photos of 300-W (5 … 95 %): side 2.60 … 2.95 … 3.38 of the larger of the distances
    between the eyes and from eyes to mouth; centre 0.41 … 0.54 … 0.66 of the way from eyes to mouth.
    """
    eyes, mouth = five[:2].mean(0), five[3:].mean(0)
    side = 2.95 * max(np.linalg.norm(five[1] - five[0]), np.linalg.norm(mouth - eyes))
    centre = eyes + 0.54 * (mouth - eyes)
    return np.concatenate([centre - side / 2, centre + side / 2])


def read_five(path: Path) -> np.ndarray:
    """Five points of a text file, 0-based photo px, y down → (5, 2) continuous. Raises: DataError naming the file."""
    return check_five(read_rows(path) + 0.5, str(path))


def read_reference(path: Path) -> np.ndarray:
    """(5, 3) dm of `similarity_Lm3D_all.mat`, 68 points of the Basel model's mean. Raises: DataError naming the
    file.
    """
    fields = read_mat_file(Path(path))
    points = np.asarray(fields.get("lm", np.zeros(0)), dtype=np.float64)
    if points.shape != (68, 3) or not np.isfinite(points).all():
        raise DataError(f"{path}: field 'lm' has shape {points.shape}, not (68, 3) finite numbers.")
    return five_of_68(points)
