"""Landmark files of other conventions, converted at the border: iBUG `.pts` (1-based), 0-based csv and json."""

import json
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.inputs import check_file

MAX_TEXT_BYTES = 16 * 2**20
MAX_COORDINATE = 1e6  # px; no photo is as large, and crops of such faces would take minutes


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """A text file of limited size. Raises: DataError naming the file."""
    check_file(path, max_bytes)
    try:
        return path.read_text(encoding="utf-8-sig", errors="strict")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file.") from None


def read_pts(path: Path, num_points: int | None = None) -> np.ndarray:
    """iBUG `.pts` → (K, 2) float32 continuous photo coordinates (file value − 0.5: its first pixel has centre 1).

    Raises: DataError with file and line for a wrong count, a value that is no finite number, or a wrong layout.
    """
    lines = read_text(Path(path)).splitlines()
    opening = next((i for i, line in enumerate(lines) if line.strip() == "{"), None)
    closing = next((i for i, line in enumerate(lines) if line.strip() == "}"), None)
    if opening is None or closing is None or closing < opening:
        raise DataError(f"{path}: not a .pts file (no {{ … }} block).")
    points = []
    for number, line in enumerate(lines[opening + 1 : closing], start=opening + 2):
        if not line.strip():
            continue
        try:
            x, y = (float(value) for value in line.split())
        except ValueError:
            raise DataError(f"{path}:{number}: expected 'x y', found '{line.strip()[:60]}'.") from None
        if not (abs(x) < MAX_COORDINATE and abs(y) < MAX_COORDINATE):  # NaN fails too
            raise DataError(
                f"{path}:{number}: coordinate '{line.strip()[:60]}' is not finite or beyond {MAX_COORDINATE:,.0f} px;"
                " correct or remove the file."
            )
        points.append((x, y))
    check_count(path, len(points), num_points)
    return np.array(points, dtype=np.float32).reshape(-1, 2) - 0.5


def format_pts(landmarks: np.ndarray) -> str:
    """(K, 2) continuous photo coordinates → text of an iBUG `.pts` file (1-based)."""
    body = "\n".join(f"{x + 0.5:.3f} {y + 0.5:.3f}" for x, y in np.asarray(landmarks)[:, :2])
    return f"version: 1\nn_points: {len(landmarks)}\n{{\n{body}\n}}\n"


def check_count(path: Path, found: int, expected: int | None) -> None:
    """Raises: DataError when a file has another number of points than its scheme."""
    if not found:
        raise DataError(f"{path}: holds no landmarks.")
    if expected is not None and found != expected:
        raise DataError(
            f"{path}: {found} landmarks where {expected} are expected; check the file or choose another --scheme."
        )


def read_json_points(path: Path, num_points: int | None = None) -> np.ndarray:
    """`{"landmarks": [[x, y], …]}`, menpo's `{"landmarks": {"points": [[y, x], …]}}` or a bare list → (K, 2 or 3)
    float32.

    Values count pixels from 0 at the centre of the first pixel, except where the file says `"convention":
    "continuous"`, as those that demo.py writes do.
    """
    try:
        content = json.loads(read_text(Path(path)))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg}).") from None
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a landmark file ({type(error).__name__}).") from None
    offset = 0.5
    if isinstance(content, dict):
        offset = 0.0 if content.get("convention") == "continuous" else 0.5
        content = content.get("landmarks")
    swap = isinstance(content, dict)
    if swap:
        content = content.get("points")
    try:
        with np.errstate(over="ignore"):
            points = np.array(content, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise DataError(f"{path}: expected a list of [x, y] landmarks.")
    if not (np.abs(points) < MAX_COORDINATE).all():
        raise DataError(
            f"{path}: a landmark is not finite or beyond {MAX_COORDINATE:,.0f} px; correct or remove the file."
        )
    check_count(path, len(points), num_points)
    if swap:
        points = points[:, [1, 0, *range(2, points.shape[1])]]
    points[:, :2] += offset
    return points


def read_rows(path: Path) -> np.ndarray:
    """Lines "x y", separated by blanks, tabs or commas → (n, 2) as the file has them. Raises: DataError with the
    line.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            x, y = (float(value) for value in line.replace(",", " ").split())
        except ValueError:
            raise DataError(f"{path}:{number}: expected 'x y', found '{line.strip()[:60]}'.") from None
        if not np.isfinite([x, y]).all():
            raise DataError(f"{path}:{number}: a coordinate is not finite; correct or remove the file.")
        rows.append((x, y))
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
