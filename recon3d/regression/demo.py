"""demo.py --task mesh: photos in; landmarks, meshes, depth, position codes, textures and poses out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from common.config import LocalConfig, option
from common.errors import DataError, MeshFileError
from common.files.atomic import replacing, write_file
from common.files.images import read_image
from common.files.meshes import Mesh, write_mesh
from common.files.pictures import save_picture
from common.logs import console
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP
from datasets.face import Face
from datasets.photos import free_name, make_folder
from drawing.pose import draw_pose
from drawing.surfaces import position_codes, write_depth
from morphable.meshes import coloured_mesh, in_frame, scene_colours
from morphable.scene import Scene
from morphable.texture import unwrap
from morphable.unroll import anchors, pose_adaptive_feature
from recon3d.regression.drawing import draw_dense, draw_over, draw_sparse
from recon3d.regression.face_models import open_face_model
from recon3d.regression.models import load_regressor
from recon3d.regression.profiling import spread
from recon3d.regression.regressor import STEPS, FaceRegressor
from recon3d.regression.video import KINDS, frame_drawer
from video.process import VideoOptions, process_video
from video.reader import Span, is_video, video_stem
from video.smoothing import SMOOTHINGS
from video.tracking import DETECT_EVERY

OPTIONS = ("2d_sparse", "2d_dense", "3d", "depth", "pncc", "uv_tex", "pose", "ply", "obj")
HOLE = 0.02  # of a texture's side: half the width of holes that are filled in


@dataclass(frozen=True)
class MeshSettings:
    """demo.py --task mesh: RADAN's and 3DDFA's --dump switches, or 3DDFA_V2's --opt."""

    inputs: list[str] = option([], "photos, videos (.mp4 …) or webcam:0", positional=True)
    task: str = option("mesh", "mesh", choices=("mesh",), group="run")
    files: list[str] = option([], "photos, as the papers' demos name them", "-f", group="data")
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")
    opt: list[str] = option(
        [], f"results of 3DDFA_V2's demo, several at once: {', '.join(OPTIONS)}", "-o", choices=OPTIONS, group="output"
    )
    checkpoint: str = option("regressor_120", "bundled name, session, path or authors' checkpoint", "-c", group="model")
    whitening: Path | None = option(None, "whitening .pkl of an authors' checkpoint, default: beside it", group="model")
    face_model: str | None = option(
        None, "face model; default: the one that the checkpoint was trained for", group="model"
    )
    detector: str = option(DEFAULT_DETECTOR, DETECTOR_HELP, group="run")
    weights: Path | None = option(None, "weights of the detector", group="model")
    out: Path | None = option(None, "folder for results; default <outputs>/mesh", group="output")
    bbox_init: str | None = option(
        None,
        "one, or two: cut again by the first landmarks; default two, with --authors one",
        choices=tuple(STEPS),
        group="run",
    )
    dlib_bbox: bool = option(True, "0: read boxes from <photo>.bbox instead of detecting", group="run")
    dump_res: bool = option(True, "landmarks drawn on the photo", group="output")
    dump_vertex: bool = option(False, "vertices of every face as .npy (V, 3), photo px", group="output")
    dump_ply: bool = option(True, "mesh of every face, image px, y up", group="output")
    dump_pts: bool = option(True, "68 landmarks of every face: rows of x, y, z", group="output")
    dump_roi_box: bool = option(False, "the region that was cut, four lines", group="output")
    dump_pose: bool = option(False, "pose boxes on the photo", group="output")
    dump_depth: bool = option(False, "depth map of all faces, 16 bit, 0.1 mm", group="output")
    dump_pncc: bool = option(False, "projected normalised coordinate code of all faces", group="output")
    dump_paf: bool = option(False, "pose-adaptive feature of every face, from its crop", group="output")
    paf_size: int = option(
        3, "side of a patch of the pose-adaptive feature in px, odd", group="output", minimum=1, maximum=31
    )
    dump_obj: bool = option(True, "mesh of every face with the photo's colours", group="output")
    suffix: str = option("RADAN", "suffix of the drawn result", group="output")
    smoothing: str = option(
        "mean", "videos: none, mean of neighbouring frames, or one_euro", choices=SMOOTHINGS, group="protocol"
    )
    n_pre: int = option(1, "videos: earlier frames in the mean", "-n_pre", group="protocol", minimum=0)
    n_next: int = option(1, "videos: later frames in the mean", "-n_next", group="protocol", minimum=0)
    start: str = option("-1", "videos: first frame (120) or time (4.5s, 1:30); -1 = all", "-s", group="data")
    end: str = option("-1", "videos: frame or time to stop before; -1 = all", "-e", group="data")
    every: int = option(1, "videos: take every n-th frame", group="data", minimum=1)
    detect_every: int = option(
        DETECT_EVERY, "videos: frames between detections; 0 = only when a face is lost", group="protocol", minimum=0
    )
    onnx: Path | None = option(
        None, "run this export of the checkpoint (python -m export) with onnxruntime", group="model"
    )
    authors: bool = option(False, "crop and decode exactly as 3DDFA's and 3DDFA_V2's code", group="run")


