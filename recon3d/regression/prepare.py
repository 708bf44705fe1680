"""Pack crops with parameters for train_3dmm.py.

    python -m recon3d.regression.prepare fits --from fits.npz --photos DATA --split train --out data/packed/fits
    python -m recon3d.regression.prepare 300wlp --from 300W_LP --out data/packed/300wlp [--identity 40 --expression 10]
    python -m recon3d.regression.prepare synthetic --out data/packed/synthetic  # rendered heads, labels are the truth
    python -m recon3d.regression.prepare photos --from PHOTOS --out data/packed/photos   # photos with .pts, fitted
    python -m recon3d.regression.prepare taught --from PHOTOS --teacher mb05_120x120.pth --teacher-model 3ddfa:configs
    python -m recon3d.regression.prepare profiled --from data/packed/photos --out data/packed/turned --copies 4

`fits` takes an npz of image names (below --photos), roi, params (62 numbers as 3DDFA_V2 gives them) and, where it is
there, nme_vs_2d_annotation, above which --max-error drops a fit. `300wlp` takes every .mat with its .jpg beside it.
`synthetic` renders the embedded head, `photos` fits --face-model to the 68 points, `taught` to points of the landmark
model (or of .pts files) and of --teacher. `profiled` turns packed crops out of plane by their fits to yaws between
--yaw-from and --yaw-to (face profiling, as 300W-LP was made); train on both folders together.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from common.config import LocalConfig, option
from common.errors import DataError
from common.files.arrays import read_npz
from common.files.images import image_size, read_image, safe_join
from common.files.points import read_pts
from common.logs import console
from common.scripts import run_script
from datasets.leaks import is_leaked_photo, training_photos
from landmarks.finder import LandmarkFinder
from morphable.open import load_face_model
from recon3d.regression.data import PackedCrops, PackedSample, pack_crops
from recon3d.regression.decode import CONVENTIONS
from recon3d.regression.head_labels import photo_samples, synthetic_samples, widened
from recon3d.regression.labels import crop_of, parameters_in_crop, read_fitted_face
from recon3d.regression.large_yaws import profiled_samples
from recon3d.regression.params import MICROMETRES_PER_DM, Layout, scale_matrix, transform_parameters
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_roi
from recon3d.regression.teacher_labels import taught_samples

SPLITS = ("train", "test", "all")


@dataclass(frozen=True)
class PrepareSettings:
    """python -m recon3d.regression.prepare."""

    what: list[str] = option([], "fits, 300wlp, synthetic, photos, taught or profiled", positional=True)
    source: Path | None = option(None, "npz of fits, folder of 300W-LP, of rendered faces, or of photos", "--from")
    photos: Path | None = option(None, "folder that the names in an npz count from")
    out: Path | None = option(None, "folder to write; default <data>/packed/<what>")
    split: str = option("train", "of fits: photos below a folder 'test' or not", choices=SPLITS)
    size: int = option(120, "side of the networks' input in px")
    max_error: float = option(6.0, "fits with a larger nme_vs_2d_annotation (%) are dropped; 0 = keep all")
    identity: int = option(40, "identity coefficients of 300wlp")
    expression: int = option(10, "expression coefficients of 300wlp")
    count: int | None = option(None, "only the first samples", minimum=1)
    face_model: str | None = option(
        None,
        "of photos and taught: the model to fit, default head; of profiled: that of the crops, default what they name",
    )
    teacher: str = option("regressor_120", "of taught: regressor that gives depth and large yaws")
    teacher_model: str | None = option(None, "of taught: the teacher's face model, default what it names")
    copies: int = option(4, "of profiled: turned copies of every crop", minimum=1)
    yaw_from: float = option(30.0, "of profiled: smallest yaw of the copies in degrees", minimum=0, maximum=90)
    yaw_to: float = option(90.0, "of profiled: largest yaw of the copies in degrees", minimum=0, maximum=90)
    seed: int = option(0, "of profiled: of the yaws")


def prepare_fits(settings: PrepareSettings, out: Path) -> PackedCrops:
    """Fits of 3DDFA_V2 as labels. Their points are put where the faces are: see `decode.PixelConvention`."""
    if settings.source is None or settings.photos is None:
        raise DataError("fits need --from FILE.npz and --photos FOLDER.")
    images, rois, parameters = read_npz(settings.source, ("image", "roi", "params"))
    errors = np.zeros(len(images))
    if settings.max_error:
        (errors,) = read_npz(settings.source, ("nme_vs_2d_annotation",))
    layout = Layout()
    if parameters.shape != (len(images), layout.size) or rois.shape != (len(images), 4):
        raise DataError(
            f"{settings.source}: params of shape {parameters.shape} and roi of {rois.shape} for {len(images)} images."
        )
    held_out = np.array(["test" in Path(str(name)).parts for name in images])
    wanted = {"train": ~held_out, "test": held_out, "all": np.ones(len(images), bool)}[settings.split]
    limit = settings.max_error or np.inf
    leaked = np.array([is_leaked_photo(str(name)) for name in images])
    rows = np.flatnonzero(wanted & ~leaked & (errors <= limit))[: settings.count]

    def samples() -> Iterator[PackedSample]:
        for row in rows:
            path = safe_join(settings.photos, str(images[row]))
            inner = crop_from_roi(rois[row], settings.size)
            crop = widened(inner)
            authors = scale_matrix(torch.from_numpy(parameters[row : row + 1]), MICROMETRES_PER_DM)
            roi_crop = crop_from_roi(rois[row], 120)  # the network that made the fits saw 120 px
            here = CONVENTIONS["v1"].to_continuous(authors, torch.tensor([roi_crop.scale]))
            to_packed = crop.matrix @ np.vstack([roi_crop.inverse_matrix, [0, 0, 1]])
            matrix = torch.from_numpy(to_packed[None]).float()
            label = transform_parameters(here, matrix, 120, crop.size)[0].numpy()
            points = path.with_suffix(".pts")
            annotated = crop.apply(read_pts(points, 68)) if points.is_file() else None
            # the authors' network learned from crops without a low-pass, ours from smooth ones
            yield PackedSample(crop.extract(read_image(path)), label, str(images[row]), annotated)

    return pack_crops(samples(), len(rows), out, layout, settings.size, "3ddfa")


def prepare_300wlp(settings: PrepareSettings, out: Path) -> PackedCrops:
    """300W-LP or AFLW2000-3D as their authors fitted them."""
    if settings.source is None or not settings.source.is_dir():
        raise DataError(f"300W-LP not found at {settings.source}; give its folder with --from.")
    layout = Layout(settings.identity, settings.expression)
    paths = [p for p in sorted(settings.source.rglob("*.mat")) if p.with_suffix(".jpg").is_file()][: settings.count]
    if not paths:
        raise DataError(f"{settings.source}: holds no .mat with its .jpg beside it; it is no 300W-LP folder.")

    def samples() -> Iterator[PackedSample]:
        for path in paths:
            photo = path.with_suffix(".jpg")
            face = read_fitted_face(path, image_size(photo)[1])
            crop = widened(crop_of(face, settings.size))
            label = parameters_in_crop(face.camera, face.identity, face.expression, crop, layout).numpy()
            annotated = crop.apply(face.landmarks[:, :2])
            yield PackedSample(
                crop.extract(read_image(photo)), label, str(photo.relative_to(settings.source)), annotated
            )

    return pack_crops(samples(), len(paths), out, layout, settings.size, "3ddfa")


def prepare_synthetic(settings: PrepareSettings, out: Path) -> PackedCrops:
    """Rendered faces of the embedded head with their truth."""
    model = load_face_model("head")
    layout = Layout(*model.sizes[:2])
    samples, count = synthetic_samples(settings.source, settings.split, settings.size, layout)
    wanted = min(count, settings.count or count)
    return pack_crops(islice(samples, wanted), wanted, out, layout, settings.size, "head")


def prepare_photos(settings: PrepareSettings, out: Path) -> PackedCrops:
    """A user's photos with 68 points, fitted."""
    if settings.source is None or not settings.source.is_dir():
        raise DataError(f"no folder of photos at {settings.source}; give it with --from.")
    source = settings.face_model or "head"
    model = load_face_model(source)
    layout = Layout(*model.sizes[:2])
    samples, count = photo_samples(settings.source, model, settings.size, layout, settings.max_error)
    wanted = min(count, settings.count or count)
    return pack_crops(islice(samples, wanted), wanted, out, layout, settings.size, source)


