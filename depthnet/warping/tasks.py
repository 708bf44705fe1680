"""The actions of warp_face.py."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.config import LocalConfig
from common.errors import DataError
from common.files.pictures import save_picture
from common.limits import check_frames
from common.logs import console
from common.runtime import choose_device
from datasets.photos import free_name, make_folder
from depthnet.lifting import Lifter, animation_angles, fit_affines, rotation_affines, turned_keypoints
from depthnet.models import load_model
from depthnet.replacement.repair import Repairer, frontalise, repair_swap
from depthnet.settings import WarpSettings
from depthnet.warping.faces import Detect, PhotoFace, file_depth, read_face
from depthnet.warping.facewarper import dataset_items, render_dataset, serve, write_item
from depthnet.warping.warper import composite, warp_faces
from geometry.face_template import to_68
from video.movies import SUFFIXES, write_movie

FRAMES_AT_ONCE = 64
SOURCE_DEPTH = "--source-depth"


def run_warp(settings: WarpSettings, local: LocalConfig, detect: Detect) -> None:
    """Do the action that the first word names. Raises: DataError, ConfigError."""
    action, *files = settings.inputs or [""]
    if action not in ACTIONS:
        raise DataError(f"unknown action '{action}'; choose one of: {', '.join(ACTIONS)}.")
    mode = settings.mode or (
        "compat" if action == "serve" else "visible"
    )  # programs that talk to FaceWarper want its pixels
    ACTIONS[action](dataclasses.replace(settings, mode=mode), local, detect, files)


def expect(files: list[str], least: int, most: int | None, what: str) -> list[Path]:
    """Raises: DataError when an action gets another number of files."""
    if len(files) < least or (most is not None and len(files) > most):
        raise DataError(f"{len(files)} files; expected: {what}.")
    return [Path(file) for file in files]


def make_lifter(settings: WarpSettings, local: LocalConfig) -> Lifter:
    """The model on its device."""
    device = choose_device(settings.device)
    return Lifter(load_model(settings.checkpoint, local.snapshots), device)


def output_size(text: str, source: PhotoFace, target: PhotoFace) -> tuple[int, int]:
    """(width, height) of --output-size. Raises: DataError."""
    if text in ("tgt", "src"):
        return target.size if text == "tgt" else source.size
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or not all(0 < side <= 8192 for side in sides):
        raise DataError(f"--output-size '{text}': expected tgt, src, a number or WIDTHxHEIGHT up to 8192 px.")
    return sides[0], sides[-1]


def read_source(settings: WarpSettings, path: Path, detect: Detect) -> PhotoFace:
    """The source face; with depths when --source-depth asks for them."""
    face = read_face(path, settings.src_kpts_file, settings.kpt_file_separator, detect, settings.scale_depth)
    if settings.source_depth:
        file_depth(face, face.size, SOURCE_DEPTH)
    return face


def target_faces(settings: WarpSettings, paths: list[Path], detect: Detect) -> list[PhotoFace]:
    """All targets with keypoints from --tgt-kpts-file, --tgt-kpts-dir or the detector."""
    if settings.tgt_kpts_file is not None and len(paths) != 1:
        raise DataError(f"--tgt-kpts-file is for one target, not {len(paths)}; use --tgt-kpts-dir.")
    faces = []
    for path in tqdm(paths, desc="targets", leave=False, disable=len(paths) < 8):
        keypoints = settings.tgt_kpts_file
        if settings.tgt_kpts_dir is not None:
            keypoints = settings.tgt_kpts_dir / f"{path.stem}.txt"
        faces.append(read_face(path, keypoints, settings.kpt_file_separator, detect, settings.scale_depth))
    return faces


def expand(paths: list[Path]) -> list[Path]:
    """Folders become the pictures in them. Raises: DataError for an empty folder."""
    found = []
    for path in paths:
        inside = (
            sorted(p for p in path.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
            if path.is_dir()
            else [path]
        )
        if not inside:
            raise DataError(f"{path}: the folder holds no .png or .jpg pictures.")
        found += inside
    return found


def warp(settings: WarpSettings, local: LocalConfig, detect: Detect, files: list[str]) -> None:
    """SOURCE TARGET…: the source's face in every target's pose."""
    source_path, *target_paths = expect(files, 2, None, "warp SOURCE TARGET…")
    target_paths = expand(target_paths)
    source, targets = read_source(settings, source_path, detect), target_faces(settings, target_paths, detect)
    frames = render_targets(settings, local, make_lifter(settings, local), source, targets)
    out = settings.out or local.outputs / "warp" / f"{source_path.stem}.png"
    if len(frames) > 1 and out.suffix.lower() not in SUFFIXES:
        make_folder(out)
        taken: set[str] = set()
        for path, frame in zip(target_paths, frames, strict=True):
            save_picture(out / f"{free_name(path.stem, taken)}.png", frame)
        written = [out]
    elif len(frames) > 1 and len({frame.shape for frame in frames}) > 1:
        raise DataError("the targets have different sizes; give --output-size, or a folder as --out.")
    else:
        written = save_frames(settings, out, frames)
    console().info(f"wrote {written[0]}" + (f" and {len(written) - 1} more" if len(written) > 1 else ""))


def save_frames(settings: WarpSettings, out: Path, frames: Sequence[np.ndarray]) -> list[Path]:
    """Movies know no transparency; a single .png does."""
    if settings.onto == "transparent" and (out.suffix.lower() != ".png" or len(frames) > 1):
        raise DataError(
            f"--onto transparent works for one .png, not for {out.name} of {len(frames)} frames; choose black."
        )
    if settings.onto == "transparent":
        save_picture(out, frames[0])
        return [out]
    return write_movie(out, frames, settings.fps)


def background(settings: WarpSettings, rendered: np.ndarray, picture: np.ndarray | None) -> np.ndarray:
    """(B, H, W, 4) rendered faces before what --onto asks for; transparent ones keep their alpha."""
    if settings.onto == "transparent":
        return rendered
    if settings.onto == "black" or picture is None:
        return np.ascontiguousarray(rendered[..., :3])
    return composite(rendered, picture)


def match(
    settings: WarpSettings, lifter: Lifter, source: PhotoFace, targets: list[PhotoFace]
) -> tuple[np.ndarray, np.ndarray]:
    """Depths (M, 66) in the source's pixels and affines (M, 2, 4) to the targets' pixels, by the model or the file's
    depths.
    """
    points = np.stack([target.points for target in targets])
    if not settings.source_depth:
        return lifter.to_targets(source.points, points)
    depths = np.repeat(file_depth(source, source.size, SOURCE_DEPTH)[None], len(targets), axis=0)
    return depths, fit_affines(source.points, depths, points)


def make_repairer(settings: WarpSettings, local: LocalConfig, task: str, lifter: Lifter) -> Repairer | None:
    """The CycleGAN of --repair, or None. Raises: DataError where there is nothing to repair."""
    if settings.repair is None:
        return None
    if task == "faceswap" and settings.onto != "target":
        raise DataError("--repair mends a face on another head; give --onto target too.")
    return Repairer(settings.repair, local.snapshots, task, lifter.device)


def render_targets(
    settings: WarpSettings, local: LocalConfig, lifter: Lifter, source: PhotoFace, targets: list[PhotoFace]
) -> list[np.ndarray]:
    """The source's face in every target's pose, at the output size."""
    targets = [target.resized(output_size(settings.output_size, source, target)) for target in targets]
    depths, affines = match(settings, lifter, source, targets)
    repairer = make_repairer(settings, local, "faceswap", lifter)
    frames = []
    for target, depth, affine in zip(targets, depths, affines, strict=True):
        size = target.size
        depth68 = to_68(depth[:, None])[:, 0]
        rendered = warp_faces(
            source.image[None], source.points68[None], depth68[None], affine[None], settings.mode, (size[1], size[0])
        )
        behind = {"target": target, "source": source}.get(settings.onto)
        frame = background(settings, rendered, None if behind is None else behind.resized(size).image)[0]
        frames.append(frame if repairer is None else repair_swap(repairer, frame, target.points68))
    return frames


def render_rotation(
    image: np.ndarray, points68: np.ndarray, depth68: np.ndarray, axis: str, angles: np.ndarray, mode: str = "visible"
) -> np.ndarray:
    """A face turned about its own centre: (N, H, W, 4) RGBA frames for N angles in radians; keypoints and depths in
    pixels.

    Raises: DataError for more frames than memory should hold.
    """
    check_frames(len(angles), *image.shape[:2], remedy="scale the photo down")
    affines = rotation_affines(points68, depth68, axis, angles)
    parts = []
    for begin in range(0, len(angles), FRAMES_AT_ONCE):
        chunk = affines[begin : begin + FRAMES_AT_ONCE]
        shape = (len(chunk), *points68.shape)
        parts.append(
            warp_faces(image[None], np.broadcast_to(points68, shape), np.broadcast_to(depth68, shape[:2]), chunk, mode)
        )
    return np.concatenate(parts)


def frame_angles(settings: WarpSettings) -> np.ndarray:
    """Radians of all frames. Raises: DataError for other than one or two angles, or none that moves."""
    if len(settings.angles) not in (1, 2) or not all(abs(angle) <= 180 for angle in settings.angles):
        raise DataError("--angles takes one or two numbers of degrees between −180 and 180.")
    first, second = np.deg2rad([settings.angles[0], settings.angles[-1]])
    angles = animation_angles(first, second)
    return angles if len(angles) else np.zeros(1)


def pixel_depth(settings: WarpSettings, local: LocalConfig, source: PhotoFace) -> np.ndarray:
    """(66,) depths in pixels: the file's, whose unit is that of 3DFAW, or the model's."""
    if settings.source_depth:
        return file_depth(source, source.size, SOURCE_DEPTH)
    return make_lifter(settings, local).photo_depth(source.points)


def rotate(settings: WarpSettings, local: LocalConfig, detect: Detect, files: list[str]) -> None:
    """SOURCE: its face turned about its own centre."""
    (path,) = expect(files, 1, 1, "rotate SOURCE")
    source = read_source(settings, path, detect)
    depth = to_68(pixel_depth(settings, local, source)[:, None])[:, 0]
    rendered = render_rotation(
        source.image, source.points68, depth, settings.axis, frame_angles(settings), settings.mode
    )
    frames = background(settings, rendered, source.image if settings.onto == "source" else None)
    out = settings.out or local.outputs / "warp" / f"{path.stem}_rotate.gif"
    written = save_frames(settings, out, list(frames))
    console().info(f"wrote {written[0]}: {len(frames)} frames of {source.size[0]}×{source.size[1]} px")


def turn_to_front(settings: WarpSettings, local: LocalConfig, detect: Detect, files: list[str]) -> None:
    """PHOTO…: every face from the front, on black or, with --repair, before a painted background."""
    paths = expand(expect(files, 1, None, "frontalise PHOTO…"))
    lifter = make_lifter(settings, local)
    repairer = make_repairer(settings, local, "background", lifter)
    out = settings.out or local.outputs / "warp"
    single = out.suffix.lower() == ".png" and len(paths) == 1
    taken: set[str] = set()
    if not single:
        make_folder(out)
    for path in tqdm(paths, desc="faces", leave=False, disable=len(paths) < 8):
        face = read_face(path, settings.src_kpts_file, settings.kpt_file_separator, detect, settings.scale_depth)
        name = out if single else out / f"{free_name(path.stem, taken)}_frontal.png"
        save_picture(name, frontalise(face.image, face.points68, lifter, repairer))
    console().info(f"wrote {len(paths)} frontal faces to {out}")


def export(settings: WarpSettings, local: LocalConfig, detect: Detect, files: list[str]) -> None:
    """SOURCE TARGET…: FaceWarper's folder for one source and all targets."""
    source_path, *target_paths = expect(files, 2, None, "export SOURCE TARGET…")
    root = settings.output_dir or local.outputs / "facewarper_input"
    target_paths = expand(target_paths)
    source, targets = read_source(settings, source_path, detect), target_faces(settings, target_paths, detect)
    lifter = make_lifter(settings, local)
    taken: set[str] = set()
    for path, target in zip(target_paths, targets, strict=True):
        item = free_name(path.name, taken)
        size = output_size(settings.output_size, source, target)
        scaled, resized = source.resized(size), target.resized(size)
        depths, affines = match(settings, lifter, scaled, [resized])
        depth = to_68(depths[0][:, None])[:, 0]
        write_item(root, item, scaled.points68, depth, affines[0], settings.whole_pixels)
        save_picture(root / "source" / f"{item}.png", scaled.image)
        save_picture(root / "tgt_images" / f"{item}.png", resized.image)
        if settings.save_plots or (settings.save_plots is None and len(targets) == 1):
            name = item if len(targets) > 1 else ""
            from depthnet.warping.plots import plot_export  # matplotlib is no requirement of turning faces

            plot_export(root, name, scaled.points68, resized.points68, depth, affines[0], size)
    (root / "expected_result").mkdir(parents=True, exist_ok=True)
    console().info(f"wrote {len(targets)} items to {root}")


