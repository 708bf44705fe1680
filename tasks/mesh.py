"""demo.py --task mesh: 3D landmarks, pose, meshes, depth, position codes and textures by a regressor."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from common.config import LocalConfig
from common.errors import ConfigError, DataError
from common.files.atomic import write_file
from common.files.meshes import Mesh, write_mesh
from common.files.pictures import save_picture
from common.files.points import format_pts
from datasets.face import Face
from datasets.photos import parse_box
from drawing.pose import draw_pose
from drawing.surfaces import position_codes, write_depth
from morphable.meshes import coloured_mesh, in_frame, scene_colours
from morphable.scene import Scene
from morphable.texture import unwrap
from morphable.unroll import anchors, pose_adaptive_feature
from recon3d.regression.box_files import read_boxes
from recon3d.regression.drawing import draw_dense, draw_over, draw_sparse
from recon3d.regression.face_models import open_face_model
from recon3d.regression.models import load_regressor
from recon3d.regression.profiling import spread
from recon3d.regression.regressor import STEPS, FaceRegressor
from recon3d.regression.video import KINDS, draw_frame
from tasks.method import Method, Photo, Result, beside, fitted
from tasks.settings import MeshSettings

HOLE = 0.02  # of a texture's side: half the width of holes that are filled in
MODEL = "regressor_120"


@dataclass(frozen=True)
class Drawn:
    """Faces of a photo, and their scene, made at the first use."""

    image: np.ndarray
    faces: Sequence[Face]
    regressor: FaceRegressor

    @cached_property
    def scene(self) -> Scene:
        """All faces in one z-buffer."""
        return self.regressor.scene(self.faces, self.image.shape[:2])

    @property
    def landmarks(self) -> np.ndarray:
        """(n, 68, 3)."""
        return np.stack([face.landmarks for face in self.faces])

    def mesh(self, numbers: Sequence[int], coloured: bool) -> Mesh:
        """Faces on the photo, px with y up from its lower edge, with the photo's colours."""
        numbers = list(numbers)
        colours = scene_colours(self.image, self.scene)[numbers] if coloured else None
        vertices = in_frame("image", self.scene.posed, self.scene)[numbers]
        return coloured_mesh(vertices, self.regressor.face_model.triangles, colours)


