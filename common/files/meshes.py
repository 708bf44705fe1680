"""Triangle meshes as files: PLY, OBJ with vertex colours or a texture, glTF `.glb`.

Every format here is right-handed with y up and triangles counter-clockwise seen from outside, like the model space of
this codebase, so canonical meshes are written as they are; meshes in picture coordinates go through `from_screen`
first. Colours are sRGB, texture coordinates have v up (row 0 of a texture is v = 1). Files are written beside their
place and renamed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from common.errors import MeshFileError
from common.files.atomic import write_file
from common.files.pictures import save_picture

METRES_PER_DM = 0.1
_PLY_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh with vertex colours, a texture, both or neither."""

    vertices: np.ndarray  # (N, 3) float
    triangles: np.ndarray  # (F, 3) int, 0-based
    colours: np.ndarray | None = None  # (N, 3) sRGB 0 … 1
    uv: np.ndarray | None = None  # (U, 2), v up, 0 … 1
    uv_triangles: np.ndarray | None = None  # (F, 3) int into uv
    texture: np.ndarray | None = None  # (H, W, 3 or 4) uint8

    def __post_init__(self) -> None:
        for name, array, width in (
            ("vertices", self.vertices, 3),
            ("triangles", self.triangles, 3),
            ("uv", self.uv, 2),
        ):
            if array is not None and (array.ndim != 2 or array.shape[1] != width):
                raise MeshFileError(f"{name} have shape {array.shape}, expected (N, {width}).")
        pairs = (("triangles", self.triangles, self.vertices), ("uv_triangles", self.uv_triangles, self.uv))
        for name, mesh, points in pairs:
            if (mesh is None) != (points is None):
                raise MeshFileError("uv and uv_triangles come together or not at all.")
            if mesh is not None and mesh.size and not (0 <= mesh.min() and mesh.max() < len(points)):
                raise MeshFileError(f"{name} name a point outside 0 … {len(points) - 1}.")
        if self.uv_triangles is not None and self.uv_triangles.shape != self.triangles.shape:
            raise MeshFileError("uv_triangles do not match the triangles.")
        if self.colours is not None and self.colours.shape != self.vertices.shape:
            raise MeshFileError(f"colours have shape {self.colours.shape}, expected {self.vertices.shape}.")
        if self.texture is not None and self.uv is None:
            raise MeshFileError("a texture needs uv.")

    @property
    def colours_8bit(self) -> np.ndarray:
        """(N, 3) uint8."""
        return (np.clip(self.colours, 0, 1) * 255).round().astype(np.uint8)


def from_screen(screen: Tensor, height_px: int) -> Tensor:
    """(…, N, 3) screen coordinates (x, y down, depth away) → px with x right, y up from the bottom edge, z toward the
    viewer.

    Two axes turn over, so triangles keep their sense of rotation.
    """
    x, y, depth = screen.unbind(-1)
    return torch.stack([x, height_px - y, -depth], dim=-1)


