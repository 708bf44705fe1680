"""Meshes survive every format; conventions are those that viewers expect."""

import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from common.errors import MeshFileError
from common.files.meshes import (
    Mesh,
    from_screen,
    join,
    read_obj,
    read_obj_vertices,
    read_ply,
    write_glb,
    write_mesh,
    write_obj,
    write_ply,
)


def tetrahedron(**kwargs) -> Mesh:
    vertices = np.array([[0.25, 0, 0], [1, 0.125, 0], [0, 1, 0.5], [0.1, 0.2, 1]])
    triangles = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    return Mesh(vertices, triangles, **kwargs)


def coloured() -> Mesh:
    return tetrahedron(colours=np.array([[1, 0, 0], [0, 0.5, 0], [0, 0, 1], [0.2, 0.4, 0.6]]))


def textured() -> Mesh:
    """Every triangle has its own piece of the texture, so each vertex lies on seams."""
    rng = np.random.default_rng(0)
    uv = rng.uniform(0.1, 0.9, (12, 2)).round(6)
    texture = rng.integers(0, 255, (8, 16, 3), dtype=np.uint8)
    return tetrahedron(uv=uv, uv_triangles=np.arange(12).reshape(4, 3), texture=texture)


@pytest.mark.parametrize("binary", [True, False])
def test_ply_round_trip(tmp_path, binary):
    mesh = coloured()
    write_ply(tmp_path / "a.ply", mesh, binary=binary)
    again = read_ply(tmp_path / "a.ply")
    np.testing.assert_allclose(again.vertices, mesh.vertices, rtol=1e-6)
    np.testing.assert_array_equal(again.triangles, mesh.triangles)
    np.testing.assert_allclose(again.colours, mesh.colours, atol=0.5 / 255)
    other = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_allclose(other.vertices, mesh.vertices, rtol=1e-6)
    np.testing.assert_array_equal(other.faces, mesh.triangles)
    np.testing.assert_array_equal(other.visual.vertex_colors[:, :3], mesh.colours_8bit)
    assert other.volume > 0  # counter-clockwise seen from outside
    header = ["ply", "format binary_big_endian 1.0", "comment hello", "element vertex 3", "property double x"]
    header += ["property double y", "property uchar quality", "property double z", "element face 1"]
    header = "\r\n".join([*header, "property list uint8 uint32 vertex_index", "end_header", ""])
    points = b"".join(struct.pack(">ddBd", *row) for row in ((1, 2, 9, 3), (4, 5, 9, 6), (7, 8, 9, 10)))
    (tmp_path / "a.ply").write_bytes(header.encode() + points + struct.pack(">BIII", 3, 2, 1, 0))
    mesh = read_ply(tmp_path / "a.ply")
    assert mesh.vertices.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 10]] and mesh.triangles.tolist() == [[2, 1, 0]]


def test_obj_round_trip_with_colours(tmp_path):
    mesh = coloured()
    write_obj(tmp_path / "a.obj", mesh)
    again = read_obj(tmp_path / "a.obj")
    np.testing.assert_allclose(again.vertices, mesh.vertices, rtol=1e-8)
    np.testing.assert_array_equal(again.triangles, mesh.triangles)
    np.testing.assert_allclose(again.colours, mesh.colours, atol=1e-5)
    np.testing.assert_array_equal(read_obj_vertices(tmp_path / "a.obj"), again.vertices)
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert lines[0] == "v 0.25 0 0 1 0 0" and lines[4] == "f 1 3 2"
    assert [p.name for p in tmp_path.iterdir()] == ["a.obj"]


def test_obj_round_trip_with_texture(tmp_path):
    mesh = textured()
    write_mesh(tmp_path / "my face.obj", mesh)
    again = read_obj(tmp_path / "my face.obj")
    np.testing.assert_allclose(again.uv[again.uv_triangles], mesh.uv[mesh.uv_triangles], atol=1e-8)
    other = trimesh.load(tmp_path / "my face.obj", process=False)
    np.testing.assert_array_equal(np.asarray(other.visual.material.image), mesh.texture)
    corners = other.visual.uv[other.faces]
    np.testing.assert_allclose(corners, mesh.uv[mesh.uv_triangles], atol=1e-8)
    np.testing.assert_allclose(other.vertices[other.faces], mesh.vertices[mesh.triangles], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "my_face.png")), mesh.texture)


def test_polygons_are_cut_as_fans(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1 4//1\n")
    mesh = read_obj(tmp_path / "a.obj")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]] and mesh.uv is None


def test_glb_with_texture_reopens_alike(tmp_path):
    mesh = textured()
    write_glb(tmp_path / "a.glb", mesh)
    other = trimesh.load(tmp_path / "a.glb", process=False, force="mesh")
    np.testing.assert_allclose(other.vertices[other.faces], mesh.vertices[mesh.triangles] * 0.1, rtol=1e-5)
    np.testing.assert_allclose(other.visual.uv[other.faces], mesh.uv[mesh.uv_triangles], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(other.visual.material.baseColorTexture), mesh.texture)


