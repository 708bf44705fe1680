"""Sparse matrices times dense signals on graphs, and Chebyshev filters, with gradients of their own.

Signals lie as (N, B, C): a row holds a vertex of every sample of the batch, so that one product with an N × N matrix
serves B·C columns. The products are `torch.addmm` on CSR: MKL on the CPU, cuSPARSE on CUDA.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from scipy import sparse
from torch import Tensor
from torch.autograd.function import once_differentiable

THIN = 8  # matrix products with fewer columns than this waste most of the time


@dataclass(frozen=True)
class SparseMatrix:
    """A constant (n, m) matrix in CSR form and its transpose; both (3 tensors each) are ready for products."""

    rows: Tensor  # CSR, (n, m)
    columns: Tensor  # CSR of the transpose, (m, n); the same object where the matrix is symmetric

    @classmethod
    def from_scipy(cls, matrix: sparse.spmatrix, dtype: torch.dtype = torch.float32) -> "SparseMatrix":
        """From any matrix of scipy."""
        matrix = sparse.csr_matrix(matrix)
        forward = _csr(matrix, dtype)
        difference = abs(matrix - matrix.T) if matrix.shape[0] == matrix.shape[1] else None
        symmetric = difference is not None and (not difference.nnz or difference.max() < 1e-12)
        return cls(forward, forward if symmetric else _csr(matrix.T.tocsr(), dtype))

    @property
    def symmetric(self) -> bool:
        """Whether the matrix is its own transpose."""
        return self.rows is self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return tuple(self.rows.shape)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "SparseMatrix":
        """The matrix elsewhere or at another precision."""
        rows = self.rows.to(device=device, dtype=dtype)
        return SparseMatrix(rows, rows if self.symmetric else self.columns.to(device=device, dtype=dtype))


def _csr(matrix: sparse.csr_matrix, dtype: torch.dtype) -> Tensor:
    matrix.sort_indices()
    with warnings.catch_warnings():  # "CSR support is in beta" on its first use in a process
        warnings.simplefilter("ignore", UserWarning)
        parts = (torch.from_numpy(matrix.indptr).int(), torch.from_numpy(matrix.indices).int())
        values = torch.from_numpy(matrix.data).to(dtype)
        return torch.sparse_csr_tensor(*parts, values, matrix.shape, check_invariants=True)


def sparse_product(matrix: SparseMatrix, signal: Tensor) -> Tensor:
    """(n, m) matrix times (m, B, C) → (n, B, C), with gradient for the signal.

    Raises: ValueError when the signal has another number of rows.
    """
    if signal.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"a signal of {signal.shape[0]} rows came for a matrix of {matrix.shape[0]} × {matrix.shape[1]}."
        )
    return _Product.apply(signal, matrix)


def chebyshev_filter(matrix: SparseMatrix, signal: Tensor, weight: Tensor) -> Tensor:
    """Σ_k T_k(M) x W_k with the Chebyshev polynomials T_0 = 1, T_1 = M, T_k = 2 M T_{k−1} − T_{k−2} (Defferrard et al.
    2016).

    Args: matrix (N, N) symmetric, eigenvalues within −1 … 1 (the Laplacian minus 1); signal x (N, B, C); weight W (K,
    C, F).
    Returns: (N, B, F). Only x is kept for the backward pass, which runs the same recursion on the gradient.
    Raises: ValueError for a matrix that is not symmetric, or sizes that do not fit.
    """
    if not matrix.symmetric:
        raise ValueError("Chebyshev filters here need a symmetric matrix.")
    if signal.shape[0] != matrix.shape[0] or signal.shape[2] != weight.shape[1]:
        expected = (matrix.shape[0], "B", weight.shape[1])
        raise ValueError(f"a signal of shape {tuple(signal.shape)} came where {expected} is expected.")
    return _Filter.apply(signal, weight, matrix)


class _Product(torch.autograd.Function):
    """M x; backward Mᵀ g, with the transpose made beforehand (autograd would make it in every step)."""

    @staticmethod
    def forward(ctx, signal: Tensor, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        return (matrix.rows @ signal.flatten(1)).view(-1, *signal.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return (ctx.matrix.columns @ gradient.flatten(1)).view(-1, *gradient.shape[1:]), None


class _Filter(torch.autograd.Function):
    """T_k(M) is symmetric, so ∂/∂x = Σ_k T_k(M) g W_kᵀ and ∂/∂W_k = xᵀ (T_k(M) g) = (T_k(M) x)ᵀ g.

    Every product with M runs on the side that has fewer channels.
    """

    @staticmethod
    def forward(ctx, signal: Tensor, weight: Tensor, matrix: SparseMatrix) -> Tensor:
        signal = signal.contiguous()
        ctx.save_for_backward(signal, weight)
        ctx.matrix = matrix.rows
        return _apply(matrix.rows, signal, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        signal, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        x, g = signal.flatten(0, 1), gradient.flatten(0, 1)
        for_signal, for_weight = ctx.needs_input_grad[:2]
        d_signal = d_weight = None
        if weight.shape[2] > weight.shape[1] or not for_weight:
            if for_signal:
                d_signal = _apply(ctx.matrix, gradient, weight.transpose(1, 2))
            if for_weight:
                d_weight = torch.stack([t.view_as(x).T @ g for t in _terms(ctx.matrix, signal, len(weight))])
            return d_signal, d_weight, None
        d_weight = torch.empty_like(weight)
        if for_signal:
            d_signal = torch.zeros_like(signal)
        for k, term in enumerate(_terms(ctx.matrix, gradient, len(weight))):
            torch.mm(x.T, term.view_as(g), out=d_weight[k])
            if for_signal:
                d_signal.flatten(0, 1).addmm_(term.view_as(g), weight[k].T)
        return d_signal, d_weight, None


def _terms(matrix: Tensor, signal: Tensor, count: int) -> Iterator[Tensor]:
    """T_k(M) x for k < count, each (N, B·C), to be used at once: two buffers take turns, since fresh memory costs more
    time.
    """
    before, term = None, signal.flatten(1)
    yield term
    for k in range(1, count):
        if k == 1:
            following = matrix @ term
        elif k == 2:  # T_0 is the caller's signal, which must stay
            following = torch.addmm(before, matrix, term, beta=-1, alpha=2)
        else:
            following = before.addmm_(matrix, term, beta=-1, alpha=2)
        before, term = term, following
        yield term


def _apply(matrix: Tensor, signal: Tensor, weight: Tensor) -> Tensor:
    """Σ_k T_k(M) x W_k: (N, B, C), (K, C, F) → (N, B, F)."""
    count, channels, filters = weight.shape
    x = signal.flatten(0, 1)
    if count == 1 or channels < filters or channels == filters > THIN:
        out = x.new_zeros(len(x), filters)
        for k, term in enumerate(_terms(matrix, signal, count)):
            out.addmm_(term.view_as(x), weight[k])
        return out.view(*signal.shape[:2], filters)
    mixed = _mixed(x, weight)
    later, last = None, mixed(count - 1, None).view(len(signal), -1)  # Clenshaw's recursion
    for k in range(count - 2, -1, -1):
        offset = mixed(k, later).view(len(signal), -1)
        later, last = last, offset.addmm_(matrix, last, alpha=2 if k else 1)
    return last.view(*signal.shape[:2], filters)


def _mixed(x: Tensor, weight: Tensor) -> Callable[[int, Tensor | None], Tensor]:
    """Function (k, minus) → x W_k − minus, each k once; few filters share one product, as thin ones are slow."""
    count, channels, filters = weight.shape
    if filters > THIN:
        return lambda k, minus: (
            x @ weight[k] if minus is None else torch.addmm(minus.view(len(x), -1), x, weight[k], beta=-1)
        )
    every = (x @ weight.transpose(0, 1).reshape(channels, count * filters)).view(len(x), count, filters)
    every = every.transpose(0, 1).contiguous()
    return lambda k, minus: every[k] if minus is None else every[k].sub_(minus.view(len(x), -1))
