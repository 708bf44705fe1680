"""Chebyshev convolutions against dense polynomials and plain autograd; the generators' sizes and gradients."""

import numpy as np
import pytest
import torch
from scipy import sparse

from geometry.mesh.sparse import SparseMatrix, chebyshev_filter, sparse_product
from networks.graph import ChebyshevConvolution, GraphBlock, GraphLevels
from networks.graph_generators import FaceCritic, GeneratorConfig, GraphGenerator, MeshAutoencoder

BASEL = (35709, 8928, 2232, 558, 140)


def random_filter(count: int, seed: int = 0) -> sparse.csr_matrix:
    """Laplacian minus 1 of a random graph: symmetric, eigenvalues within −1 … 1."""
    rng = np.random.default_rng(seed)
    adjacency = sparse.random(count, count, min(1, 5 / count), random_state=rng)
    ring = sparse.diags([np.ones(count), np.ones(count)], [1, 1 - count], (count, count))
    adjacency = adjacency + adjacency.T + ring + ring.T
    scale = sparse.diags(np.asarray(adjacency.sum(1)).ravel() ** -0.5)
    return -(scale @ adjacency @ scale).tocsr()


def levels_of(sizes, dtype=torch.float32) -> GraphLevels:
    """A pyramid of random graphs; rows of U have three weights."""
    rng, up, kept = np.random.default_rng(1), [], []
    for fine, coarse in zip(sizes, sizes[1:]):
        kept.append(torch.from_numpy(np.sort(rng.choice(fine, coarse, replace=False))))
        weights = rng.dirichlet([1, 1, 1], fine).ravel()
        entries = (weights, (np.repeat(np.arange(fine), 3), rng.integers(0, coarse, 3 * fine)))
        up.append(SparseMatrix.from_scipy(sparse.csr_matrix(entries, (fine, coarse)), dtype))
    return GraphLevels(tuple(SparseMatrix.from_scipy(random_filter(n), dtype) for n in sizes), tuple(kept), tuple(up))


