"""Labels for regression: from 300W-LP and AFLW2000-3D `.mat` files, and from the lists of 3DDFA's train.configs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.errors import DataError
from common.files.mat import read_mat_file
from datasets.crop import Crop
from geometry.rotations import rotation_from_euler
from recon3d.regression.params import MICROMETRES_PER_DM, Layout, Parts, join
from recon3d.regression.roi import crop_from_points

_FIELDS = {"Pose_Para": 7, "Shape_Para": 199, "Exp_Para": 29}


@dataclass(frozen=True)
class FittedFace:
    """A face of 300W-LP as fitted by its authors.

    Attributes:
        camera: (3, 4) [A | t], vertices in dm → continuous photo px, x right, y DOWN, z toward the viewer.
        identity (199,), expression (29,): coefficients of BFM 2009 and FaceWarehouse in 3DDFA's units.
        angles_deg: (3,) pitch, yaw, roll.  landmarks: (68, 3) continuous photo px, z toward the viewer, or None.
    """

    camera: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    angles_deg: np.ndarray
    landmarks: np.ndarray | None


def read_fitted_face(path: Path, height: int) -> FittedFace:
    """Read one `.mat` beside a photo of that height in px (450 in 300W-LP and AFLW2000-3D).

    V = f·R·S + t with pixels from 1 and y up; image row = height + 1 − y. Raises: DataError naming file and field.
    """
    content = read_mat_file(path)
    values = {}
    for name, size in _FIELDS.items():
        array = np.asarray(content.get(name, ()), dtype=np.float64).ravel()
        if array.size != size or not np.isfinite(array).all():
            raise DataError(f"{path}: field {name} is not {size} finite numbers; it is no fit of 300W-LP.")
        values[name] = array
    pitch_yaw_roll, (tx, ty, tz, scale) = values["Pose_Para"][:3], values["Pose_Para"][3:]
    rotation = rotation_from_euler(torch.from_numpy(pitch_yaw_roll)).numpy()
    matrix = scale * MICROMETRES_PER_DM * rotation
    # a column or row counted from 1 has its centre at number − 0.5
    camera = np.hstack([matrix, [[tx - 0.5], [height + 0.5 - ty], [tz]]])
    camera[1, :3] *= -1
    landmarks = content.get("pt3d_68")
    if landmarks is not None:
        landmarks = np.asarray(landmarks, dtype=np.float64)
        if landmarks.shape != (3, 68) or not np.isfinite(landmarks).all():
            raise DataError(f"{path}: field pt3d_68 is not 3 × 68 finite numbers; it is no fit of 300W-LP.")
        landmarks = landmarks.T - [0.5, 0.5, 0.0]
    return FittedFace(camera, values["Shape_Para"], values["Exp_Para"], np.rad2deg(pitch_yaw_roll), landmarks)


def crop_of(face: FittedFace, size: int) -> Crop:
    """The roi of the dataset: √2 × the longer side of the landmarks' box. Raises: DataError without landmarks."""
    if face.landmarks is None:
        raise DataError("a fit without pt3d_68 has no region to cut; give one.")
    return crop_from_points(face.landmarks, size)


def parameters_in_crop(
    camera: np.ndarray, identity: np.ndarray, expression: np.ndarray, crop: Crop, layout: Layout
) -> Tensor:
    """(P,) float32 label, continuous convention, of a face whose camera [A | t] (3, 4) gives photo px with y DOWN.

    Coefficients beyond the layout are cut off, which costs 0.71 % NME with 40 and 10 (mean of 16 images).
    Raises: DataError for fewer coefficients than the layout asks for.
    """
    if len(identity) < layout.identity or len(expression) < layout.expression:
        raise DataError(
            f"a fit has {len(identity)} identity and {len(expression)} expression coefficients, {layout.identity} and"
            f" {layout.expression} are asked for; choose fewer."
        )
    in_crop = np.vstack([crop.matrix[:, :2] @ camera[:2], crop.scale * camera[2:]])
    in_crop[:2, 3] += crop.matrix[:, 2]
    in_crop[1] *= -1
    in_crop[1, 3] += crop.size
    tensors = (in_crop[:, :3], in_crop[:, 3], identity[: layout.identity], expression[: layout.expression])
    return join(Parts(*(torch.from_numpy(np.ascontiguousarray(t)).float()[None] for t in tensors)))[0]