def test_glb_keeps_the_order_of_a_mesh_without_seams(tmp_path):
    uv = np.random.default_rng(1).uniform(0, 1, (4, 2))
    mesh = tetrahedron(uv=uv, uv_triangles=tetrahedron().triangles, texture=np.zeros((4, 4, 4), np.uint8))
    write_glb(tmp_path / "a.glb", mesh, metres_per_unit=1.0)
    other = trimesh.load(tmp_path / "a.glb", process=False, force="mesh")
    np.testing.assert_allclose(other.vertices, mesh.vertices, rtol=1e-6)
    np.testing.assert_array_equal(other.faces, mesh.triangles)
    np.testing.assert_allclose(other.visual.uv, uv, atol=1e-6)


def tree_of(path) -> dict:
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])


def colours_of(path) -> np.ndarray:
    """(N, 4) of COLOR_0; trimesh gives none where there is a material."""
    data, tree = path.read_bytes(), tree_of(path)
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    start = 20 + struct.unpack("<I", data[12:16])[0] + 8 + view["byteOffset"]
    return np.frombuffer(data[start : start + 4 * accessor["count"]], np.uint8).reshape(-1, 4) / 255


def test_glb_has_linear_vertex_colours(tmp_path):
    write_glb(tmp_path / "a.glb", coloured())
    colours = colours_of(tmp_path / "a.glb")
    # the sRGB curve at 0.5, 0.2, 0.4, 0.6 (IEC 61966-2-1)
    np.testing.assert_allclose(colours[1, :3], [0, 0.2140, 0], atol=0.002)
    np.testing.assert_allclose(colours[3, :3], [0.0331, 0.1329, 0.3185], atol=0.002)
    data = (tmp_path / "a.glb").read_bytes()
    assert data[:4] == b"glTF" and struct.unpack("<I", data[8:12])[0] == len(data)
    assert "NORMAL" in tree_of(tmp_path / "a.glb")["meshes"][0]["primitives"][0]["attributes"]


def test_glb_is_matt_and_its_texture_cuts_instead_of_blending(tmp_path):
    write_glb(tmp_path / "colours.glb", coloured())
    tree = tree_of(tmp_path / "colours.glb")
    assert tree["meshes"][0]["primitives"][0]["material"] == 0
    assert tree["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0  # glTF's default is metal
    uv = np.random.default_rng(1).uniform(0, 1, (4, 2))
    rgba = np.zeros((4, 4, 4), np.uint8)
    write_glb(tmp_path / "b.glb", tetrahedron(uv=uv, uv_triangles=tetrahedron().triangles, texture=rgba))
    assert tree_of(tmp_path / "b.glb")["materials"][0]["alphaMode"] == "MASK"


def test_screen_coordinates_become_right_handed():
    screen = torch.tensor([[[10.0, 20, -5], [30, 20, -5], [10, 0, -5]]])
    up = from_screen(screen, 100).numpy()
    np.testing.assert_array_equal(up[0], [[10, 80, 5], [30, 80, 5], [10, 100, 5]])
    normal = np.cross(up[0, 1] - up[0, 0], up[0, 2] - up[0, 0])
    assert normal[2] > 0  # counter-clockwise on the picture faces the viewer, z toward the viewer


def test_joined_meshes(tmp_path):
    mesh = join([coloured(), coloured()])
    assert mesh.triangles.max() == 7 and len(mesh.colours) == 8
    assert join([coloured(), tetrahedron()]).colours is None
    with pytest.raises(MeshFileError, match="no face"):
        join([])


def test_what_cannot_be_written_or_read_is_named(tmp_path):
    with pytest.raises(MeshFileError, match="unknown mesh format '.stl'"):
        write_mesh(tmp_path / "a.stl", coloured())
    broken = Mesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]]))
    for name in ("a.ply", "a.obj", "a.glb"):
        with pytest.raises(MeshFileError, match=f"{name}: a vertex is not finite"):
            write_mesh(tmp_path / name, broken)
    assert not list(tmp_path.iterdir())
    with pytest.raises(MeshFileError, match="outside 0 … 3"):
        Mesh(tetrahedron().vertices, np.array([[0, 1, 4]]))
    with pytest.raises(MeshFileError, match="come together"):
        tetrahedron(uv=np.zeros((4, 2)))
    write_ply(tmp_path / "a.ply", coloured())
    whole = (tmp_path / "a.ply").read_bytes()
    for name, data in (("cut.ply", whole[:-3]), ("text.ply", b"hello"), ("empty.ply", b""), ("head.ply", whole[:60])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MeshFileError, match=name):
            read_ply(tmp_path / name)
    for name, text in (("empty.obj", ""), ("words.obj", "v a b c\nf 1 2 3\n"), ("far.obj", "v 0 0 0\nf 1 2 3\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(MeshFileError):
            read_obj(tmp_path / name)
    with pytest.raises(MeshFileError, match="none.ply: cannot be read"):
        read_ply(tmp_path / "none.ply")
