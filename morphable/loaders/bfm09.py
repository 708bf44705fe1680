"""The Basel Face Model 2009 as Deep3DFaceReconstruction uses it: 35,709 vertices, 80 identity, 64 expression, 80 albedo
modes.

Either the finished `BFM_model_front.mat` or its construction from the originals: `01_MorphableModel.mat` (Paysan et al.
2009, from the University of Basel after registration) and `Exp_Pca.bin` (Guo et al. 2018, CoarseData), with
`std_exp.txt`, `BFM_front_idx.mat`, `BFM_exp_idx.mat` and `facemodel_info.mat` of microsoft/Deep3DFaceReconstruction.
Lengths become dm, the mean shape is centred on its mean vertex as that code does at load time, colours become 0 … 1.
"""

from pathlib import Path

import numpy as np
import torch

from common.errors import FaceModelError
from common.files.mat import read_mat_file
from morphable.loaders.arrays import DM_PER_MICROMETRE, IBUG_68, checked, ids, outward, vertices
from morphable.loaders.names import BFM09_FRONT, BFM09_RAW
from morphable.model import FaceModel, SurfacePoints

RAW_FILES = (BFM09_RAW, "Exp_Pca.bin", "std_exp.txt", "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat")
LICENCE = "Basel Face Model 2009: research only, not to be redistributed (faces.dmi.unibas.ch/bfm)"
SIZES = (80, 64, 80)  # identity, expression, albedo
_MAX_BYTES = 2**31
_INFO = ("tri", "keypoints", "frontmask2_idx", "skinmask")


def load(path: Path, part: str | None = None) -> FaceModel:
    """Read a `.mat` of the front, the original `.mat`, or a folder that holds either with its companions.

    Args: part, "cropped" for the 27,660 vertices of the photometric mask alone (region "face" of the whole); None for
    all.
    Returns: coefficients are in standard deviations of the model; albedo is RGB 0 … 1; landmarks "ibug68"; regions
        "face" (photometric mask) and "skin" (albedo flattening), whose names are those of Deng et al. 2019.
    Raises: FaceModelError naming the file and field.
    """
    if part not in (None, "cropped"):
        raise FaceModelError(f"{path}: BFM 2009 has no part '{part}'; choose cropped or none.")
    if path.is_dir() and (path / BFM09_FRONT).is_file():
        path = path / BFM09_FRONT
    if path.is_dir():
        model = build(path)
    else:
        fields = read_mat_file(path, max_bytes=_MAX_BYTES)
        model = build(path.parent) if "shapePC" in fields else from_front(path, fields)
    return model if part is None else model.submesh(model.regions["face"] > 0)


def from_front(source: Path, fields: dict) -> FaceModel:
    """The model of the fields of `BFM_model_front.mat`, all sizes as the file has them."""
    mean = checked(source, fields, "meanshape")
    if len(mean) % 3:
        raise FaceModelError(f"{source}: field 'meanshape' has {len(mean)} numbers, no multiple of 3.")
    flat, count = len(mean), len(mean) // 3
    basis = {name: checked(source, fields, name, flat, None) for name in ("idBase", "exBase", "texBase")}
    colour = checked(source, fields, "meantex", flat)
    triangles = ids(source, "tri", checked(source, fields, "tri", None, 3), count, first=1)
    landmarks = ids(source, "keypoints", checked(source, fields, "keypoints", 68), count, first=1)
    face = ids(source, "frontmask2_idx", checked(source, fields, "frontmask2_idx"), count, first=1)
    skin = checked(source, fields, "skinmask", count)
    shape = vertices(mean, 1.0)
    shape = shape - shape.double().mean(0).float()
    identity, expression, albedo = (vertices(basis[name], 1.0) for name in ("idBase", "exBase", "texBase"))
    return FaceModel(
        name="bfm09_front",
        licence=LICENCE,
        mean=shape,
        triangles=outward(triangles, shape),
        identity=identity,
        expression=expression,
        albedo_mean=vertices(colour, 1 / 255),
        albedo=albedo / 255,
        identity_std=torch.ones(identity.shape[2]),
        expression_std=torch.ones(expression.shape[2]),
        albedo_std=torch.ones(albedo.shape[2]),
        landmarks={IBUG_68: SurfacePoints.at_vertices(landmarks)},
        regions={"face": torch.zeros(count).index_fill(0, torch.from_numpy(face), 1), "skin": vertices_mask(skin)},
    )