@dataclass
class Photo:
    """One photo with its faces and, where meshes are asked for, their scene."""

    stem: Path
    image: np.ndarray
    faces: list[Face]
    regressor: FaceRegressor
    _scene: Scene | None = None

    @property
    def scene(self) -> Scene:
        """Made at the first use."""
        if self._scene is None:
            self._scene = self.regressor.scene(self.faces, self.image.shape[:2])
        return self._scene

    @property
    def landmarks(self) -> np.ndarray:
        """(n, 68, 3)."""
        return np.stack([face.landmarks for face in self.faces])


def run_mesh(settings: MeshSettings, local: LocalConfig) -> None:
    """Process all photos; one that fails is named and the others go on.

    Raises: DataError at the end when some photo failed; results already written stay.
    """
    if settings.paf_size % 2 == 0:
        raise DataError(f"--paf_size {settings.paf_size}: a patch has a middle, so give an odd number.")
    inputs = [*settings.inputs, *settings.files]
    if not inputs:
        raise DataError("name a photo, or several: python demo.py --task mesh -f photo.jpg.")
    regressor = make_regressor(settings, local)
    out = settings.out or local.outputs / "mesh"
    make_folder(out)
    taken: set[str] = set()
    failed = []
    for name in inputs:
        try:
            if is_video(name):
                run_video(name, out, free_name(video_stem(name), taken), regressor, settings)
            else:
                run_photo(Path(name), out / free_name(Path(name).stem, taken), regressor, settings)
        except (DataError, MeshFileError, OSError) as error:
            failed.append(f"{name}: {str(error).removeprefix(f'{name}: ')}")
            console().info(f"failed: {failed[-1]}")
    if failed:
        raise DataError(f"{len(failed)} of {len(inputs)} inputs gave no result, the first: {failed[0].rstrip('.')}.")


def run_photo(path: Path, stem: Path, regressor: FaceRegressor, settings: MeshSettings) -> None:
    """One photo, its results at `stem` with endings; one without a face is named."""
    image = read_image(path)
    boxes = None if settings.dlib_bbox else read_boxes(path.with_name(path.name + ".bbox"))
    faces = regressor(image, boxes)
    if not faces:
        console().info(f"{path}: no face found; use another --detector, or boxes with --dlib_bbox false")
        return
    write_results(Photo(stem, image, faces, regressor), settings)


def run_video(name: str, out: Path, stem: str, regressor: FaceRegressor, settings: MeshSettings) -> None:
    """One video per drawn result, and one table. Raises: DataError for results that a video cannot show, without any
    face, and for a damaged file, after writing what it holds.
    """
    span = Span.parse(settings.start, settings.end, settings.every)
    options = VideoOptions(span, settings.smoothing, settings.n_pre, settings.n_next, settings.detect_every)
    for number, kind in enumerate(settings.opt or ["2d_sparse"]):
        if kind not in KINDS:
            raise DataError(f"-o {kind} is for photos; videos show one of: {', '.join(KINDS)}.")
        path = out / f"{stem}_{kind}.mp4"
        outputs = [path] if number else [path, out / f"{stem}.csv"]
        result = process_video(name, outputs, regressor, frame_drawer(regressor, kind), options, regressor)
        console().info(f"Save visualization result to {path} ({result.summary})")
        result.check()


