"""The mesh pyramid: a subset selector, true barycentric upsampling, Laplacians, its file; meshes that it refuses."""

import numpy as np
import pytest
from scipy import sparse

from geometry.mesh.closest_points import closest_points
from morphable.open import load_face_model
from recon3d.refinement.decimation import decimate
from recon3d.refinement.meshes import MeshGraphError, adjacency, check_mesh, normalised_laplacian, parts_of
from recon3d.refinement.pyramid import MeshPyramid, build_pyramid, cached_pyramid, mesh_digest
from tests.recon3d.refinement.shapes import grid, sphere


@pytest.fixture(scope="module")
def head():
    model = load_face_model("head")
    return model.mean.numpy(), model.triangles.numpy()


@pytest.fixture(scope="module")
def pyramid(head):
    return build_pyramid(*head)


def euler_characteristic(triangles, count):
    edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)
    return count - len(edges) + len(triangles)


def test_sizes_and_parts_of_the_head(head, pyramid):
    sizes = [len(head[0])]
    for _ in range(4):
        sizes.append(-(-sizes[-1] // 4))
    assert list(pyramid.sizes) == sizes
    for vertices, triangles in zip(pyramid.vertices, pyramid.triangles, strict=True):
        check_mesh(vertices, triangles)
        assert parts_of(triangles, len(vertices)).max() == parts_of(head[1], len(head[0])).max()


def test_coarse_vertices_are_a_subset_and_upsampling_is_barycentric(pyramid):
    for step, up in enumerate(pyramid.up):
        down = pyramid.down(step)
        assert np.array_equal(down @ pyramid.vertices[step], pyramid.vertices[step + 1])
        assert np.array_equal(np.asarray(down.sum(1)), np.ones((len(pyramid.kept[step]), 1)))
        assert np.allclose(np.asarray(up.sum(1)), 1, atol=1e-12)
        assert up.data.min() > 0 and np.diff(up.indptr).max() <= 3
        assert abs(down @ up - sparse.identity(up.shape[1])).max() == 0  # kept vertices come back exactly


def test_reconstruction_error_of_the_head(pyramid):
    """U·D moves the mean vertex by less than 0.5 mm; the face by less than the teeth's spacing."""
    back = pyramid.up[0] @ pyramid.vertices[1]
    error_mm = np.linalg.norm(back - pyramid.vertices[0], axis=1) * 100
    assert error_mm.mean() < 0.5 and error_mm.max() < 4


def test_upsampling_stays_within_a_part(head, pyramid):
    fine = parts_of(head[1], len(head[0]))
    coarse = fine[pyramid.kept[0]]
    rows, columns = pyramid.up[0].nonzero()
    assert np.array_equal(fine[rows], coarse[columns])


@pytest.mark.parametrize("mesh", [grid(20), sphere()], ids=["sheet", "sphere"])
def test_topology_survives_down_to_the_least_mesh(mesh):
    vertices, triangles = mesh
    kept, coarse = decimate(vertices, triangles, 6)
    check_mesh(vertices[kept], coarse)
    assert euler_characteristic(coarse, len(kept)) == euler_characteristic(triangles, len(vertices))


def test_a_plane_costs_nothing_and_keeps_its_outline():
    vertices, triangles = grid(15, height=0)
    kept, coarse = decimate(vertices, triangles, 4)
    assert sorted(kept) == [0, 14, 210, 224] and len(coarse) == 2


def test_a_tetrahedron_is_the_least_closed_mesh():
    vertices, triangles = sphere()
    kept, coarse = decimate(vertices, triangles, 4)
    assert len(kept) == 4 and len(coarse) == 4
    with pytest.raises(MeshGraphError, match="cannot be reduced to 3"):
        decimate(vertices, triangles, 3)


def test_laplacian_of_a_closed_mesh():
    vertices, triangles = sphere()
    laplacian = normalised_laplacian(adjacency(triangles, len(vertices)))
    values = np.linalg.eigvalsh(laplacian.toarray())
    assert abs(laplacian - laplacian.T).max() < 1e-15
    assert abs(values[0]) < 1e-12 and values[1] > 1e-3 and values[-1] < 2


def test_upstream_edge_weights():
    """Edges count 2 inside and 1 on the boundary; the number of entries is that of the binary adjacency."""
    vertices, triangles = grid(5)
    ours, upstream = (adjacency(triangles, len(vertices), kind) for kind in ("binary", "faces"))
    assert ours.nnz == upstream.nnz and set(upstream.data) == {1.0, 2.0}
    assert upstream[0, 1] == 1 and upstream[6, 7] == 2
    with pytest.raises(ValueError, match="edge weights"):
        adjacency(triangles, len(vertices), "cotangent")


def test_closest_points_against_every_triangle():
    """The tree finds what a dense sampling of all triangles finds, never farther."""
    vertices, triangles = sphere(6, 8)
    points = np.random.default_rng(0).normal(size=(50, 3))
    faces, weights, distances = closest_points(points, vertices, triangles)
    found = (vertices[triangles[faces]] * weights[..., None]).sum(1)
    assert np.allclose(np.linalg.norm(found - points, axis=1), distances) and np.allclose(weights.sum(1), 1)
    assert weights.min() >= 0
    steps = [(i / 24, j / 24, 1 - (i + j) / 24) for i in range(25) for j in range(25 - i)]
    samples = np.einsum("sk,fkc->fsc", np.array(steps), vertices[triangles]).reshape(-1, 3)
    dense = np.linalg.norm(points[:, None] - samples, axis=-1).min(1)
    assert (distances <= dense + 1e-9).all() and np.abs(distances - dense).max() < 0.01


def test_cache_is_keyed_by_the_mesh(tmp_path, head):
    vertices, triangles = grid(12)
    first = cached_pyramid(vertices, triangles, tmp_path, levels=3)
    (path,) = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    again = cached_pyramid(vertices, triangles, tmp_path, levels=3)
    assert path.stat().st_mtime_ns == stamp and again.digest == first.digest
    for a, b in zip(first.up + first.laplacians, again.up + again.laplacians, strict=True):
        assert (a != b).nnz == 0
    cached_pyramid(vertices * 2, triangles, tmp_path, levels=3)
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_another_mesh_and_damaged_ones(tmp_path):
    vertices, triangles = grid(8)
    path = tmp_path / "p.safetensors"
    build_pyramid(vertices, triangles, 2).save(path)
    with pytest.raises(MeshGraphError, match="another mesh"):
        MeshPyramid.load(path, mesh_digest(vertices + 1, triangles, 2))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MeshGraphError, match="p.safetensors: cannot be read"):
        MeshPyramid.load(path)
    with pytest.raises(MeshGraphError, match="cannot be read"):
        MeshPyramid.load(tmp_path / "none.safetensors")


def broken(kind):
    vertices, triangles = grid(4)
    if kind == "empty":
        return vertices[:0], triangles[:0]
    if kind == "isolated":
        return np.concatenate([vertices, vertices[:1]]), triangles
    if kind == "edge":
        return np.concatenate([vertices, [[0, 0, 9]]]), np.concatenate([triangles, [[6, 5, 16]]])
    if kind == "fans":  # two triangles that meet in one vertex
        return vertices[:5], np.array([[0, 1, 2], [0, 3, 4]])
    if kind == "orientation":
        return vertices, np.concatenate([triangles[:1, ::-1], triangles[1:]])
    if kind == "degenerate":
        return vertices, np.concatenate([triangles, [[3, 3, 2]]])
    if kind == "range":
        return vertices[:-1], triangles
    vertices[3] = np.nan
    return vertices, triangles


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("empty", "is empty"),
        ("isolated", "belongs to no triangle"),
        ("edge", "three triangles share the edge 5–6"),
        ("fans", "meet only in vertex 0"),
        ("orientation", "opposite orientation"),
        ("degenerate", "names a vertex twice"),
        ("range", "outside 0 … 14"),
        ("nan", "is not finite"),
    ],
)
def test_bad_meshes_get_one_sentence(kind, text):
    with pytest.raises(MeshGraphError, match=text) as caught:
        build_pyramid(*broken(kind))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_too_many_levels():
    with pytest.raises(MeshGraphError, match="fewer levels"):
        build_pyramid(*grid(3), levels=4)
