"""Real head scans as truth that no face model spans: read, turned upright and brought to dm by landmarks.

The folder holds lee_perry_smith (Infinite-3D, CC BY 3.0), menpo_james (Imperial College, BSD) and flame_fitting_scan
(MPI-IS, non-commercial), each in its source's own units and pose.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from common.errors import DataError
from common.files.arrays import read_npy
from common.files.images import read_image
from common.files.meshes import Mesh, read_obj
from geometry.similarity import moved, similarity
from morphable.model import FaceModel

JAW = 17  # of the 68 points
# menpo's groups in the order of the 68 points; its left is the viewer's
MENPO_ORDER = ("chin", "leyebrow", "reyebrow", "nose", "leye", "reye", "mouth")


@dataclass(frozen=True)
class Source:
    """Files of a scan below its folder; dm in one of its units, None where nobody says."""

    mesh: str
    texture: str | None
    landmarks: str | None
    dm_per_unit: float | None


SOURCES = {
    "flame_fitting_scan": Source("scan.obj", None, "scan_lmks.npy", 10.0),
    "lee_perry_smith": Source("LeePerrySmith.glb", "Map-COL.jpg", None, None),
    "menpo_james": Source("james.obj", "james.jpg", "james.ljson", 0.01),
}


@dataclass(frozen=True)
class Scan:
    """A head scan.

    Attributes: name; mesh with uv where it has a texture; landmarks (68, 3) in the mesh's units, NaN where not marked,
        or None; dm_per_unit: None where the units are unknown.
    """

    name: str
    mesh: Mesh
    landmarks: np.ndarray | None
    dm_per_unit: float | None

    def placed(self, model: FaceModel) -> "Scan":
        """The scan in the face model's frame, dm: upright, looking along z, by its landmarks.

        Its size is its own; where the units are unknown, that of the model's mean face. Raises: DataError without
        landmarks.
        """
        if self.landmarks is None:
            raise DataError(f"{self.name}: has no landmarks to place it by.")
        marked = np.isfinite(self.landmarks[:, 0])
        unit = 1.0 if self.dm_per_unit is None else self.dm_per_unit
        points = torch.from_numpy(unit * self.landmarks[marked])[None]
        goal = model.points(model.mean, "ibug68").double().cpu()[torch.from_numpy(marked)][None]
        motion = similarity(points, goal, scaled=self.dm_per_unit is None)

        def move(values: np.ndarray) -> np.ndarray:
            return moved(torch.from_numpy(unit * values)[None], motion)[0].numpy()

        mesh = replace(self.mesh, vertices=move(self.mesh.vertices))
        return Scan(self.name, mesh, np.where(marked[:, None], move(np.nan_to_num(self.landmarks)), np.nan), 1.0)


def read_scans(folder: Path) -> list[Scan]:
    """All known scans below a folder. Raises: DataError when there is none, or naming a damaged file."""
    found = [
        name for name, source in SOURCES.items() if folder is not None and (Path(folder) / name / source.mesh).is_file()
    ]
    if not found:
        raise DataError(f"--images {folder}: holds none of the scans {', '.join(SOURCES)}.")
    return [_read(Path(folder) / name, name, SOURCES[name]) for name in found]


def _read(folder: Path, name: str, source: Source) -> Scan:
    mesh = _read_glb(folder / source.mesh) if source.mesh.endswith(".glb") else read_obj(folder / source.mesh)
    if source.texture is not None:
        mesh = replace(mesh, texture=read_image(folder / source.texture))
    else:
        mesh = Mesh(mesh.vertices, mesh.triangles)
    landmarks = None if source.landmarks is None else _read_landmarks(folder / source.landmarks)
    return Scan(name, mesh, landmarks, source.dm_per_unit)


def _read_glb(path: Path) -> Mesh:
    import trimesh  # half a second, so only where a .glb is read

    mesh = trimesh.load(path, process=False, force="mesh")
    triangles = np.asarray(mesh.faces)
    uv = np.asarray(mesh.visual.uv) * [1.0, -1.0] + [0.0, 1.0]  # this file's v runs down, against the format
    return Mesh(np.asarray(mesh.vertices, dtype=np.float64), triangles, uv=uv, uv_triangles=triangles)


def _read_landmarks(path: Path) -> np.ndarray:
    """(68, 3), NaN for the jaw of 51 points. Raises: DataError for other numbers."""
    if path.suffix == ".npy":
        points = read_npy(path)
    else:
        try:
            (group,) = json.loads(path.read_text())["groups"].values()
            masks = {label["label"]: label["mask"] for label in group["labels"]}
            order = [index for name in MENPO_ORDER for index in masks[name]]
            points = np.array(group["landmarks"]["points"], dtype=np.float64)[order]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path}: not menpo's landmarks ({error!r}).") from None
    if points.shape == (68 - JAW, 3):
        points = np.concatenate([np.full((JAW, 3), np.nan), points])
    if points.shape != (68, 3):
        raise DataError(f"{path}: {points.shape}, not 68 or 51 points in space.")
    return points.astype(np.float64)