class MeshMethod(Method):
    """A regressor of 3DDFA's kind. Several faces of a photo share one depth buffer."""

    def __init__(self, regressor: FaceRegressor, settings: MeshSettings, model: str) -> None:
        self.regressor, self.settings = regressor, settings
        self.smoothed = regressor
        self.box = None if settings.box is None else parse_box(settings.box)
        face_model = regressor.face_model
        self.description = {
            "model": model,
            "face_model": face_model.name,
            "licence": face_model.licence,
            "expression_names": list(face_model.expression_names)[: regressor.model.layout.expression],
        }
        self.photo_writers = {
            "overlay": self._picture(settings.suffix, lambda d: draw_sparse(d.image, d.landmarks)),
            "dense": self._picture("dense", lambda d: draw_dense(d.image, d.scene.screen.cpu().numpy())),
            "shape": self._picture("shape", lambda d: draw_over("3d", d.image, d.scene, d.regressor)),
            "pose": self._picture("pose", _pose),
            "depth": self._write_depth,
            "pncc": self._write_codes,
            "texture": self._picture("texture", _textures),
            "ply": lambda stem, result: self._write_meshes(stem, result, "ply"),
            "obj": lambda stem, result: self._write_meshes(stem, result, "obj"),
        }
        self.face_writers = {
            "pts": _write_points,
            "txt": _write_rows,
            "vertices": self._write_vertices,
            "roi": _write_region,
            "paf": self._write_feature,
        }

    def process(self, photos: Sequence[Photo]) -> list[Result | Exception]:
        """Faces with their parameters; boxes from <photo>.bbox where --dlib_bbox is 0."""
        if not self.settings.dlib_bbox:
            return [self._by_box_file(photo) for photo in photos]
        found = self.predict([photo.image for photo in photos])
        return [self._result(photo, faces) for photo, faces in zip(photos, found, strict=True)]

    def _by_box_file(self, photo: Photo) -> Result | Exception:
        path = Path(photo.input.source)
        try:
            return self._result(photo, self.regressor(photo.image, read_boxes(path.with_name(path.name + ".bbox"))))
        except DataError as error:
            return error

    def _result(self, photo: Photo, faces: list[Face]) -> Result:
        return Result(photo, faces, Drawn(photo.image, faces, self.regressor))

    def predict(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces with their parameters."""
        return self.regressor.predict_batch(images, None if self.box is None else [[self.box]] * len(images))

    @property
    def follower(self) -> FaceRegressor:
        """The regressor."""
        return self.regressor

    def draw(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Landmarks, or what --opt asks for first."""
        kind = (self.settings.opt or ["2d_sparse"])[0]
        if kind not in KINDS:
            raise DataError(f"-o {kind} is for photos; videos show one of: {', '.join(KINDS)}.")
        return draw_frame(image, list(faces), self.regressor, kind)

    def _picture(self, ending: str, draw: Callable[[Drawn], np.ndarray]) -> Callable[[Path, Result], list[Path]]:
        def write(stem: Path, result: Result) -> list[Path]:
            return [save_picture(beside(stem, f"_{ending}.png"), fitted(draw(result.more), self.settings.max_side))]

        return write

    def _write_depth(self, stem: Path, result: Result) -> list[Path]:
        """Exact, 16 bit, and in colours over the photo."""
        drawn, exact = result.more, beside(stem, "_depth.png")
        write_depth(exact, drawn.scene.depth_mm())
        show = self._picture("depth_coloured", lambda d: draw_over("depth", d.image, d.scene, d.regressor))
        return [exact, *show(stem, result)]

    def _write_codes(self, stem: Path, result: Result) -> list[Path]:
        """On black, in the photo's pixels, and over the photo."""
        codes = position_codes(result.more.scene, self.regressor.face_model)
        show = self._picture("pncc_overlay", lambda d: draw_over("pncc", d.image, d.scene, d.regressor))
        return [save_picture(beside(stem, "_pncc.png"), codes), *show(stem, result)]

    def _write_meshes(self, stem: Path, result: Result, suffix: str) -> list[Path]:
        """All faces in one mesh, and, where there are several, each in its own; .obj with the photo's colours."""
        count, paths = len(result.faces), []
        groups = {stem.name: range(count)}
        if count > 1:
            groups |= {label: [i] for i, label in enumerate(result.labels)}
        for label, numbers in groups.items():
            paths.append(stem.with_name(f"{label}_mesh.{suffix}"))
            write_mesh(paths[-1], result.more.mesh(numbers, coloured=suffix == "obj"))
        return paths

    def _write_vertices(self, stem: Path, result: Result, i: int) -> list[Path]:
        """(V, 3) photo px."""
        buffer = io.BytesIO()
        np.save(buffer, self.regressor.screen([result.faces[i]])[0].cpu().numpy())
        return [write_file(beside(stem, ".npy"), buffer.getvalue())]

    def _write_feature(self, stem: Path, result: Result, i: int) -> list[Path]:
        """(64·size, 64·size, 3) of the crop that the network saw."""
        face, size = result.faces[i], self.settings.paf_size
        screen = self.regressor.screen([face])[0].cpu().numpy()
        inside = np.column_stack([face.crop.apply(screen[:, :2]), screen[:, 2]])
        points = anchors(self.regressor.face_model.to("cpu"))
        crop = face.crop.extract(result.photo.image)
        picture = pose_adaptive_feature(crop, torch.from_numpy(inside).float(), points, size)
        return [save_picture(beside(stem, "_paf.png"), picture)]


def _write_points(stem: Path, result: Result, i: int) -> list[Path]:
    return [write_file(beside(stem, ".pts"), format_pts(result.faces[i].landmarks[:, :2]))]


def _write_rows(stem: Path, result: Result, i: int) -> list[Path]:
    """RADAN's file of 68 landmarks: a row of x, of y and of z."""
    rows = "\n".join(" ".join(f"{v:.3f}" for v in row) for row in result.faces[i].landmarks.T)
    return [write_file(beside(stem, ".txt"), f"{rows}\n")]


def _write_region(stem: Path, result: Result, i: int) -> list[Path]:
    """RADAN's file of the region that was cut: left, top, right, bottom on four lines."""
    crop = result.faces[i].crop
    corners = crop.invert(np.array([[0.0, 0.0], [crop.size, crop.size]]))
    return [write_file(beside(stem, ".roibox"), "\n".join(f"{v:.3f}" for v in corners.ravel()) + "\n")]


def _pose(drawn: Drawn) -> np.ndarray:
    rotations, angles = (np.stack([getattr(face, name) for face in drawn.faces]) for name in ("rotation", "angles_deg"))
    return draw_pose(drawn.image, rotations, drawn.landmarks, angles)


def _textures(drawn: Drawn) -> np.ndarray:
    """Unwrapped textures of all faces side by side, hidden parts from the mirrored side, small holes from their
    neighbours.
    """
    model, faces = drawn.regressor.face_model, range(len(drawn.faces))
    pictures = [unwrap(drawn.image, drawn.scene, face, model, complete="symmetry").picture for face in faces]
    return np.concatenate([without_holes(picture) for picture in pictures], axis=1)


def without_holes(texture: np.ndarray) -> np.ndarray:
    """(S, S, 4) → (S, S, 3) uint8: transparent texels are black but for those within 2 % of the side of others all
    around.
    """
    pixels = torch.from_numpy(texture.copy()).permute(2, 0, 1)[None].float()
    colours, known = pixels[:, :3], (pixels[:, 3:] > 0).float()
    by = max(1, round(HOLE * texture.shape[0]))
    closed = F.max_pool2d(known, 2 * by + 1, 1, by)
    closed = torch.maximum(known, -F.max_pool2d(-closed, 2 * by + 1, 1, by))
    return (spread(colours, known) * closed)[0].permute(1, 2, 0).round().byte().numpy()


def open_method(settings: MeshSettings, local: LocalConfig, kinds: Sequence[str]) -> MeshMethod:
    """As the options say. Raises: UserError."""
    if settings.paf_size % 2 == 0:
        raise ConfigError(f"--paf_size {settings.paf_size}: a patch has a middle, so give an odd number.")
    model = settings.model or MODEL
    loaded = load_regressor(model, local.snapshots, settings.whitening)
    regressor = FaceRegressor(
        loaded,
        open_face_model(settings.face_model, local, loaded.model),
        detector=settings.detector,
        weights=settings.weights,
        steps=None if settings.bbox_init is None else STEPS[settings.bbox_init],
        authors=settings.authors,
        device=settings.device,
    )
    if settings.onnx is not None:
        regressor.use_onnx(settings.onnx)
    return MeshMethod(regressor, settings, model)
