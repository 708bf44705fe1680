"""The rasteriser: which triangle each pixel sees, and differentiable interpolation of anything that vertices carry.

    ids = rasterize(screen, triangles, (224, 224), perspective=True)           # (B, H, W), −1 = background
    picture = interpolate(screen, triangles, ids, colours, perspective=True)   # (B, H, W, 3), 0 in the background

Visibility is hard and has no gradient; the barycentric coordinates of a visible pixel have one, with respect to the
screen and the attributes (as Genova et al. 2018, and Laine et al. 2020 without antialiasing).
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from geometry.raster import rasteriser_torch
from geometry.raster.rasteriser_torch import FARTHEST_PX

NUMBA = (
    find_spec("numba") is not None
)  # an optional accelerator, imported where it is first used: that takes half a second
COMPILED_TYPES = (torch.float32, torch.float64)
IMPLEMENTATIONS = ("auto", "torch", "numba", "triton")


def _kernels(name: str) -> ModuleType:
    return import_module(f".{name}", __package__)


@torch.no_grad()
def rasterize(
    screen: Tensor,
    triangles: Tensor,
    size: tuple[int, int],
    perspective: bool = False,
    cull_backfaces: bool = False,
    impl: str = "auto",
    allow_empty: bool = False,
) -> Tensor:
    """The nearest triangle at every pixel's centre.

    Args:
        screen: (B, V, 3) x px, y px down, depth (smaller = nearer); several faces may share one mesh (`merge_meshes`).
        triangles: (F, 3) int64, counter-clockwise to the viewer on the picture where the surface faces it.
        size: (H, W) px.
        perspective: depth is a distance > 0 along the axis of a pinhole; triangles with a vertex at depth ≤ 0 are left
            out.
        cull_backfaces: leave out triangles seen from behind.
        impl: "torch" on any device, "numba" on the CPU, "triton" on CUDA, or "auto": numba where it can run, else
            torch. All give the same ids.
        allow_empty: accept a face wholly outside the picture (its ids are all −1) instead of raising.
    Returns: (B, H, W) int64 ids into triangles, −1 in the background. Edges are inclusive; ties go to the lowest id. No
        gradient.
    Raises: ValueError, naming the face in the batch: sizes or indices that do not fit, vertices that are not finite or
        further than 131072 px away, a face whose triangles are all degenerate, that is behind the camera or that covers
        no pixel.
    """
    size = _check_arguments(screen, triangles, size)
    impl = resolve_implementation(impl, screen)
    ids = None
    if impl == "numba":  # checks values on its way, and has no ids for wrong ones
        ids = _kernels("rasteriser_numba").visible_ids(screen, triangles, size, perspective, cull_backfaces)
    if ids is None:
        _check_values(screen, triangles, perspective)
        backend = _kernels("rasteriser_triton") if impl == "triton" else rasteriser_torch
        ids = backend.visible_ids(screen, triangles, size, perspective, cull_backfaces)
    empty = ids.flatten(1).amax(1) < 0
    if empty.any():
        _explain_empty(int(empty.nonzero()[0]), screen, triangles, size, perspective, cull_backfaces, allow_empty)
    return ids


def barycentrics(
    screen: Tensor, triangles: Tensor, ids: Tensor, perspective: bool = False, impl: str = "auto"
) -> Tensor:
    """Barycentric coordinates of every pixel's centre in its triangle, differentiable with respect to the screen.

    Args: screen (B, V, 3), triangles (F, 3), ids (B, H, W), perspective and impl as for `rasterize`.
    Returns: (B, H, W, 3) within 0 … 1, summing to 1 (perspective-correct if perspective); 0 in the background.
    """
    if _compiled(impl, screen, triangles, ids, screen):
        return _kernels("interpolation_numba").interpolate(screen, triangles, ids, None, perspective)
    covered, corners = _covered(triangles, ids, screen.shape[1])
    weights = _weights(screen, corners, covered, ids.shape, perspective)
    return _scatter(weights, covered, ids.shape)


def interpolate(
    screen: Tensor, triangles: Tensor, ids: Tensor, attributes: Tensor, perspective: bool = False, impl: str = "auto"
) -> Tensor:
    """Vertex attributes (colours, normals, uv, depths, …) at every visible pixel, differentiable.

    Args: screen (B, V, 3), triangles (F, 3), ids (B, H, W), perspective and impl as for `rasterize`; attributes (B, V,
        C), or (V, C) for all faces.
    Returns: (B, H, W, C), 0 in the background. Raises: ValueError for attributes of another number of faces or
    vertices.
    """
    if attributes.ndim not in (2, 3) or attributes.shape[:-1] != screen.shape[3 - attributes.ndim : 2]:
        raise ValueError(
            f"attributes have shape {tuple(attributes.shape)}, the screen {tuple(screen.shape)}: give (B, V, C)"
            " or (V, C)."
        )
    if _compiled(impl, screen, triangles, ids, attributes):
        return _kernels("interpolation_numba").interpolate(screen, triangles, ids, attributes, perspective)
    covered, corners = _covered(triangles, ids, screen.shape[1])
    weights = _weights(screen, corners, covered, ids.shape, perspective)
    vertices = corners if attributes.ndim == 3 else corners % screen.shape[1]
    values = (attributes.reshape(-1, attributes.shape[-1])[vertices] * weights[..., None].to(attributes)).sum(1)
    return _scatter(values, covered, ids.shape)


def resolve_implementation(impl: str, screen: Tensor) -> str:
    """What `impl` means for this screen. Raises: ValueError if it is unknown or cannot run."""
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"unknown rasteriser '{impl}'; choose one of {', '.join(IMPLEMENTATIONS)}.")
    if impl in ("auto", "torch"):
        return "numba" if impl == "auto" and NUMBA and screen.device.type == "cpu" else "torch"
    installed = NUMBA if impl == "numba" else find_spec("triton") is not None
    device = "cpu" if impl == "numba" else "cuda"
    if not installed or screen.device.type != device:
        reason = f"the screen is on {screen.device}, not {device}" if installed else f"{impl} is not installed"
        raise ValueError(f"rasteriser '{impl}' cannot run: {reason}; choose 'torch' or 'auto'.")
    return impl


def _compiled(impl: str, screen: Tensor, triangles: Tensor, ids: Tensor, attributes: Tensor) -> bool:
    """Whether numba interpolates. Raises: ValueError for ids of another number of faces."""
    if ids.ndim != 3 or len(ids) != len(screen):
        raise ValueError(
            f"ids have shape {tuple(ids.shape)}, the screen {tuple(screen.shape)}: give (B, H, W) and (B, V, 3)."
        )
    right_type = screen.dtype == attributes.dtype and screen.dtype in COMPILED_TYPES
    wanted = resolve_implementation(impl, screen) == "numba"
    return wanted and right_type and _kernels("interpolation_numba").fits(screen, triangles, ids)


def _covered(triangles: Tensor, ids: Tensor, num_vertices: int) -> tuple[Tensor, Tensor]:
    """(P,) flat positions of the covered pixels in the batch, and (P, 3) their vertices, numbered through the batch."""
    covered = (ids.flatten() >= 0).nonzero()[:, 0]
    face = covered // (ids.shape[1] * ids.shape[2])
    return covered, triangles[ids.flatten()[covered]] + (face * num_vertices)[:, None]


def _weights(screen: Tensor, corners: Tensor, covered: Tensor, shape: torch.Size, perspective: bool) -> Tensor:
    """(P, 3) barycentric coordinates of the covered pixels."""
    _, height, width = shape
    centre = torch.stack([covered % width, covered // width % height], -1).to(screen.dtype) + 0.5
    vertices = screen.reshape(-1, 3)[corners]
    x, y = (vertices[..., :2] - centre[:, None]).unbind(-1)
    (x0, x1, x2), (y0, y1, y2) = x.unbind(-1), y.unbind(-1)
    edges = torch.stack([x1 * y2 - y1 * x2, x2 * y0 - y2 * x0, x0 * y1 - y0 * x1], -1)
    if perspective:
        edges = edges / vertices[..., 2]
    total = edges.sum(-1, keepdim=True)
    weights = torch.where(total == 0, 1 / 3, edges / torch.where(total == 0, 1, total))
    # Visibility rounds vertices to 1/4096 px, so a centre may lie outside by a hair, or by much in a needle of that
    # width.
    weights = weights.clamp(0, 1)
    return weights / weights.sum(-1, keepdim=True)


def _scatter(values: Tensor, covered: Tensor, shape: torch.Size) -> Tensor:
    """(P, C) values at the covered pixels → (B, H, W, C), 0 elsewhere."""
    canvas = values.new_zeros(shape.numel(), values.shape[-1])
    return canvas.index_copy(0, covered, values).view(*shape, values.shape[-1])


def _check_arguments(screen: Tensor, triangles: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """The size as integers. Raises: ValueError for wrong shapes and types."""
    if len(size) != 2 or min(size) < 1 or max(size) > FARTHEST_PX:
        raise ValueError(f"the picture's size (H, W) is {tuple(size)}; both must be between 1 and {FARTHEST_PX} px.")
    if screen.ndim != 3 or screen.shape[2] != 3 or 0 in screen.shape or not screen.is_floating_point():
        raise ValueError(
            f"the screen has shape {tuple(screen.shape)} and type {screen.dtype}, not (B, V, 3) of floats."
        )
    if triangles.ndim != 2 or triangles.shape[1] != 3 or len(triangles) == 0 or triangles.dtype != torch.int64:
        raise ValueError(
            f"triangles have shape {tuple(triangles.shape)} and type {triangles.dtype}, not (F, 3) of int64, F > 0."
        )
    return int(size[0]), int(size[1])


def check_indices(triangles: Tensor, num_vertices: int) -> None:
    """Raise ValueError if triangles (F, 3) name a vertex that is not there."""
    low, high = triangles.aminmax()
    if low < 0 or high >= num_vertices:
        raise ValueError(f"triangles name vertices {int(low)} … {int(high)}, but there are {num_vertices} vertices.")


def _check_values(screen: Tensor, triangles: Tensor, perspective: bool) -> None:
    """Raise ValueError for indices out of range, and vertices before the camera that are not finite or absurdly far
    away.
    """
    check_indices(triangles, screen.shape[1])
    behind = _behind(screen, perspective)
    wrong = ~(screen.isfinite().all(-1) | behind)
    if wrong.any():
        face, vertex = wrong.nonzero()[0].tolist()
        position = ", ".join(f"{value:g}" for value in screen[face, vertex].tolist())
        raise ValueError(f"vertex {vertex} of face {face} in the batch is not finite: ({position}).")
    far = (screen[..., :2].abs().amax(-1) > FARTHEST_PX) & ~behind
    if far.any():
        face, vertex = far.nonzero()[0].tolist()
        x, y, depth = screen[face, vertex].tolist()
        raise ValueError(
            f"vertex {vertex} of face {face} in the batch lies at ({x:g}, {y:g}) px with depth {depth:g}, "
            f"more than {FARTHEST_PX} px away: check scale, focal length and distance of the camera."
        )


def _behind(screen: Tensor, perspective: bool) -> Tensor:
    """(B, V) bool: vertices at or behind a pinhole, whose x and y mean nothing."""
    return screen[..., 2] <= 0 if perspective else torch.zeros_like(screen[..., 2], dtype=torch.bool)


def _explain_empty(
    face: int,
    screen: Tensor,
    triangles: Tensor,
    size: tuple[int, int],
    perspective: bool,
    culled: bool,
    allowed: bool,
) -> None:
    """Raise ValueError that says why a face of the batch covers no pixel, unless it just lies outside and that is
    allowed.
    """
    behind = _behind(screen, perspective)
    if behind[face].all():
        raise ValueError(f"face {face} in the batch lies wholly behind the camera: all its depths are ≤ 0.")
    corners, _ = rasteriser_torch.prepare(screen[face : face + 1], perspective)
    if not rasteriser_torch.doubled_areas(corners, triangles).any():
        raise ValueError(
            f"all {len(triangles)} triangles of face {face} in the batch are degenerate: they have no area."
        )
    if not allowed:
        (left, top), (right, bottom) = (
            f(screen[face, ~behind[face], :2], 0).tolist() for f in (torch.amin, torch.amax)
        )
        raise ValueError(
            f"face {face} in the batch covers no pixel of the picture of {size[1]} × {size[0]} px: it spans "
            f"x {left:.1f} … {right:.1f} and y {top:.1f} … {bottom:.1f} px"
            f"{' and back faces are left out' if culled else ''}; pass allow_empty=True if that is fine."
        )
