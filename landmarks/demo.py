"""The demo's landmark task: photos in; pictures, points and tables out."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.config import LocalConfig, option
from common.files.atomic import write_file
from common.files.pictures import save_picture
from common.files.points import format_pts
from common.logs import console
from common.pretrained import DEFAULT_LANDMARKS
from datasets.detection.boxes import BOX_KINDS
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP
from datasets.photos import find_photos, free_name, make_folder, parse_box, parse_save, process_photos
from landmarks.detector import Analysis, LandmarkDetector
from landmarks.pictures import face_tiles, photo_with_faces

NO_FACE = "no face found; give its place with --box x,y,w,h, or use --detector none for face crops"
SAVE_KINDS = ("overlay", "tiles", "heatmaps", "pts", "json", "csv")


@dataclass(frozen=True)
class DemoSettings:
    """demo.py."""

    inputs: list[str] = option(
        [], "photos, folders or globs; none: NASA's astronaut photo of scikit-image", positional=True
    )
    task: str = option("landmarks", "what to do with the faces: landmarks, depth or rotate", group="run")
    checkpoint: str = option(
        DEFAULT_LANDMARKS, "bundled name, session, session/epoch or path", "-c", "-r", group="model"
    )
    out: Path | None = option(None, "folder for results; default <outputs>/demo", group="output")
    save: str = option(
        ",".join(SAVE_KINDS), f"comma-separated results to write: {', '.join(SAVE_KINDS)}", group="output"
    )
    detector: str = option(DEFAULT_DETECTOR, DETECTOR_HELP, group="run")
    box: str | None = option(None, "x,y,w,h of the face in photo px, instead of a detector", group="data")
    box_kind: str = option(
        "landmarks", "what --box was drawn by; landmarks: tight around the face", choices=BOX_KINDS, group="data"
    )
    flip: bool = option(True, "average with the mirrored crop", group="protocol")
    depth_model: str = option(
        "depthnet_gan", "of --task depth and rotate: bundled name, session, session/epoch or path", group="model"
    )
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")


Work = Callable[[Path, str, np.ndarray, list[Analysis], list[str], LandmarkDetector], list[Path]]


def run_landmarks(settings: DemoSettings, local: LocalConfig) -> None:
    """Landmarks of all inputs. Raises: DataError as `for_each_photo` does."""
    kinds = parse_save(settings.save, SAVE_KINDS)
    rows: list[list] = []

    def work(
        out: Path, name: str, image: np.ndarray, faces: list[Analysis], labels: list[str], detector: LandmarkDetector
    ) -> list[Path]:
        written = write_photo(out, name, labels, image, faces, detector, kinds)
        rows.extend([name, i, *_flat(a.face.box), a.face.score, *_flat(a.face.landmarks)] for i, a in enumerate(faces))
        return written

    try:
        for_each_photo(settings, local, work)
    finally:
        if "csv" in kinds and rows:
            table = (settings.out or local.outputs / "demo") / "landmarks.csv"
            console().info(f"wrote {write_table(table, rows)}")


def for_each_face(
    settings: DemoSettings, local: LocalConfig, write: Callable[[Path, str, np.ndarray, np.ndarray], list[Path]]
) -> None:
    """Call write(out, label, image, landmarks (K, 2)) for every face of all inputs; see `for_each_photo`."""

    def work(
        out: Path, _: str, image: np.ndarray, faces: list[Analysis], labels: list[str], __: LandmarkDetector
    ) -> list[Path]:
        pairs = zip(labels, faces, strict=True)
        return [path for label, a in pairs for path in write(out, label, image, a.face.landmarks[:, :2])]

    for_each_photo(settings, local, work)


def for_each_photo(settings: DemoSettings, local: LocalConfig, work: Work) -> None:
    """Find the faces of all inputs and hand them to work; a photo that fails is named and the others go on.

    Raises: DataError at the end when some photo failed. A photo without a face is handed on with none.
    """
    box = None if settings.box is None else parse_box(settings.box)
    taken: set[str] = set()
    photos = list(find_photos(settings.inputs, taken))
    out = settings.out or local.outputs / "demo"
    make_folder(out)
    detector = LandmarkDetector.from_pretrained(
        settings.checkpoint, local.snapshots, device=settings.device, detector=settings.detector, flip=settings.flip
    )

    def find_and_work(name: str, _: Path, image: np.ndarray) -> str:
        (faces,) = detector.analyse([image], None if box is None else [[box]], box_kind=settings.box_kind)
        labels = [name] if len(faces) == 1 else [free_name(f"{name}_{i}", taken) for i in range(len(faces))]
        written = work(out, name, image, faces, labels, detector)
        count = f"{len(faces)} face{'s'[: len(faces) > 1]}" if faces else NO_FACE
        return f"{count}, wrote {', '.join(map(str, written))}" if written else count

    process_photos(photos, find_and_work, console().info)


def write_photo(
    out: Path,
    name: str,
    labels: list[str],
    image: np.ndarray,
    faces: list[Analysis],
    detector: LandmarkDetector,
    kinds: list[str],
) -> list[Path]:
    """Results of one photo under its name, and of each face under its label."""
    written: list[Path] = []
    if "overlay" in kinds and faces:
        boxes = [(a.face.box, a.face.landmarks) for a in faces]
        written.append(_picture(out / f"{name}_overlay.png", photo_with_faces(image, boxes, detector.scheme)))
    if "json" in kinds:
        written.append(write_json(out / f"{name}.json", name, image, faces, detector))
    for label, analysis in zip(labels, faces, strict=True):
        points = analysis.face.crop.apply(analysis.face.landmarks)
        if "tiles" in kinds:
            tiles = face_tiles(analysis.picture, analysis.reconstruction, analysis.heatmaps, points, detector.scheme)
            written.append(_picture(out / f"{label}_tiles.png", tiles))
        if "heatmaps" in kinds:
            collapsed = np.clip(analysis.heatmaps.max(axis=0), 0, 1)
            grey = np.repeat((collapsed * 255).astype(np.uint8)[..., None], 3, axis=2)
            written.append(_picture(out / f"{label}_heatmaps.png", grey))
        if "pts" in kinds:
            write_file(out / f"{label}.pts", format_pts(analysis.face.landmarks))
            written.append(out / f"{label}.pts")
    return written


def _picture(path: Path, image: np.ndarray) -> Path:
    save_picture(path, image)
    return path


def write_json(path: Path, name: str, image: np.ndarray, faces: list[Analysis], detector: LandmarkDetector) -> Path:
    """All faces of a photo; `landmarks` of the first one too, so that the file is an annotation for `folder`
    datasets.
    """
    content = {
        "photo": name,
        "size": [image.shape[1], image.shape[0]],
        "scheme": detector.scheme.name,
        "convention": "continuous",
        "faces": [
            {
                "box": np.round(a.face.box, 2).tolist(),
                "score": round(a.face.score, 4),
                "landmarks": np.round(a.face.landmarks, 3).tolist(),
            }
            for a in faces
        ],
    }
    if faces:
        content["landmarks"] = content["faces"][0]["landmarks"]
    write_file(path, json.dumps(content, indent=1))
    return path


def write_table(path: Path, rows: list[list]) -> Path:
    """One row per face: image, face, box, score, then x0, y0, … in continuous photo pixels."""
    count = (len(rows[0]) - 7) // 2
    header = ["image", "face", "left", "top", "right", "bottom", "score"]
    header += [f"{axis}{i}" for i in range(count) for axis in "xy"]
    lines = [header, *([row[0], row[1], *(f"{v:.3f}" for v in row[2:])] for row in rows)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    write_file(path, text.getvalue())
    return path


def _flat(values: np.ndarray) -> list[float]:
    return np.asarray(values)[..., :2].ravel().tolist() if np.ndim(values) == 2 else np.asarray(values).tolist()
