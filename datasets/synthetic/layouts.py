"""Faces written in the exact layout of a dataset, so that every reader and script runs on real content without licensed
data.

What is written is a list of `LabelledFace`; `datasets.synthetic.faces` renders them.
"""

import csv
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

from common.errors import DataError
from common.files.points import format_pts
from geometry.schemes import IBUG_68


@dataclass(frozen=True)
class LabelledFace:
    """A picture of one face and its truth in continuous px."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    landmarks: np.ndarray  # (68, 3) z toward the viewer
    landmarks_98: np.ndarray  # (98, 2) WFLW's
    box: np.ndarray  # (4,) left, top, right, bottom of the 68 points


def to_19(points: np.ndarray) -> np.ndarray:
    """(68, 2) → (19, 2) AFLW order without ears."""
    right, left = (points[list(group)].mean(0) for group in IBUG_68.five_points[:2])
    chosen = points[[17, 19, 21, 22, 24, 26, 36, 36, 39, 42, 42, 45, 31, 30, 35, 48, 66, 54, 8]].copy()
    chosen[7], chosen[10] = right, left
    return chosen


def save_photo(path: Path, image: np.ndarray) -> None:
    """RGB to a file whose suffix says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def write_w300(root: Path, faces: list[LabelledFace]) -> None:
    """All splits of 300-W; every folder gets all faces."""
    parts = (
        "train/afw",
        "train/helen",
        "train/lfpw",
        "test/common/helen",
        "test/common/lfpw",
        "test/challenging/ibug",
        "test/300W/01_Indoor",
        "test/300W/02_Outdoor",
    )
    names = {
        "train/afw": "afw",
        "train/helen": "helen_trainset",
        "train/lfpw": "lfpw_trainset",
        "test/common/helen": "helen_testset",
        "test/common/lfpw": "lfpw_testset",
        "test/challenging/ibug": "ibug",
    }
    for part in parts:
        suffix = ".png" if "lfpw" in part or "300W" in part else ".jpg"
        records = []
        for i, face in enumerate(faces):
            photo = root / "images" / part / f"image_{i:04d}{suffix}"
            save_photo(photo, face.image)
            photo.with_suffix(".pts").write_text(format_pts(face.landmarks))
            records.append({"imgName": photo.name, "bb_detector": face.box + 1.5, "bb_ground_truth": face.box + 0.5})
        if part in names:
            folder = root / "Bounding Boxes"
            folder.mkdir(exist_ok=True)
            savemat(folder / f"bounding_boxes_{names[part]}.mat", {"bounding_boxes": np.array(records, dtype=object)})


def write_wflw(root: Path, faces: list[LabelledFace]) -> None:
    """Train and test lists with the same photos; face i of the test has attribute i mod 6."""
    lists = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True, exist_ok=True)
    lines = []
    for i, face in enumerate(faces):
        save_photo(root / "WFLW_images" / "a--b" / f"face {i}.jpg", face.image)
        points = " ".join(f"{v:.4f}" for v in (face.landmarks_98 - 0.5).ravel())
        box = " ".join(str(int(v)) for v in face.box)
        flags = " ".join(str(int(i % 6 == k)) for k in range(6))
        lines.append(f"{points} {box} {flags} a--b/face {i}.jpg")
    for part in ("train", "test"):
        (lists / f"list_98pt_rect_attr_{part}.txt").write_text("\n".join(lines) + "\n")


def write_aflw(root: Path, faces: list[LabelledFace]) -> None:
    """The real file has 24,386 rows, of which 20,000 train; rows repeat the faces so that the split stays exact."""
    count = 20_000 + len(faces)
    points = np.stack([to_19(face.landmarks[:, :2]) + 0.5 for face in faces])
    which = np.arange(count) % len(faces)
    mask = np.ones((count, 19))
    mask[20_000, 0] = 0  # one test face that is not frontal
    boxes = np.stack([face.box + 0.5 for face in faces])[which][:, [0, 2, 1, 3]]
    for i, face in enumerate(faces):
        save_photo(root / "data" / "flickr" / "0" / f"face{i}.jpg", face.image)
    names = np.array([f"0/face{i}.jpg" for i in which], dtype=object)
    content = {
        "ra": np.arange(1, count + 1),
        "data": points[which].transpose(0, 2, 1).reshape(count, 38),
        "mask_new": mask,
    }
    savemat(root / "AFLWinfo_release.mat", content | {"bbox": boxes, "nameList": names}, do_compression=True)