def naive_filter(matrix: torch.Tensor, signal: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The same with a dense matrix and nothing but autograd."""
    terms = [signal, torch.einsum("nm,mbc->nbc", matrix, signal)]
    for _ in range(2, len(weight)):
        terms.append(2 * torch.einsum("nm,mbc->nbc", matrix, terms[-1]) - terms[-2])
    return sum(term @ w for term, w in zip(terms, weight))


SHAPES = [(3, 16), (16, 3), (16, 16), (3, 3), (12, 10)]


@pytest.mark.parametrize("channels, filters", SHAPES)
@pytest.mark.parametrize("order", [2, 3, 6])
def test_filter_equals_naive_autograd(channels, filters, order):
    matrix = random_filter(30)
    ours = [
        torch.randn(30, 2, channels, dtype=torch.float64),
        torch.randn(order, channels, filters, dtype=torch.float64),
    ]
    leaves = [t.requires_grad_() for t in ours]
    found = chebyshev_filter(SparseMatrix.from_scipy(matrix, torch.float64), *leaves)
    expected = naive_filter(torch.from_numpy(matrix.toarray()), *leaves)
    weights = torch.randn_like(expected)
    assert torch.allclose(found, expected, atol=1e-12)
    for a, b in zip(torch.autograd.grad(found, leaves, weights), torch.autograd.grad(expected, leaves, weights)):
        assert torch.allclose(a, b, atol=1e-11)
    (alone,) = torch.autograd.grad(
        chebyshev_filter(SparseMatrix.from_scipy(matrix, torch.float64), *leaves), leaves[:1], weights
    )
    assert torch.allclose(
        alone, torch.autograd.grad(naive_filter(torch.from_numpy(matrix.toarray()), *leaves), leaves[0], weights)[0]
    )


@pytest.mark.parametrize("channels, filters", [(2, 3), (3, 2), (9, 9)])
def test_gradcheck(channels, filters):
    matrix = SparseMatrix.from_scipy(random_filter(7), torch.float64)
    leaves = [torch.randn(7, 2, channels, dtype=torch.float64), torch.randn(4, channels, filters, dtype=torch.float64)]
    assert torch.autograd.gradcheck(lambda x, w: chebyshev_filter(matrix, x, w), [t.requires_grad_() for t in leaves])


def test_terms_are_chebyshev_polynomials_of_the_matrix():
    """One weight at T_k gives cos(k arccos λ) on each eigenvector."""
    matrix = random_filter(20)
    values, vectors = np.linalg.eigh(matrix.toarray())
    assert values.min() >= -1 - 1e-12 and values.max() <= 1 + 1e-12
    for k in range(6):
        weight = torch.zeros(6, 1, 1, dtype=torch.float64)
        weight[k] = 1
        signal = torch.from_numpy(vectors)[:, :, None]
        found = chebyshev_filter(SparseMatrix.from_scipy(matrix, torch.float64), signal, weight)[..., 0].numpy()
        assert np.allclose(found, vectors * np.cos(k * np.arccos(np.clip(values, -1, 1))), atol=1e-7)


def test_order_one_is_linear():
    layer = ChebyshevConvolution(4, 5, order=1)
    signal = torch.randn(10, 2, 4)
    expected = torch.nn.functional.linear(signal, layer.weight[0].T)
    assert torch.allclose(layer(signal, SparseMatrix.from_scipy(random_filter(10))), expected, atol=1e-6)


def test_sparse_product_and_its_gradient():
    matrix = SparseMatrix.from_scipy(sparse.random(6, 4, 0.5, random_state=0), torch.float64)
    assert not matrix.symmetric
    signal = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(sparse_product(matrix, signal), torch.einsum("nm,mbc->nbc", matrix.rows.to_dense(), signal))
    assert torch.autograd.gradcheck(lambda x: sparse_product(matrix, x), [signal])


def test_sizes_that_do_not_fit():
    square, tall = SparseMatrix.from_scipy(random_filter(5)), SparseMatrix.from_scipy(sparse.random(6, 4, 0.5))
    with pytest.raises(ValueError, match="rows came for a matrix"):
        sparse_product(tall, torch.zeros(5, 1, 1))
    with pytest.raises(ValueError, match="symmetric"):
        chebyshev_filter(tall, torch.zeros(6, 1, 1), torch.zeros(2, 1, 1))
    with pytest.raises(ValueError, match="signal of shape"):
        chebyshev_filter(square, torch.zeros(5, 1, 2), torch.zeros(2, 1, 1))
    with pytest.raises(ValueError, match="five levels"):
        GraphGenerator(GeneratorConfig(4), levels_of((20, 5)))
    with pytest.raises(ValueError, match="activation"):
        GeneratorConfig(4, activation="tanh")


def test_published_parameter_count():
    """17,249,140 at the sizes of the Basel face: FC 17,207,680, decoder 11,756, refiner 29,596, head 108."""
    empty = [SparseMatrix.from_scipy(sparse.identity(n)) for n in BASEL]
    levels = GraphLevels(tuple(empty), (torch.zeros(0, dtype=torch.int64),) * 4, tuple(empty[:4]))
    network = GraphGenerator(GeneratorConfig(3840, initialisation="authors"), levels)

    def count(*modules):
        return sum(p.numel() for module in modules for p in module.parameters())

    assert count(network) == 17_249_140
    assert count(network.fc) == 17_207_680 and count(network.decoder) == 11_756 and count(network.head) == 108
    assert count(network.enter, network.coarse, network.leave) == 29_596
    assert network.fc.weight.std().item() == pytest.approx(
        0.088, abs=0.002
    )  # of a normal cut at two standard deviations
    assert (network.fc.bias == 0.1).all() and (network.enter.bias1 == 0.1).all()


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_gradient_reaches_every_parameter(activation):
    levels = levels_of((64, 16, 8, 6, 5))
    network = GraphGenerator(GeneratorConfig(7, 7, activation=activation), levels)
    out = network(torch.randn(3, 7), torch.randn(3, 64, 7))
    assert out.shape == (3, 64, 3) and out.abs().max() <= 1
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_zero_head_gives_zero_and_still_learns():
    network = GraphGenerator(GeneratorConfig(7, zero_head=True), levels_of((64, 16, 8, 6, 5)))
    out = network(torch.randn(2, 7), torch.randn(2, 64, 3))
    assert (out == 0).all()
    out.sum().backward()
    assert network.head.weight.grad.abs().sum() > 0


def test_samples_of_a_batch_do_not_mix():
    network = GraphGenerator(GeneratorConfig(7), levels_of((64, 16, 8, 6, 5)))
    features, signal = torch.randn(3, 7), torch.randn(3, 64, 3)
    one = network(features[1:2], signal[1:2])
    assert torch.allclose(network(features, signal)[1:2], one, atol=1e-5)


def test_levels_follow_the_module_and_stay_out_of_the_weights():
    network = GraphGenerator(GeneratorConfig(7), levels_of((64, 16, 8, 6, 5))).double()
    assert network.levels.filters[0].rows.dtype == torch.float64
    assert network(torch.randn(1, 7).double(), torch.randn(1, 64, 3).double()).dtype == torch.float64
    assert not any("levels" in name for name in network.state_dict())


def test_autoencoder_overfits_one_batch():
    network = MeshAutoencoder(levels_of((64, 16, 8)), code=8, widths=(16, 16))
    faces = torch.randn(4, 64, 3)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (network(faces) - faces).square().mean()
        loss.backward()
        optimizer.step()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())
    assert loss < 0.1  # of 1 at the start: noise is the hardest of shapes


def test_block_without_change_of_width_has_no_shortcut_weights():
    assert GraphBlock(16, 16).shortcut is None and GraphBlock(3, 16).shortcut.weight.shape == (1, 3, 16)


def test_critic_scores_pictures():
    critic = FaceCritic()
    assert critic(torch.rand(2, 3, 224, 224)).shape == (2,)
    with pytest.raises(ValueError, match="norm"):
        FaceCritic("instance")


def test_unet_learns_with_every_parameter():
    """A gradient reaches all of them, and one batch is overfitted."""
    from networks.graph_generators import GeneratorConfig
    from networks.graph_unet import GraphUnet
    from recon3d.refinement.levels import graph_levels
    from recon3d.refinement.pyramid import build_pyramid
    from tests.recon3d.refinement.shapes import grid

    torch.manual_seed(0)
    pyramid = build_pyramid(*grid(40))
    net = GraphUnet(GeneratorConfig(5, 7, activation="elu"), graph_levels(pyramid))
    features, signal = torch.randn(2, 5), torch.randn(2, 1600, 7)
    wanted = 0.5 * torch.stack([torch.from_numpy(pyramid.vertices[0]), -torch.from_numpy(pyramid.vertices[0])])
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(90):
        optimiser.zero_grad()
        out = net(features, signal)
        loss = (out - wanted).square().mean()
        loss.backward()
        if not losses:
            assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert out.shape == (2, 1600, 3) and losses[-1] < 0.1 * losses[0]
    with pytest.raises(ValueError, match="five levels"):
        GraphUnet(GeneratorConfig(5), graph_levels(build_pyramid(*grid(40), levels=3)))
