"""Write packed crops in the layouts of 300W-LP and of 3DDFA's training set.

    python -m recon3d.regression.write_layouts 300wlp --from data/packed/photos --out as_300wlp --face-model 3ddfa:BFM
    python -m recon3d.regression.write_layouts 3ddfa --from data/packed/fits --out data/train.configs

`300wlp`: a photo and a .mat for each crop with Pose_Para, Shape_Para, Exp_Para and pt3d_68, for any 3DDFA-like model of
at most 199 and 29 coefficients; A becomes the nearest scaled rotation. `3ddfa`: train_aug_120x120.list.train,
param_all_norm.pkl and param_whitening.pkl beside the folder crops/, for crops of 120 px with 40 and 10 coefficients.
"""

import io
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.io import savemat
from tqdm import tqdm

from common.config import LocalConfig, option
from common.errors import DataError
from common.files.atomic import write_file
from common.logs import console
from common.scripts import run_script
from geometry.rotations import euler_from_rotation, nearest_rotation
from morphable.model import FaceModel
from morphable.open import load_face_model
from recon3d.regression.data import PackedCrops
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.params import MICROMETRES_PER_DM, Layout, Whitening, scale_matrix

KINDS = ("300wlp", "3ddfa")
SHAPE, EXPRESSION = 199, 29  # coefficients of 300W-LP's files
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)


@dataclass(frozen=True)
class WriteSettings:
    """python -m recon3d.regression.write_layouts."""

    kind: list[str] = option([], "300wlp or 3ddfa", positional=True)
    source: Path | None = option(None, "folder of packed crops", "--from")
    out: Path | None = option(None, "folder to write")
    face_model: str | None = option(None, "300wlp: face model of the crops, default what they name")


def write_300wlp(packed: PackedCrops, model: FaceModel, out: Path) -> int:
    """One .jpg and .mat for each crop. Returns: their number. Raises: DataError for more coefficients than the files
    hold.
    """
    layout = packed.layout
    if layout.identity > SHAPE or layout.expression > EXPRESSION:
        raise DataError(
            f"{packed.folder}: {layout.identity} and {layout.expression} coefficients; 300W-LP's files hold {SHAPE} and"
            f" {EXPRESSION} of the Basel model. Pack fits of such a model."
        )
    out.mkdir(parents=True, exist_ok=True)
    decoder = FaceDecoder(model, layout, model.landmarks["ibug68"])
    for row in tqdm(range(len(packed)), desc=f"writing {out.name}"):
        parameters = torch.from_numpy(packed.parameters[row : row + 1]).double()
        _write_picture(out / f"{row:06d}.jpg", packed.read_image(row))
        fields = fitted_fields(parameters, layout, decoder(parameters.float())[0].numpy(), packed.resolution)
        buffer = io.BytesIO()
        savemat(buffer, fields)
        write_file(out / f"{row:06d}.mat", buffer.getvalue())
    return len(packed)


def fitted_fields(parameters: torch.Tensor, layout: Layout, points: np.ndarray, height: int) -> dict[str, np.ndarray]:
    """Fields of 300W-LP's .mat for parameters (1, P) and their landmarks (68, 3), y up, of a picture of that height in
    px.

    The inverse of `recon3d.regression.labels.read_fitted_face`: pixels count from 1, lengths in µm.
    """
    parts = layout.split(parameters)
    rotation = nearest_rotation(parts.matrix)
    scale = float((parts.matrix * rotation).sum() / 3) / MICROMETRES_PER_DM
    angles = euler_from_rotation(rotation)[0].tolist()
    shift = (parts.translation[0] + parts.translation.new_tensor([0.5, 0.5, 0.0])).tolist()
    down = np.stack([points[:, 0] + 0.5, height - points[:, 1] + 0.5, points[:, 2]])
    shape, expression = np.zeros((SHAPE, 1)), np.zeros((EXPRESSION, 1))
    shape[: layout.identity, 0] = parts.identity[0]
    expression[: layout.expression, 0] = parts.expression[0]
    pose = np.array([[*angles, *shift, scale]])
    return {"Pose_Para": pose, "Shape_Para": shape, "Exp_Para": expression, "pt3d_68": down, "pt2d": down[:2]}


def write_3ddfa(packed: PackedCrops, out: Path) -> int:
    """Lists, whitened labels and crops of 3DDFA. Returns: their number. Raises: DataError for crops of another form."""
    layout = Layout()
    if packed.layout != layout or packed.size != 120:
        raise DataError(
            f"{packed.folder}: crops of {packed.size} px with {packed.layout.identity} and {packed.layout.expression}"
            f" coefficients; 3DDFA's lists are of 120 px with {layout.identity} and {layout.expression}."
        )
    offset = (packed.resolution - packed.size) // 2
    inner = slice(offset, offset + packed.size)
    (out / "crops").mkdir(parents=True, exist_ok=True)
    names = [f"{row:06d}.jpg" for row in range(len(packed))]
    for row, name in enumerate(tqdm(names, desc=f"writing {out.name}")):
        _write_picture(out / "crops" / name, packed.read_image(row)[inner, inner])
    labels = packed.inner_parameters()
    once = CONVENTIONS["v1"].to_continuous(labels, torch.ones(len(labels)))
    labels = scale_matrix(2 * labels - once, 1 / MICROMETRES_PER_DM)  # the shift the other way round
    whitening = Whitening.of(labels)
    write_file(out / "train_aug_120x120.list.train", "".join(f"{name}\n" for name in names))
    write_file(out / "param_all_norm.pkl", pickle.dumps(whitening.whiten(labels).numpy()))
    fields = {"param_mean": whitening.mean.numpy(), "param_std": whitening.std.numpy()}
    write_file(out / "param_whitening.pkl", pickle.dumps(fields))
    return len(packed)


def _write_picture(path: Path, image: np.ndarray) -> None:
    write_file(path, cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), QUALITY)[1].tobytes())


def run(settings: WriteSettings, local: LocalConfig) -> None:
    """Raises: DataError, FaceModelError."""
    if len(settings.kind) != 1 or settings.kind[0] not in KINDS:
        raise DataError(f"name one layout: {', '.join(KINDS)}.")
    if settings.source is None or settings.out is None:
        raise DataError("name the packed crops with --from FOLDER and where to write with --out FOLDER.")
    packed = PackedCrops(settings.source)
    if settings.kind[0] == "3ddfa":
        count = write_3ddfa(packed, settings.out)
    else:
        model = load_face_model(settings.face_model or packed.face_model, local)
        count = write_300wlp(packed, model, settings.out)
    console().info(f"{settings.out}: {count} crops in the layout of {settings.kind[0]}")


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(run, WriteSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