def make_regressor(settings: MeshSettings, local: LocalConfig) -> FaceRegressor:
    """As the settings say. Raises: DataError, CheckpointError."""
    loaded = load_regressor(settings.checkpoint, local.snapshots, settings.whitening)
    face_model = open_face_model(settings.face_model, local, loaded.model)
    regressor = FaceRegressor(
        loaded,
        face_model,
        detector=settings.detector,
        weights=settings.weights,
        steps=None if settings.bbox_init is None else STEPS[settings.bbox_init],
        authors=settings.authors,
        device=settings.device,
    )
    if settings.onnx is not None:
        regressor.use_onnx(settings.onnx)
    return regressor


def read_boxes(path: Path) -> list[np.ndarray]:
    """3DDFA's box file: a line with the number of faces, then `id left top right bottom` each, counted from 0.

    Raises: DataError naming the file and the line.
    """
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'no text'}).") from None
    boxes = []
    for number, words in enumerate(lines[1:], start=2):
        try:
            box = np.array([float(word) for word in words[-4:]])
        except ValueError:
            box = np.full(4, np.nan)
        if len(words) not in (4, 5) or not np.isfinite(box).all():
            raise DataError(
                f"{path}, line {number}: expected 'id left top right bottom', found '{' '.join(words)[:60]}'."
            )
        boxes.append(box)
    if not boxes or lines[0] != [str(len(boxes))]:
        raise DataError(f"{path}: its first line must be the number of boxes below it, which is {len(boxes)}.")
    return boxes


def write_results(photo: Photo, settings: MeshSettings) -> None:
    """Everything that was asked for, each named on a line of its own when it is written."""
    photo.stem.parent.mkdir(parents=True, exist_ok=True)
    if settings.opt:
        for kind in settings.opt:
            suffix = kind if kind in ("ply", "obj") else "jpg"
            path = photo.stem.with_name(f"{photo.stem.name}_{kind}.{suffix}")
            _RESULTS[kind](photo, path)
            console().info(f"{'Dump to' if suffix == kind else 'Save visualization result to'} {path}")
        return
    for number, face in enumerate(photo.faces):
        _dump_face(photo, number, face, settings)
    stem = photo.stem.name
    for wanted, name, text, write in (
        (settings.dump_pose, f"{stem}_pose.jpg", "Dump to", _write_pose),
        (settings.dump_depth, f"{stem}_depth.png", "Dump to", lambda p, path: write_depth(path, p.scene.depth_mm())),
        (
            settings.dump_pncc,
            f"{stem}_pncc.png",
            "Dump to",
            lambda p, path: save_picture(path, position_codes(p.scene, _model(p))),
        ),
        (settings.dump_res, f"{stem}_{settings.suffix}.jpg", "Save visualization result to", _write_sparse),
    ):
        if wanted:
            write(photo, photo.stem.with_name(name))
            console().info(f"{text} {photo.stem.with_name(name)}")