def export_animation(settings: WarpSettings, local: LocalConfig, detect: Detect, files: list[str]) -> None:
    """SOURCE [TARGET]: FaceWarper's folder with one item per angle."""
    paths = expect(files, 1, 2, "export-animation SOURCE [TARGET]")
    root, angles = settings.output_dir or local.outputs / "facewarper_input", frame_angles(settings)
    source, turned = read_source(settings, paths[0], detect), None
    size = source.size
    if settings.rotate_source:
        depth = pixel_depth(settings, local, source)
        depths = np.repeat(to_68(depth[:, None])[None, :, 0], len(angles), axis=0)
        about = np.zeros(3) if settings.rotate_about == "origin" else None
        affines = rotation_affines(source.points68, depths[0], settings.axis, angles, about)
    else:
        target = target_faces(settings, expect(files[1:], 1, 1, "export-animation SOURCE TARGET"), detect)[0]
        size = output_size(settings.output_size, source, target)
        source = source.resized(size)
        target_depth = file_depth(target, size, "--rotate-source 0 turns the target, so it")
        turned = turned_keypoints(target.resized(size).points, target_depth, settings.axis, angles)
        depths, affines = make_lifter(settings, local).to_targets(source.points, turned)
        depths = to_68(depths[..., None])[..., 0]
    for i, (depth, affine) in enumerate(zip(depths, affines, strict=True)):
        write_item(root, f"{i:06d}", source.points68, depth, affine, settings.whole_pixels)
    save_picture(root / "source" / "src.png", source.image)
    if settings.save_plots:
        from depthnet.warping.plots import moved_points, plot_frames

        moved = np.stack([moved_points(source.points68, *pair) for pair in zip(depths, affines, strict=True)])
        plot_frames(root / "plot_source", "source moved", moved, depths, size)
        if turned is not None:
            plot_frames(root / "plot_target", "target turned", turned, target_depth, size)
    (root / "expected_result").mkdir(parents=True, exist_ok=True)
    render = f"--use-dir keypoints --img-override {root}/source/src.png"
    console().info(f"wrote {len(angles)} frames to {root}; render with: warp_face.py dataset {root} {render}")


def dataset(settings: WarpSettings, local: LocalConfig, detect: Detect, files: list[str]) -> None:
    """FOLDER: render a FaceWarper folder."""
    (root,) = expect(files, 1, 1, "dataset FOLDER")
    out = settings.out or local.outputs / "warp" / root.name
    items = dataset_items(root, settings.img_override, settings.use_dir)
    written, failed = render_dataset(items, out, settings.mode, settings.identity, settings.start_index)
    console().info(f"wrote {written} pictures to {out}, skipped {len(failed)}")
    if failed:
        raise DataError(f"{len(failed)} of {written + len(failed)} items could not be used, the first: {failed[0]}")


def run_server(settings: WarpSettings, local: LocalConfig, detect: Detect, files: list[str]) -> None:
    """FaceWarper's protocol on standard input and output."""
    expect(files, 0, 0, "serve, without files")
    failed = serve(sys.stdin, sys.stdout, settings.mode)
    if failed:
        raise DataError(f"{failed} lines could not be used; see the answers that begin with 'error'.")


ACTIONS = {
    "warp": warp,
    "rotate": rotate,
    "frontalise": turn_to_front,
    "export": export,
    "export-animation": export_animation,
    "dataset": dataset,
    "serve": run_server,
}