def prepare_profiled(settings: PrepareSettings, out: Path) -> PackedCrops:
    """Packed crops of fits, turned to large yaws by their meshes."""
    if settings.source is None:
        raise DataError("profiled needs packed crops: --from FOLDER, as the other sources write them.")
    if settings.yaw_from > settings.yaw_to:
        raise DataError(f"--yaw-from {settings.yaw_from:g} is above --yaw-to {settings.yaw_to:g}; swap them.")
    packed = PackedCrops(settings.source)
    source = settings.face_model or packed.face_model
    samples = profiled_samples(
        packed, load_face_model(source), settings.copies, (settings.yaw_from, settings.yaw_to), settings.seed
    )
    count = len(packed) * settings.copies
    wanted = min(count, settings.count or count)
    return pack_crops(islice(samples, wanted), wanted, out, packed.layout, packed.size, packed.face_model)


def prepare_taught(settings: PrepareSettings, out: Path) -> PackedCrops:
    """Photos without fits, labelled by the landmark model and a teacher."""
    if settings.source is None or not settings.source.is_dir():
        raise DataError(f"no folder of photos at {settings.source}; give it with --from.")
    paths = training_photos(settings.source)[: settings.count]
    if not paths:
        raise DataError(f"{settings.source}: holds no photos; name another folder with --from.")
    source = settings.face_model or "head"
    model = load_face_model(source)
    layout = Layout(*model.sizes[:2])
    teacher = FaceRegressor.from_pretrained(settings.teacher, settings.teacher_model, detector="none")
    finder = LandmarkFinder(flip=True)
    samples = taught_samples(paths, finder, teacher, model, settings.size, layout)
    return pack_crops(samples, len(paths), out, layout, settings.size, source)


SOURCES = {
    "fits": prepare_fits,
    "300wlp": prepare_300wlp,
    "synthetic": prepare_synthetic,
    "photos": prepare_photos,
    "taught": prepare_taught,
    "profiled": prepare_profiled,
}


def run(settings: PrepareSettings, local: LocalConfig) -> PackedCrops:
    """Pack and say what came out. Raises: DataError."""
    if len(settings.what) != 1 or settings.what[0] not in SOURCES:
        raise DataError(f"name one source: {', '.join(SOURCES)}.")
    out = settings.out or local.data / "packed" / settings.what[0]
    if settings.what[0] == "synthetic" and settings.source is None:
        settings = replace(settings, source=local.paths.get("synthetic", local.data / "synthetic"))
    packed = SOURCES[settings.what[0]](settings, out)
    console().info(f"{out}: {len(packed)} crops of {packed.resolution} px, {packed.layout.size} parameters each")
    return packed


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(run, PrepareSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
