"""Pack Menpo and 300-W photos with their .pts files into the tar and ljson files of
`datasets.readers.menpo.Menpo2d`.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files.atomic import replacing, write_file
from common.files.images import IMAGE_SUFFIXES
from common.files.points import read_pts
from datasets.readers.menpo import PROFILE_POINTS
from geometry.schemes import IBUG_68, MENPO_84

# Folder of photos → its tar file. common and challenging share one, as their tables do.
TARS = {"train": "menpo", "common": "menpo_test", "challenging": "menpo_test", "300w": "300W", "menpo3D84": "menpo3D84"}
TABLES = {
    "menpo_train": ("train",),
    "menpo_common": ("common",),
    "menpo_challenging": ("challenging",),
    "menpo_full": ("common", "challenging"),
    "300W": ("300w",),
    "menpo3D84": ("menpo3D84",),
}


def convert_menpo(source: Path, out: Path) -> list[Path]:
    """`{train,common,challenging,300w,menpo3D84}/**/<photo>` with `<photo>.pts` (1-based; 68 points, 39 of a profile,
    84 in menpo3D84) → `<tar>.tar` beside the table folder `out`, tables in it. Folders that are absent are left out.

    Raises: DataError when no folder is there, a photo is missing or a file has another number of points.
    """
    records = {part: _read_part(source, part) for part in TARS if (source / part).is_dir()}
    if not records:
        raise DataError(
            f"{source}: holds none of the folders {', '.join(TARS)}; give the folder above them with --from."
        )
    written = []
    for tar in dict.fromkeys(TARS[part] for part in records):
        photos = [photo for part in records if TARS[part] == tar for photo, _ in records[part]]
        written.append(_write_tar(out.parent / f"{tar}.tar", photos, source))
    for table, parts in TABLES.items():
        lines = [json.dumps(record) for part in parts for _, record in records.get(part, [])]
        if lines:
            written.append(write_file(out / f"{table}.ljson", ("\n".join(lines) + "\n").encode()))
    return written


def member_name(photo: Path, source: Path) -> str:
    """`<folders>/<name>.rgb.<ext>`, as upstream's archives call their photos."""
    return str(photo.relative_to(source).with_name(f"{photo.stem}.rgb{photo.suffix}").as_posix())


def _read_part(source: Path, part: str) -> list[tuple[Path, dict]]:
    """(photo, record) of every .pts file, 0-based; profiles are padded with zeros to 68 points."""
    full = MENPO_84.num_points if part == "menpo3D84" else IBUG_68.num_points
    allowed = (full,) if part == "menpo3D84" else (full, PROFILE_POINTS)
    found = []
    for path in tqdm(sorted((source / part).rglob("*.pts")), desc=part):
        photo = next((p for p in (path.with_suffix(s) for s in IMAGE_SUFFIXES) if p.exists()), None)
        if photo is None:
            raise DataError(f"{path}: its photo is missing; copy it beside the .pts file.")
        points = read_pts(path) - np.float32(0.5)
        if len(points) not in allowed:
            raise DataError(f"{path}: {len(points)} landmarks where {' or '.join(map(str, allowed))} are expected.")
        padded = np.concatenate([points, np.zeros((full - len(points), 2), np.float32)])
        found.append((photo, {"img_path": member_name(photo, source), "landmarks_2d": padded.tolist()}))
    if not found:
        raise DataError(f"{source / part}: holds no .pts files.")
    return found


def _write_tar(path: Path, photos: list[Path], source: Path) -> Path:
    """Photos in an uncompressed tar file that appears whole or not at all."""
    with replacing(path) as temporary, tarfile.open(temporary, mode="w") as archive:
        for photo in photos:
            entry = tarfile.TarInfo(member_name(photo, source))
            content = photo.read_bytes()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path