def vertices_mask(values: np.ndarray) -> torch.Tensor:
    """(N,) weights 0 or 1."""
    return torch.from_numpy((np.asarray(values) > 0).astype(np.float32))


def build(folder: Path) -> FaceModel:
    """BFM 2009 and its expressions from one folder. Raises: FaceModelError naming the missing or wrong file."""
    absent = [name for name in RAW_FILES if not (folder / name).is_file()]
    if absent:
        raise FaceModelError(f"{folder}: neither {BFM09_FRONT} nor the originals; {' and '.join(absent)} missing.")
    raw = folder / BFM09_RAW
    fields = read_mat_file(raw, max_bytes=_MAX_BYTES)
    flat = len(checked(raw, fields, "shapeMU"))
    expression, expression_count = read_expressions(folder)
    to_expression = _index(folder / "BFM_front_idx.mat", "idx", expression_count)
    to_original = _index(folder / "BFM_exp_idx.mat", "trimIndex", flat // 3)
    if len(to_original) != expression_count:
        raise FaceModelError(
            f"{folder / 'BFM_exp_idx.mat'}: field 'trimIndex' has {len(to_original)} vertices, Exp_Pca.bin"
            f" {expression_count}."
        )
    chosen = to_original[to_expression]
    front = {
        "meanshape": _select(checked(raw, fields, "shapeMU", flat), chosen) * DM_PER_MICROMETRE,
        "meantex": _select(checked(raw, fields, "texMU", flat), chosen),
        # BFM's "EV" are standard deviations.
        "idBase": _modes(raw, fields, "shape", chosen, SIZES[0]) * DM_PER_MICROMETRE,
        "texBase": _modes(raw, fields, "tex", chosen, SIZES[2]),
        "exBase": _select(expression, to_expression)[:, : SIZES[1]] * DM_PER_MICROMETRE,
    }
    info = folder / "facemodel_info.mat"
    details = read_mat_file(info)
    front |= {name: checked(info, details, name, *(None, 3) if name == "tri" else ()) for name in _INFO}
    return from_front(folder, front)


def read_expressions(folder: Path) -> tuple[np.ndarray, int]:
    """Expression modes of `Exp_Pca.bin` times the spreads of `std_exp.txt`: (3M, D) µm, and M.

    The file: little-endian int32 D, then float32: a mean (not used), then D modes, each M vertices x0, y0, z0, …
    """
    path, spread_path = folder / "Exp_Pca.bin", folder / "std_exp.txt"
    data = path.read_bytes()
    count = int.from_bytes(data[:4], "little", signed=True)
    numbers = (len(data) - 4) // 4
    if len(data) < 8 or count < 1 or (len(data) - 4) % (12 * (count + 1)):
        raise FaceModelError(
            f"{path}: its {len(data):,} bytes hold no mean and {count} modes; it is cut short or another file."
        )
    values = np.frombuffer(data, "<f4", offset=4).reshape(count + 1, numbers // (count + 1))[1:]
    try:
        spread = np.array(spread_path.read_text().split(), dtype=np.float64)
    except ValueError as error:
        raise FaceModelError(f"{spread_path}: not a line of numbers ({error}).") from None
    if len(spread) != count or not (np.isfinite(values).all() and np.isfinite(spread).all()):
        raise FaceModelError(
            f"{spread_path}: has {len(spread)} numbers, Exp_Pca.bin {count} modes, and all must be finite."
        )
    return values.T.astype(np.float64) * spread, values.shape[1] // 3


def _index(path: Path, name: str, count: int) -> np.ndarray:
    return ids(path, name, checked(path, read_mat_file(path), name), count, first=1)


def _select(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Rows of some vertices of (3N, …) vertex-major numbers."""
    return (
        values.reshape(-1, 3, *values.shape[1:])[chosen].reshape(len(chosen) * 3, *values.shape[1:]).astype(np.float64)
    )


def _modes(path: Path, fields: dict, name: str, chosen: np.ndarray, count: int) -> np.ndarray:
    spread = checked(path, fields, f"{name}EV")
    modes = checked(path, fields, f"{name}PC", len(checked(path, fields, f"{name}MU")), len(spread))
    return _select(modes[:, :count], chosen) * spread[:count]