def join(meshes: list[Mesh]) -> Mesh:
    """All vertices and triangles of several meshes in one; colours stay where all have them, textures do not.

    Raises: MeshFileError for an empty list.
    """
    if not meshes:
        raise MeshFileError("no mesh to join; no face was found.")
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    coloured = all(mesh.colours is not None for mesh in meshes)
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + offset for mesh, offset in zip(meshes, offsets)]),
        np.concatenate([mesh.colours for mesh in meshes]) if coloured else None,
    )


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write `.ply`, `.obj` or `.glb`, as the suffix says. Raises: MeshFileError for another suffix or NaN vertices."""
    writers = {".ply": write_ply, ".obj": write_obj, ".glb": write_glb}
    path = Path(path)
    if path.suffix.lower() not in writers:
        raise MeshFileError(f"{path}: unknown mesh format '{path.suffix}'; choose {', '.join(writers)}.")
    writers[path.suffix.lower()](path, mesh)


def write_ply(path: Path, mesh: Mesh, binary: bool = True) -> None:
    """PLY with float32 positions and uchar colours, binary little-endian or ascii. Raises: MeshFileError for NaN
    vertices.
    """
    _check_finite(path, mesh)
    names = [("x", "f4"), ("y", "f4"), ("z", "f4")]
    names += [(c, "u1") for c in ("red", "green", "blue")] if mesh.colours is not None else []
    header = [
        "ply",
        f"format {'binary_little_endian' if binary else 'ascii'} 1.0",
        f"element vertex {len(mesh.vertices)}",
    ]
    header += [f"property {'float' if kind == 'f4' else 'uchar'} {name}" for name, kind in names]
    header += [f"element face {len(mesh.triangles)}", "property list uchar int vertex_indices", "end_header"]
    columns = [*mesh.vertices.T, *(mesh.colours_8bit.T if mesh.colours is not None else ())]
    if binary:
        points = np.empty(len(mesh.vertices), [(name, "<" + kind) for name, kind in names])
        for (name, _), column in zip(names, columns):
            points[name] = column
        faces = np.empty(len(mesh.triangles), [("count", "u1"), ("ids", "<i4", 3)])
        faces["count"], faces["ids"] = 3, mesh.triangles
        body = points.tobytes() + faces.tobytes()
    else:
        form = "%.9g %.9g %.9g" + " %d %d %d" * (mesh.colours is not None)
        body = (_lines(form, np.column_stack(columns)) + _lines("3 %d %d %d", mesh.triangles)).encode()
    write_file(path, "\n".join([*header, ""]).encode() + body)


def read_ply(path: Path) -> Mesh:
    """A PLY file of triangles, ascii or binary of either byte order, with any further properties of its vertices.

    Raises: MeshFileError naming the file when it is missing, damaged, or has other polygons than triangles.
    """
    try:
        data = Path(path).read_bytes()
        head, _, body = data.partition(b"end_header")
        lines = [line.split() for line in head.decode("ascii").splitlines() if line.strip()]
        if not lines or lines[0] != ["ply"] or not body:
            raise ValueError("it has no PLY header")
        body = body[2:] if body.startswith(b"\r\n") else body[1:]
        return _parse_ply(lines[1:], body)
    except OSError as error:
        raise MeshFileError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, RuntimeError) as error:
        raise MeshFileError(f"{path}: not a PLY file of triangles ({error}).") from None


def _parse_ply(header: list[list[str]], body: bytes) -> Mesh:
    form = next((words[1] for words in header if words[0] == "format"), None)
    elements: dict[str, tuple[int, list]] = {}
    for words in header:
        if words[0] == "element":
            elements[words[1]] = (int(words[2]), [])
        elif words[0] == "property":
            list(elements.values())[-1][1].append(words[1:])
    if list(elements)[:2] != ["vertex", "face"]:
        raise ValueError("its elements are not vertex, then face")
    (points, properties), (faces, (face, *further)) = elements["vertex"], elements["face"]
    if face[0] != "list" or further:
        raise ValueError("its faces have other properties than a list of vertices")
    names = [words[-1] for words in properties]
    if form == "ascii":
        numbers = np.array(body.split(), dtype=np.float64)
        table = numbers[: points * len(names)].reshape(points, len(names))
        listed = numbers[points * len(names) :][: faces * 4].reshape(faces, 4)
        columns, counts, triangles = dict(zip(names, table.T)), listed[:, 0], listed[:, 1:]
    else:
        order = {"binary_little_endian": "<", "binary_big_endian": ">"}[form]
        kind = np.dtype([(words[-1], order + _PLY_TYPES[words[0]]) for words in properties])
        columns = np.frombuffer(body, kind, points)
        kinds = [("count", order + _PLY_TYPES[face[1]]), ("ids", order + _PLY_TYPES[face[2]], 3)]
        listed = np.frombuffer(body, kinds, faces, offset=points * kind.itemsize)
        counts, triangles = listed["count"], listed["ids"]
    if (counts != 3).any():
        raise ValueError("a face has not three corners")
    vertices = np.stack([columns[axis] for axis in "xyz"], axis=1).astype(np.float64)
    colours = None
    if {"red", "green", "blue"} <= set(names):
        colours = np.stack([columns[c] for c in ("red", "green", "blue")], axis=1) / 255.0
    return Mesh(vertices, triangles.astype(np.int64), colours)


def write_obj(path: Path, mesh: Mesh) -> None:
    """OBJ, 1-based; colours 0 … 1 after the positions; a texture goes to `<stem>.png` through `<stem>.mtl`, both beside
    it.

    Raises: MeshFileError for NaN vertices.
    """
    _check_finite(path, mesh)
    path = Path(path)
    material = path.stem.replace(" ", "_")  # OBJ has no quotes
    parts = []
    if mesh.texture is not None:
        save_picture(path.with_name(f"{material}.png"), mesh.texture)
        text = f"newmtl {material}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {material}.png\n"
        write_file(path.with_name(f"{material}.mtl"), text.encode())
        parts.append(f"mtllib {material}.mtl\nusemtl {material}\n")
    if mesh.colours is None:
        parts.append(_lines("v %.9g %.9g %.9g", mesh.vertices))
    else:
        table = np.column_stack([mesh.vertices, np.clip(mesh.colours, 0, 1)])
        parts.append(_lines("v %.9g %.9g %.9g %.5g %.5g %.5g", table))
    if mesh.uv is None:
        parts.append(_lines("f %d %d %d", mesh.triangles + 1))
    else:
        pairs = np.stack([mesh.triangles, mesh.uv_triangles], axis=2).reshape(-1, 6) + 1
        parts += [_lines("vt %.9g %.9g", mesh.uv), _lines("f %d/%d %d/%d %d/%d", pairs)]
    write_file(path, "".join(parts).encode())


def read_obj(path: Path) -> Mesh:
    """An OBJ file with vertices, their colours, texture coordinates and polygons, which are cut into triangles as fans.

    Materials are not read. Raises: MeshFileError naming the file when it is missing or damaged.
    """
    points, coordinates, faces = [], [], []
    try:
        for line in Path(path).read_text().splitlines():
            key, _, rest = line.partition(" ")
            if key == "v":
                points.append(rest.split())
            elif key == "vt":
                coordinates.append(rest.split()[:2])
            elif key == "f":
                corners = [corner.split("/") for corner in rest.split()]
                faces += [(corners[0], a, b) for a, b in zip(corners[1:], corners[2:])]
        table = np.array(points, dtype=np.float64)
        if not faces or table.ndim != 2 or table.shape[1] not in (3, 6):
            raise ValueError("it has no vertices or no faces")
        triangles = np.array([[int(corner[0]) for corner in face] for face in faces]) - 1
        textured = bool(coordinates) and all(len(corner) > 1 and corner[1] for corner in faces[0])
        uv = np.array(coordinates, dtype=np.float64) if textured else None
        uv_triangles = np.array([[int(corner[1]) for corner in face] for face in faces]) - 1 if textured else None
        return Mesh(table[:, :3], triangles, table[:, 3:] if table.shape[1] == 6 else None, uv, uv_triangles)
    except OSError as error:
        raise MeshFileError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, IndexError) as error:
        raise MeshFileError(f"{path}: not an OBJ file of polygons ({error}).") from None


def read_obj_vertices(path: Path) -> np.ndarray:
    """(N, 3) positions of an OBJ file, several times faster than `read_obj`. Raises: MeshFileError naming the file."""
    try:
        words = [line.split()[1:4] for line in Path(path).read_text().splitlines() if line.startswith("v ")]
        return np.array(words, dtype=np.float64).reshape(len(words), 3)
    except OSError as error:
        raise MeshFileError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except ValueError as error:
        raise MeshFileError(f"{path}: not an OBJ file ({error}).") from None


def write_glb(path: Path, mesh: Mesh, metres_per_unit: float = METRES_PER_DM) -> None:
    """glTF binary with a texture if there is one, else vertex colours; positions in metres as glTF demands.

    Vertices on seams of the texture are doubled. glTF's vertex colours are linear light, so sRGB is converted.
    Raises: MeshFileError for NaN vertices.
    """
    import trimesh  # half a second, so only where a .glb is written

    _check_finite(path, mesh)
    source, triangles, uv = np.arange(len(mesh.vertices)), mesh.triangles, mesh.uv
    if uv is not None and not (len(uv) == len(source) and np.array_equal(triangles, mesh.uv_triangles)):
        pairs = np.stack([triangles, mesh.uv_triangles], axis=2).reshape(-1, 2)
        used, corner = np.unique(pairs, axis=0, return_inverse=True)
        source, uv, triangles = used[:, 0], uv[used[:, 1]], corner.reshape(-1, 3)
    out = trimesh.Trimesh(mesh.vertices[source] * metres_per_unit, triangles, process=False)
    if mesh.texture is not None:
        image = Image.fromarray(mesh.texture)
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=image, metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True
        )
        if mesh.texture.shape[2] == 4:
            # unwrapped textures are opaque or empty; blending would let viewers draw inner parts over the face
            material.alphaMode, material.alphaCutoff = "MASK", 0.5
        out.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    elif mesh.colours is not None:
        colours = np.clip(mesh.colours[source], 0, 1)
        linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
        out.visual.vertex_colors = (linear * 255).round().astype(np.uint8)
    finish = None if mesh.texture is not None else _add_matt_material
    write_file(path, out.export(file_type="glb", include_normals=True, tree_postprocessor=finish))


def _add_matt_material(tree: dict) -> None:
    """Skin instead of glTF's default, which is metal, on every part of a glTF tree."""
    tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": True}]
    for mesh in tree["meshes"]:
        for part in mesh["primitives"]:
            part["material"] = 0


def _lines(form: str, table: np.ndarray) -> str:
    return ((form + "\n") * len(table)) % tuple(np.asarray(table).reshape(-1).tolist())


def _check_finite(path: Path, mesh: Mesh) -> None:
    if not np.isfinite(mesh.vertices).all():
        raise MeshFileError(f"{path}: a vertex is not finite; the mesh is not written.")
