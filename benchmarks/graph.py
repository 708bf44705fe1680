"""Speed of the graph networks beside plain autograd, and of the mesh pyramid, in one run, as ratios.

    python -m benchmarks graph                          # one thread, about a minute
    python -m benchmarks graph --threads 2 --batch 8
    python -m benchmarks graph --data tddfa             # where tri.mat, indices.npy and train.configs lie

The mesh is a generated face as dense as 3DDFA_V2's, or with --data that one (38,365 vertices). The reference is the
usual PyTorch port of CoMA and Lin et al.: (B, N, C) activations, permuted for every product with a sparse Laplacian,
the terms stacked, gradients by autograd; once with a COO and once with a CSR matrix. With one thread times are of the
processor, so that other programs do not count; with more they are wall times. The best of the repeats counts.
"""

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.rasterise import generated_face, mean_face
from benchmarks.report import best_ms, make_parser, note, row, start
from geometry.mesh.sparse import chebyshev_filter
from networks.graph_generators import GeneratorConfig, GraphGenerator
from recon3d.refinement.levels import graph_levels
from recon3d.refinement.pyramid import MeshPyramid, build_pyramid

ORDER = 6


def naive_filter(laplacian: Tensor, signal: Tensor, weight: Tensor) -> Tensor:
    """CoMA's layer as ports write it: (B, N, C) → (B, N, F)."""
    batch, count, channels = signal.shape
    terms = [signal.permute(1, 2, 0).reshape(count, channels * batch)]
    terms.append(torch.sparse.mm(laplacian, terms[0]))
    for _ in range(2, len(weight)):
        terms.append(2 * torch.sparse.mm(laplacian, terms[-1]) - terms[-2])
    stacked = torch.stack(terms).view(len(weight), count, channels, batch).permute(3, 1, 2, 0)
    mixed = stacked.reshape(batch * count, channels * len(weight)) @ weight.permute(1, 0, 2).flatten(0, 1)
    return mixed.view(batch, count, -1)


def benchmark_pyramid(mesh: tuple[Tensor, Tensor]) -> MeshPyramid:
    """Build it twice: the first time loads compiled code or compiles it, and does not count."""
    pyramid = build_pyramid(*mesh)
    row(f"pyramid of {' → '.join(map(str, pyramid.sizes))}", best_ms(lambda: build_pyramid(*mesh), 1))
    return pyramid


def benchmark_layer(pyramid: MeshPyramid, batch: int, repeats: int) -> None:
    """Forward and backward of one layer for its signal and weights."""
    matrix = graph_levels(pyramid).filters[0]
    coo = matrix.rows.to_sparse_coo().coalesce()
    for channels, filters in ((3, 16), (16, 16), (32, 16), (16, 3)):
        rows = torch.randn(matrix.shape[0], batch, channels, requires_grad=True)
        weight = torch.randn(ORDER, channels, filters, requires_grad=True)
        usual = rows.detach().transpose(0, 1).contiguous().requires_grad_()
        gradient = torch.randn(matrix.shape[0], batch, filters)

        def ours(rows=rows, weight=weight, gradient=gradient):
            return torch.autograd.grad(chebyshev_filter(matrix, rows, weight), (rows, weight), gradient)

        def naive(laplacian: Tensor, usual=usual, weight=weight, gradient=gradient):
            return torch.autograd.grad(
                naive_filter(laplacian, usual, weight), (usual, weight), gradient.transpose(0, 1)
            )

        difference = (ours()[1] - naive(coo)[1]).abs().max() / ours()[1].abs().max()
        fast = best_ms(ours, repeats)
        slow_coo, slow_csr = (best_ms(lambda m=m: naive(m), max(repeats // 4, 1)) for m in (coo, matrix.rows))
        name = f"layer {channels} → {filters}, batch {batch}, forward + backward"
        row(f"{name}; COO", fast, slow_coo)
        row(f"{name}; CSR", fast, slow_csr)
        note(f"gradients differ by {difference:.0e}")


def benchmark_generator(pyramid: MeshPyramid, batch: int, repeats: int) -> None:
    """GCN_ResNet's mesh generator: inference, and a training step without the losses."""
    network = GraphGenerator(GeneratorConfig(3840), graph_levels(pyramid))
    features, vertices = torch.randn(batch, 3840), torch.from_numpy(pyramid.vertices[0]).expand(batch, -1, -1)
    gradient = torch.randn_like(vertices)

    def step() -> None:
        network.zero_grad()
        network(features, vertices).backward(gradient)

    def infer() -> None:
        with torch.inference_mode():
            network(features[:1], vertices[:1])

    size = sum(p.numel() for p in network.parameters())
    row(f"generator of {size:,} parameters, one mesh", best_ms(infer, repeats))
    row(f"the same, forward + backward, batch {batch}, per mesh", best_ms(step, max(repeats // 2, 1)) / batch)


def main(arguments: list[str] | None = None) -> None:
    """Print pyramid, layers and generator."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="3DDFA's files (default: a generated face)")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args(arguments)
    mesh = generated_face(48 if options.smoke else 196) if options.data is None else mean_face(options.data)
    if options.smoke:
        options.batch, options.repeats = 1, 1
    start(options)
    note(f"{len(mesh[0]):,} vertices, {len(mesh[1]):,} triangles")
    pyramid = benchmark_pyramid(mesh)
    for part in (benchmark_layer, benchmark_generator):
        part(pyramid, options.batch, options.repeats)


if __name__ == "__main__":
    main()