def write_boxes(root: Path, faces: list[LabelledFace], name: str) -> None:
    """CelebA, FFHQ or ParFace-Net's AffectNet: photos and csv/<name>_annotations.csv."""
    (root / "csv").mkdir(parents=True, exist_ok=True)
    with (root / "csv" / f"{name}_annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "x1", "y1", "x2", "y2", "scale"])
        for i, face in enumerate(faces):
            save_photo(root / "images" / f"{i:06d}.jpg", face.image)
            writer.writerow([f"images/{i:06d}.jpg", *(f"{v:.2f}" for v in face.box), "0.99"])


def write_vggface2(root: Path, faces: list[LabelledFace]) -> None:
    """Both parts with the same photos; boxes a little larger than the face so that they pass the height filter."""
    (root / "bb_landmark").mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        rows = ["NAME_ID,X,Y,W,H"]
        for i, face in enumerate(faces):
            save_photo(root / part / "imgs" / "n000001" / f"{i:04d}_01.jpg", face.image)
            left, top = (int(v) for v in face.box[:2] - 10)
            rows.append(f"n000001/{i:04d}_01,{left},{top},110,120")
        (root / "bb_landmark" / f"loose_bb_{part}.csv").write_text("\n".join(rows) + "\n")


def write_affectnet(root: Path, faces: list[LabelledFace]) -> None:
    """3FabRec's layout; the last row has expression 9 and must be dropped."""
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    rows = [header]
    for i, face in enumerate(faces):
        save_photo(root / "cropped_Annotated" / "1" / f"{i}.jpg", face.image)
        left, top, right, bottom = face.box
        points = ";".join(f"{v:.2f}" for v in (face.landmarks[:, :2] - 0.5).ravel())
        expression = 9 if i == len(faces) - 1 else i % 8
        rows.append(
            f"1/{i}.jpg,{left:.0f},{top:.0f},{right - left:.0f},{bottom - top:.0f},{points},{expression},0.1,0.2"
        )
    for name in ("training.csv", "validation.csv"):
        (root / name).write_text("\n".join(rows) + "\n")


def _lp_records(root: Path, faces: list[LabelledFace], prefix: str) -> list[dict]:
    records = []
    for i, face in enumerate(faces):
        save_photo(root / f"image{i:05d}.jpg", face.image)
        left, top, right, bottom = face.box.tolist()
        records.append(
            {
                "img_paths": f"{prefix}image{i:05d}.jpg",
                "landmarks": (face.landmarks - [0.5, 0.5, 0]).tolist(),
                "landmarks_2d": (face.landmarks[:, :2] - 0.5).tolist(),
                "bbox": [left, top, right - left, bottom - top],
            }
        )
    (root / "csv").mkdir(exist_ok=True)
    return records


def write_wlp300(root: Path, faces: list[LabelledFace]) -> None:
    """ParFace-Net's json."""
    (root / "csv" / "300wLP_anno_tr.json").write_text(json.dumps(_lp_records(root, faces, "")))


def write_aflw20003d(root: Path, faces: list[LabelledFace]) -> None:
    """ParFace-Net's json and yaws −80°, 0°, 45° in turn."""
    (root / "csv" / "aflw2000_3D_anno_vd.json").write_text(json.dumps(_lp_records(root, faces, "AFLW2000/")))
    np.save(root / "csv" / "aflw2000_3D_yaw.npy", np.array([-80.0, 0.0, 45.0])[np.arange(len(faces)) % 3])


def write_palsy(root: Path, faces: list[LabelledFace]) -> None:
    """All ljson files of ParFace."""
    (root / "csv").mkdir(parents=True, exist_ok=True)
    for name in ("annotations", "test", "unlabeled", *(f"labeled_{i}" for i in range(1, 7))):
        field = "landmarks_FAN" if name == "unlabeled" else "landmarks_MAL3D"
        lines = []
        for i, face in enumerate(faces):
            save_photo(root / f"seq{i % 2}" / f"frame{i}.jpg", face.image)
            points = (face.landmarks - [0.5, 0.5, 0]).tolist()
            lines.append(json.dumps({"img_path": f"/old/place/seq{i % 2}/frame{i}.jpg", field: points}))
        (root / "csv" / f"palsy_{name}.ljson").write_text("\n".join(lines) + "\n")


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    """An uncompressed tar file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def jpeg(image: np.ndarray) -> bytes:
    """RGB → JPEG bytes."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_menpo2d(root: Path, faces: list[LabelledFace]) -> None:
    """All tar and ljson files; the first face has a 39-point profile annotation."""
    files = {f"face{i}.rgb.jpg": jpeg(face.image) for i, face in enumerate(faces)}
    for name in ("menpo", "menpo_test", "300W", "menpo3D84"):
        write_tar(root / f"{name}.tar", files)
    (root / "csv").mkdir(exist_ok=True)
    lines = []
    for i, face in enumerate(faces):
        points = (face.landmarks[: 39 if i == 0 else 68, :2] - 0.5).tolist()
        lines.append(json.dumps({"img_path": f"some/folder/face{i}.jpg", "landmarks_2d": points}))
    for name in ("menpo_train", "menpo_common", "menpo_challenging", "menpo_full", "300W", "menpo3D84"):
        (root / "csv" / f"{name}.ljson").write_text("\n".join(lines) + "\n")


def write_ls3d(root: Path, faces: list[LabelledFace]) -> None:
    """One tar and one ljson."""
    write_tar(root / "LS3D.tar", {f"set/face{i}.jpg": jpeg(face.image) for i, face in enumerate(faces)})
    records = [
        {"img_path": f"set/face{i}.jpg", "landmarks": (f.landmarks[:, :2] - 0.5).tolist()} for i, f in enumerate(faces)
    ]
    (root / "csv").mkdir(exist_ok=True)
    (root / "csv" / "ls3d.ljson").write_text("\n".join(map(json.dumps, records)) + "\n")


def write_menpo(root: Path, faces: list[LabelledFace]) -> None:
    """84 points (the 98 of WFLW without the last ones, which suffices for a smoke run) in (y, x) order."""
    for part in ("train", "common", "challenging", "300w"):
        for i, face in enumerate(faces):
            photo = root / part / f"face{i}.jpg"
            save_photo(photo, face.image)
            points = (face.landmarks_98[:84] - 0.5)[:, ::-1].tolist()
            photo.with_suffix(".ljson").write_text(json.dumps({"landmarks": {"points": points}}))


def write_neuroface(root: Path, faces: list[LabelledFace]) -> None:
    """all.tar with photo, box and points of every sample."""
    files: dict[str, bytes] = {}
    for i, face in enumerate(faces):
        files[f"s{i}.rgb.jpg"] = jpeg(face.image)
        files[f"s{i}.bbox"] = " ".join(f"{v:.2f}" for v in face.box).encode()
        files[f"s{i}.lmk2d"] = "\n".join(f"{x - 0.5:.3f} {y - 0.5:.3f}" for x, y in face.landmarks[:, :2]).encode()
    write_tar(root / "all.tar", files)


def write_meei(root: Path, faces: list[LabelledFace]) -> None:
    """One tar with all photos and the csv."""
    write_tar(root / "patients.tar", {f"p/{i}.jpg": jpeg(face.image) for i, face in enumerate(faces)})
    (root / "csv").mkdir(exist_ok=True)
    rows = [f"patients/p/{i}.jpg," + ",".join(f"{v:.2f}" for v in face.box) for i, face in enumerate(faces)]
    (root / "csv" / "MEEI_annotations.csv").write_text("image_path,x1,y1,x2,y2\n" + "\n".join(rows) + "\n")


def write_youtube_faces(root: Path, faces: list[LabelledFace]) -> None:
    """Both parts; the test part has one more frame without points."""
    header = "image," + ",".join(f"{axis}{i}" for i in range(68) for axis in "xy")
    for part in ("training", "test"):
        rows = [header]
        for i, face in enumerate(faces):
            save_photo(root / part / f"person_{i:02d}.jpg", face.image)
            rows.append(f"person_{i:02d}.jpg," + ",".join(f"{v:.3f}" for v in (face.landmarks[:, :2] - 0.5).ravel()))
        if part == "test":
            save_photo(root / part / "person_99.jpg", faces[0].image)
        (root / f"{part}_keypoints.csv").write_text("\n".join(rows) + "\n")


def write_folder(root: Path, faces: list[LabelledFace]) -> None:
    """Photos with .pts beside them."""
    for i, face in enumerate(faces):
        save_photo(root / f"photo{i}.jpg", face.image)
        (root / f"photo{i}.pts").write_text(format_pts(face.landmarks))


WRITERS: dict[str, Callable[[Path, list[LabelledFace]], None]] = {
    "w300": write_w300,
    "wflw": write_wflw,
    "aflw": write_aflw,
    "vggface2": write_vggface2,
    "affectnet": write_affectnet,
    "wlp300": write_wlp300,
    "aflw20003d": write_aflw20003d,
    "menpo2d": write_menpo2d,
    "menpo": write_menpo,
    "ls3d": write_ls3d,
    "palsy": write_palsy,
    "neuroface": write_neuroface,
    "meei": write_meei,
    "youtube_faces": write_youtube_faces,
    "folder": write_folder,
    "celeba": lambda root, faces: write_boxes(root, faces, "celeba"),
    "ffhq": lambda root, faces: write_boxes(root, faces, "ffhq"),
}


def write_layout(name: str, root: Path, faces: list[LabelledFace]) -> None:
    """Write faces in a dataset's layout. Raises: DataError for an unknown dataset."""
    if name not in WRITERS:
        raise DataError(f"unknown dataset '{name}'; choose one of: {', '.join(WRITERS)}.")
    root.mkdir(parents=True, exist_ok=True)
    WRITERS[name](root, faces)
