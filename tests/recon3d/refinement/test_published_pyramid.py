"""Published pyramid files: what is written in their layout comes back, and everything else is refused in one
sentence.
"""

import numpy as np
import pytest
import torch
from scipy import sparse

from recon3d.refinement.meshes import MeshGraphError, adjacency
from recon3d.refinement.published_pyramid import read_published_pyramid
from recon3d.refinement.pyramid import build_pyramid
from recon3d.refinement.refiner import MeshRefiner, RefinerConfig, load_refiner
from tests.recon3d.refinement.shapes import grid


@pytest.fixture
def stored(tmp_path):
    """A pyramid with the published edge weights, in the published files."""
    vertices, triangles = grid(40)
    pyramid = build_pyramid(vertices, triangles, edge_weights="faces")
    for i in range(5):
        sparse.save_npz(tmp_path / f"laplacians{i}.npz", pyramid.laplacians[i].tocoo().astype(np.float32))
        sparse.save_npz(tmp_path / f"adjacency{i}.npz", adjacency(pyramid.triangles[i], pyramid.sizes[i], "faces"))
    for i in range(4):
        sparse.save_npz(tmp_path / f"downsamp_trans{i}.npz", pyramid.down(i).tocsc())
        sparse.save_npz(tmp_path / f"upsamp_trans{i}.npz", pyramid.up[i].tocsc())
    return tmp_path, pyramid, vertices, triangles


def test_files_come_back(stored, tmp_path):
    folder, pyramid, vertices, triangles = stored
    found = read_published_pyramid(folder, vertices, triangles)
    assert found.sizes == pyramid.sizes
    for a, b in zip(found.laplacians + found.up, pyramid.laplacians + pyramid.up, strict=True):
        assert abs(a - b).max() < 1e-6
    for a, b in zip(found.kept + found.vertices, pyramid.kept + pyramid.vertices, strict=True):
        assert np.array_equal(a, b)
    refiner = MeshRefiner(RefinerConfig(4), found, "sheet")
    torch.nn.init.normal_(refiner.network.head.weight, std=0.1)
    refiner.save(tmp_path / "r")
    again = load_refiner(tmp_path / "r").refiner
    features, shape = torch.randn(2, 4), torch.from_numpy(vertices).expand(2, -1, -1)
    assert torch.allclose(again(features, shape), refiner(features, shape), atol=1e-6)


def test_wrong_files(stored):
    folder, pyramid, vertices, triangles = stored
    with pytest.raises(MeshGraphError, match="1600 vertices; the face model has 900"):
        read_published_pyramid(folder, *grid(30))
    other = triangles.copy()
    other[0, 2] = 41  # another diagonal
    other[39 * 39, 0] = 0
    with pytest.raises(MeshGraphError, match="not that of the face model's triangles"):
        read_published_pyramid(folder, vertices, other)
    sparse.save_npz(folder / "downsamp_trans1.npz", 0.5 * pyramid.down(1))
    with pytest.raises(MeshGraphError, match="not a selector"):
        read_published_pyramid(folder, vertices, triangles)
    sparse.save_npz(folder / "upsamp_trans2.npz", pyramid.up[1])
    with pytest.raises(MeshGraphError, match="matrices of step 2 do not fit"):
        read_published_pyramid(folder, vertices, triangles)
    (folder / "laplacians3.npz").write_bytes(b"nothing")
    with pytest.raises(MeshGraphError, match=r"laplacians3.npz: cannot be read"):
        read_published_pyramid(folder, vertices, triangles)
    (folder / "laplacians0.npz").unlink()
    with pytest.raises(MeshGraphError, match=r"laplacians0.npz: cannot be read"):
        read_published_pyramid(folder, vertices, triangles)
