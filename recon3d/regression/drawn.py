"""Drawn heads in the layouts that regression reads, for smoke runs and tests: numbers made from them mean nothing.

    python -m recon3d.regression.drawn OUT [--count 8] [--face-model head]

Writes OUT/crops (packed crops for train_3dmm.py), OUT/images (120 px crops) and OUT/test.configs (AFLW2000-3D's
arrays).
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.config import LocalConfig, option
from common.errors import DataError
from common.files.pictures import save_picture
from common.scripts import run_script
from drawing.surfaces import shaded
from geometry.rotations import rotation_from_euler
from morphable.model import FaceModel
from morphable.scene import Scene
from recon3d.regression.data import PackedSample, pack_crops, packed_resolution
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.face_models import open_face_model
from recon3d.regression.params import Layout, Parts, join

SIZE = 120
LANDMARK_HEIGHT_SHARE = 0.55  # of the crop
ROI_PX = (60, 300)  # where the crops of the drawn benchmark come from: left and top, side


@dataclass(frozen=True)
class DrawnSettings:
    """python -m recon3d.regression.drawn."""

    out: list[str] = option([], "folder to write", positional=True)
    count: int = option(8, "faces", minimum=1)
    face_model: str = option("head", "what is drawn")
    identity: int = option(40, "identity coefficients, at most those of the model")
    expression: int = option(10, "expression coefficients, at most those of the model")
    seed: int = option(0, "of shapes and poses", minimum=0)


def random_faces(model: FaceModel, layout: Layout, count: int, size: int, seed: int) -> torch.Tensor:
    """(count, P) parameters of likely faces in a crop of that side, yaw up to about ±80°, continuous convention."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.tensor([0.15, 0.5, 0.1])
    rotation = rotation_from_euler(torch.randn(count, 3, generator=generator) * spread)
    points = model.points(model.mean, "ibug68")
    scale = (
        LANDMARK_HEIGHT_SHARE
        * size
        / float(np.ptp(points[:, 1].numpy()))
        * (0.9 + 0.2 * torch.rand(count, generator=generator))
    )
    centre = points.mean(0)
    translation = torch.tensor([size / 2, size / 2, 0.0]) - scale[:, None] * (rotation @ centre)
    identity = torch.randn(count, layout.identity, generator=generator) * 0.7 * model.identity_std[: layout.identity]
    expression = (
        torch.rand(count, layout.expression, generator=generator) * 0.5 * model.expression_std[: layout.expression]
    )
    return join(Parts(scale[:, None, None] * rotation, translation, identity, expression))


def draw_faces(
    model: FaceModel, layout: Layout, parameters: torch.Tensor, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(size, size, 3) uint8 picture and (68, 3) landmarks of each face, continuous px of the crop."""
    decoder, ids = FaceDecoder(model, layout), model.landmarks["ibug68"]
    for row in parameters:
        screen = CONVENTIONS["continuous"].to_crop(decoder(row[None]), size, torch.ones(1))
        posed = screen * torch.tensor([1.0, -1.0, 1.0])
        flat = screen * torch.tensor([1.0, 1.0, -1.0])
        picture = shaded(Scene(flat, posed, model.triangles, (size, size)), model.albedo_mean[None])
        yield picture, ids.of(screen)[0].numpy()


def write_drawn(settings: DrawnSettings, local: LocalConfig) -> None:
    """Both layouts. Raises: DataError."""
    if len(settings.out) != 1:
        raise DataError("name one folder to write.")
    out, model = Path(settings.out[0]), open_face_model(settings.face_model, local)
    layout = Layout(min(settings.identity, model.sizes[0]), min(settings.expression, model.sizes[1]))
    resolution = packed_resolution(SIZE)
    parameters = random_faces(model, layout, settings.count, resolution, settings.seed)
    drawn = draw_faces(model, layout, parameters, resolution)
    samples = (
        PackedSample(image, row.numpy(), f"drawn{i}", points[:, :2])
        for i, (row, (image, points)) in enumerate(zip(parameters, drawn, strict=True))
    )
    packed = pack_crops(samples, settings.count, out / "crops", layout, SIZE, settings.face_model)
    write_benchmark(model, layout, packed.inner_parameters(), out)


def write_benchmark(model: FaceModel, layout: Layout, parameters: torch.Tensor, out: Path) -> None:
    """Crops and 3DDFA's test.configs of AFLW2000-3D for faces whose parameters count from the inner crop."""
    corner, side = ROI_PX
    points, yaws = [], []
    for i, (picture, landmarks) in enumerate(draw_faces(model, layout, parameters, SIZE)):
        save_picture(out / "images" / f"image{i:05d}.jpg", picture)
        points.append(landmarks * (side / SIZE) + [corner, corner, 0])
        yaws.append([-80.0, -45.0, 0.0, 20.0][i % 4])
    folder = out / "test.configs"
    folder.mkdir(parents=True, exist_ok=True)
    counted = np.array(points, np.float32) + np.float32([0.5, 0.5, 0.0])  # the files count pixels from 1
    roi = np.float32([corner + 1, corner + 1, corner + side + 1, corner + side + 1])
    arrays = {"pts68": counted.transpose(0, 2, 1), "pose": np.float32(yaws), "new.pose": np.float32(yaws)}
    for name, array in arrays.items():
        joint = "-" if name == "new.pose" else "."
        np.save(folder / f"AFLW2000-3D{joint}{name}.npy", array)
    np.save(folder / "AFLW2000-3D-Reannotated.pts68.npy", counted[..., :2].transpose(0, 2, 1))
    np.save(folder / "AFLW2000-3D_crop.roi_box.npy", np.tile(roi, (len(points), 1)))


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(write_drawn, DrawnSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
