"""Speed of the graph networks beside plain autograd, and of the mesh pyramid, in one run, as ratios.

    python -m benchmarks graph                          # one thread, about a minute
    python -m benchmarks graph --threads 2 --batch 8
    python -m benchmarks graph --data ../shared/data/tddfa   # where tri.mat, indices.npy and train.configs lie

The mesh is the mean face of 3DDFA_V2 (38,365 vertices) if its files are there, else a generated one of that size. The reference
is the usual PyTorch port of CoMA and Lin et al.: (B, N, C) activations, permuted for every product with a sparse Laplacian, the
terms stacked, gradients by autograd; once with a COO and once with a CSR matrix. With one thread times are of the processor, so
that other programs do not count; with more they are wall times. The best of the repeats counts.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.rasterise import generated_face, mean_face
from geometry.mesh.sparse import chebyshev_filter
from networks.graph_generators import GeneratorConfig, GraphGenerator
from recon3d.refinement.levels import graph_levels
from recon3d.refinement.pyramid import MeshPyramid, build_pyramid

ORDER = 6
PYRAMID_GOAL_S, LAYER_GOAL = 5.0, 5.0


def _clock() -> Callable[[], float]:
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """Shortest time of the repeats after one that does not count: of the processor with one thread, else on the wall."""
    clock = _clock()
    work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times) * 1e3


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
    """Build it twice: the first time includes compiling, unless an earlier process has."""
    seconds, clock = [], _clock()
    for _ in range(2):
        start = clock()
        pyramid = build_pyramid(*mesh)
        seconds.append(clock() - start)
    sizes = " → ".join(map(str, pyramid.sizes))
    print(
        f"pyramid {sizes}   {seconds[1]:.2f} s, with loading of compiled code {seconds[0]:.2f} s (goal {PYRAMID_GOAL_S:.0f} s)"
    )
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
            return torch.autograd.grad(naive_filter(laplacian, usual, weight), (usual, weight), gradient.transpose(0, 1))

        difference = (ours()[1] - naive(coo)[1]).abs().max() / ours()[1].abs().max()
        fast = best_ms(ours, repeats)
        slow_coo, slow_csr = (best_ms(lambda m=m: naive(m), max(repeats // 4, 1)) for m in (coo, matrix.rows))
        print(
            f"layer {channels:2d} → {filters:2d}, batch {batch}, forward + backward   naive COO {slow_coo:7.1f} ms, CSR"
            f" {slow_csr:8.1f} ms   ours {fast:6.1f} ms   {slow_coo / fast:4.1f}× COO, {slow_csr / fast:5.1f}× CSR"
            f" (goal {LAYER_GOAL:.0f}×)   gradients differ by {difference:.0e}"
        )


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

    one, many = best_ms(infer, repeats), best_ms(step, max(repeats // 2, 1)) / batch
    size = sum(p.numel() for p in network.parameters())
    print(f"generator, {size:,} parameters   one mesh {one:.0f} ms   forward + backward, batch {batch}, per mesh {many:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data/tddfa")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    mesh = mean_face(options.data) if options.data.is_dir() else generated_face()
    print(f"{len(mesh[0]):,} vertices, {len(mesh[1]):,} triangles, {options.threads} thread(s), torch {torch.__version__}")
    pyramid = benchmark_pyramid(mesh)
    parts: tuple[Callable, ...] = (benchmark_layer, benchmark_generator)
    for part in parts:
        part(pyramid, options.batch, options.repeats)


if __name__ == "__main__":
    main()