def _dump_face(photo: Photo, number: int, face: Face, settings: MeshSettings) -> None:
    """The files of one face, named and announced as RADAN does."""

    def path(suffix: str) -> Path:
        return photo.stem.with_name(f"{photo.stem.name}_{number}{suffix}")

    if settings.dump_ply:
        write_mesh(path(".ply"), _image_mesh(photo, [number], coloured=False))
        console().info(f"Dump tp {path('.ply')}")  # 3DDFA prints "tp", and scripts may look for it
    if settings.dump_vertex:
        with replacing(path(".npy"), keep_suffix=True) as temporary:
            np.save(temporary, photo.regressor.screen([face])[0].cpu().numpy())
        console().info(f"Dump to {path('.npy')}")
    if settings.dump_pts:
        write_file(path(".txt"), "\n".join(" ".join(f"{v:.3f}" for v in row) for row in face.landmarks.T) + "\n")
        console().info(f"Save 68 3d landmarks to {path('.txt')}")
    if settings.dump_roi_box:
        corners = face.crop.invert(np.array([[0.0, 0.0], [face.crop.size, face.crop.size]]))
        write_file(path(".roibox"), "\n".join(f"{v:.3f}" for v in corners.ravel()) + "\n")
        console().info(f"Save roi box to {path('.roibox')}")
    if settings.dump_paf:
        save_picture(path("_paf.jpg"), _pose_adaptive_feature(photo, face, settings.paf_size))
        console().info(f"Dump to {path('_paf.jpg')}")
    if settings.dump_obj:
        write_mesh(path(".obj"), _image_mesh(photo, [number], coloured=True))
        console().info(f"Dump obj with sampled texture to {path('.obj')}")


def _pose_adaptive_feature(photo: Photo, face: Face, kernel: int) -> np.ndarray:
    """(64·kernel, 64·kernel, 3) uint8 of the crop that the network saw."""
    screen = photo.regressor.screen([face])[0].cpu().numpy()
    inside = np.column_stack([face.crop.apply(screen[:, :2]), screen[:, 2]])
    model = _model(photo).to("cpu")
    return pose_adaptive_feature(
        face.crop.extract(photo.image), torch.from_numpy(inside).float(), anchors(model), kernel
    )


def _model(photo: Photo):
    return photo.regressor.face_model


def _image_mesh(photo: Photo, numbers: list[int], coloured: bool) -> Mesh:
    """Faces on the photo, px with y up from its lower edge, with the photo's colours."""
    scene = photo.scene
    colours = scene_colours(photo.image, scene)[numbers] if coloured else None
    return coloured_mesh(in_frame("image", scene.posed, scene)[numbers], _model(photo).triangles, colours)


def _write_sparse(photo: Photo, path: Path) -> None:
    save_picture(path, draw_sparse(photo.image, photo.landmarks))


def _write_pose(photo: Photo, path: Path) -> None:
    for face in photo.faces:
        pitch, yaw, roll = face.angles_deg
        console().info(f"yaw: {yaw:.1f}, pitch: {pitch:.1f}, roll: {roll:.1f}")
    rotations, angles = (np.stack([getattr(face, name) for face in photo.faces]) for name in ("rotation", "angles_deg"))
    save_picture(path, draw_pose(photo.image, rotations, photo.landmarks, angles))


def _overlay(kind: str) -> Callable[[Photo, Path], None]:
    return lambda photo, path: save_picture(path, draw_over(kind, photo.image, photo.scene, photo.regressor))


def _write_texture(photo: Photo, path: Path) -> None:
    """Unwrapped textures of all faces side by side, hidden parts from the mirrored side, small holes from their
    neighbours.
    """
    faces = range(len(photo.faces))
    pictures = [unwrap(photo.image, photo.scene, face, _model(photo), complete="symmetry").picture for face in faces]
    save_picture(path, np.concatenate([without_holes(p) for p in pictures], axis=1))


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


_RESULTS: dict[str, Callable[[Photo, Path], None]] = {
    "2d_sparse": _write_sparse,
    "2d_dense": lambda p, path: save_picture(path, draw_dense(p.image, p.scene.screen.cpu().numpy())),
    "3d": _overlay("3d"),
    "depth": _overlay("depth"),
    "pncc": _overlay("pncc"),
    "uv_tex": _write_texture,
    "pose": _write_pose,
    "ply": lambda p, path: write_mesh(path, _image_mesh(p, list(range(len(p.faces))), coloured=False)),
    "obj": lambda p, path: write_mesh(path, _image_mesh(p, list(range(len(p.faces))), coloured=True)),
}
