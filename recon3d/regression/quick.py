"""Faster ways to the same numbers on the CPU: a frozen network, and dense vertices from a basis of 16-bit integers.

One face's dense decoding reads the whole basis once, so its time is that of the memory: half the bytes, half the time.
"""

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from recon3d.regression.decode import FaceDecoder
from recon3d.regression.models import normalise

BLOCK = 1024  # vertices whose three coordinates stay in the first cache while all modes are added
LEVELS = 32767
MOST_FACES = 8  # from which one matrix product for all faces is faster


class _WithHead(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        pixels = normalise(crops)
        return (self.network(pixels),) if self.network.fc_lm is None else self.network.with_landmarks(pixels)


def frozen(network: nn.Module, size: int) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The network with batch norms folded into its convolutions and without Python between its layers.

    Args: network in evaluation mode, on the CPU; size S. Returns: uint8 crops (B, 3, S, S) → whitened parameters and,
    where the network has that head, its landmarks.
    """
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # deprecated in favour of compilers that need a C++ toolchain on the user's machine
        return torch.jit.freeze(torch.jit.trace(_WithHead(network).eval(), example, check_trace=False))


class QuickShapes:
    """mean + basis · coefficients, posed, for few faces at a time; each mode is off by at most half its range over
    32767.
    """

    def __init__(self, decoder: FaceDecoder) -> None:
        modes = decoder.basis.cpu().unflatten(1, (-1, 3)).permute(0, 2, 1)  # (K, 3, V)
        self.step = (modes.abs().amax((1, 2)) / LEVELS).clamp_min(1e-30)
        whole = (modes / self.step[:, None, None]).round().to(torch.int16)
        self.count = modes.shape[2]
        blocks = -(-self.count // BLOCK)
        pad = (0, blocks * BLOCK - self.count)
        whole = torch.nn.functional.pad(whole, pad).unflatten(2, (blocks, BLOCK))
        mean = torch.nn.functional.pad(decoder.mean.cpu().view(-1, 3).T, pad).unflatten(1, (blocks, BLOCK))
        self._modes = whole.permute(2, 1, 0, 3).contiguous().numpy()  # (blocks, 3, K, BLOCK): read in this order
        self._mean = mean.transpose(0, 1).contiguous().numpy()

    def __call__(self, coefficients: Tensor, affine: Tensor) -> Tensor:
        """(B, K), (B, 3, 4) maps of the shape's dm → (B, V, 3), a view of (B, 3, V)."""
        out = torch.empty(len(affine), 3, self.count)
        scaled = (coefficients * self.step).numpy()
        for one, matrix, place in zip(scaled, affine.contiguous().numpy(), out.numpy(), strict=True):
            _compiled()(self._modes, self._mean, one, matrix, place)
        return out.transpose(1, 2)


def available() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def _posed(modes, mean, coefficients, affine, out):  # pragma: no cover  (compiled)
    count, number = out.shape[1], len(coefficients)
    shape = np.empty((3, BLOCK), np.float32)
    for block in range(len(modes)):
        for axis in range(3):
            row = shape[axis]
            for i in range(BLOCK):
                row[i] = mean[block, axis, i]
            k = 0
            while k + 5 <= number:  # five modes at a time: the sum is stored once
                a, b, c = coefficients[k], coefficients[k + 1], coefficients[k + 2]
                d, e = coefficients[k + 3], coefficients[k + 4]
                m = modes[block, axis, k : k + 5]
                for i in range(BLOCK):
                    row[i] += (
                        a * np.float32(m[0, i])
                        + b * np.float32(m[1, i])
                        + c * np.float32(m[2, i])
                        + d * np.float32(m[3, i])
                        + e * np.float32(m[4, i])
                    )
                k += 5
            while k < number:
                a = coefficients[k]
                for i in range(BLOCK):
                    row[i] += a * np.float32(modes[block, axis, k, i])
                k += 1
        first = block * BLOCK
        for axis in range(3):
            row, x, y, z, t = out[axis], affine[axis, 0], affine[axis, 1], affine[axis, 2], affine[axis, 3]
            for i in range(min(BLOCK, count - first)):
                row[first + i] = x * shape[0, i] + y * shape[1, i] + z * shape[2, i] + t


@cache
def _compiled() -> Callable[..., None]:
    import numba  # takes half a second, so only where it is used

    return numba.njit(fastmath=True, nogil=True, cache=True)(_posed)
