"""The rasteriser: exact coverage, no cracks, ties, gradients, equal implementations, refusals."""

import os
import subprocess
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from raster_meshes import grid_mesh, random_mesh, sphere
from scipy.io import loadmat

from geometry.cameras import pinhole
from geometry.raster import rasteriser, rasteriser_torch
from geometry.raster.rasteriser import barycentrics, interpolate, rasterize

IMPLEMENTATIONS = [
    "torch",
    pytest.param("numba", marks=pytest.mark.skipif(not rasteriser.NUMBA, reason="no numba")),
]


def exact_ids(screen: torch.Tensor, triangles: torch.Tensor, size: tuple[int, int], perspective: bool) -> torch.Tensor:
    """Rational arithmetic, pixel by pixel, on the vertices as they are after rounding to 1/4096 px."""
    ids = torch.full((len(screen), *size), -1)
    for face, points in enumerate(screen.tolist()):
        points = [(Fraction(round(x * 4096), 4096), Fraction(round(y * 4096), 4096), Fraction(z)) for x, y, z in points]
        for row in range(size[0]):
            for column in range(size[1]):
                px, py, best = Fraction(2 * column + 1, 2), Fraction(2 * row + 1, 2), None
                for index, corners in enumerate(triangles.tolist()):
                    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (points[corner] for corner in corners)
                    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
                    if area == 0:
                        continue
                    a = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                    b = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                    c = 1 - a - b
                    if min(a, b, c) >= 0:
                        depth = 1 / (a / az + b / bz + c / cz) if perspective else a * az + b * bz + c * cz
                        if best is None or depth < best:
                            best, ids[face, row, column] = depth, index
    return ids


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("perspective", [False, True])
def test_visibility_is_exact(impl, perspective):
    screen, triangles = random_mesh(0, batch=2, vertices=20, triangles=25, size=16)
    ids = rasterize(screen, triangles, (16, 17), perspective, impl=impl)
    assert torch.equal(ids, exact_ids(screen, triangles, (16, 17), perspective))
    assert (ids >= 0).any() and len(ids.unique()) > 10


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_coverage_of_a_triangle_is_its_area(impl):
    screen = torch.tensor([[[10.3, 20.1, 1.0], [390.7, 55.2, 1.0], [120.9, 380.4, 1.0]]])
    covered = (rasterize(screen, torch.tensor([[0, 1, 2]]), (400, 400), impl=impl) >= 0).sum()
    area = 0.5 * abs((380.4) * (360.3) - (35.1) * (110.6))
    assert abs(covered - area) < 40  # the error of counting centres grows with the 1100 px of outline, at random
    small = torch.tensor([[[2.5, 2.5, 1.0], [6.5, 2.5, 1.0], [2.5, 6.5, 1.0]]])
    assert (
        rasterize(small, torch.tensor([[0, 1, 2]]), (9, 9), impl=impl) >= 0
    ).sum() == 15  # edges through centres count


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_coverage_of_a_dense_mesh_is_that_of_its_outline(impl):
    screen, triangles = sphere(count=120)  # triangles below a pixel, and edge-on ones along the outline
    covered = (rasterize(screen, triangles, (80, 80), impl=impl) >= 0)[0]
    y, x = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    radius = ((x - 40) ** 2 + (y - 40) ** 2).sqrt()
    assert covered[radius < 29.95].all() and not covered[radius > 30].any()
    fine = rasterize(screen * torch.tensor([4.0, 4.0, 1.0]), triangles, (320, 320), impl=impl) >= 0
    assert abs(covered.float().mean() - fine.float().mean()) < 0.002


def test_coverage_of_the_mean_face_of_bfm_front(shared_data):
    """The mean face of BFM 2009 before Deep3D's camera covers .4226 of the picture, its inner part .3162."""
    path = next(shared_data.rglob("BFM_model_front.mat"), None)
    if path is None:
        pytest.skip("BFM_model_front.mat may not be passed on and is not on this machine")
    model = loadmat(path)
    mean = torch.from_numpy(model["meanshape"].reshape(1, -1, 3)).float()
    screen = pinhole(mean - mean.mean(1, keepdim=True), 1015.0, (112.0, 112.0), 10.0)
    triangles = torch.from_numpy(model["tri"].astype("int64")) - 1
    inner = torch.from_numpy(model["frontmask2_idx"].astype("int64"))[:, 0] - 1
    inner_triangles = inner[torch.from_numpy(model["tri_mask2"].astype("int64")) - 1]
    for mesh, expected in ((triangles, 0.4226), (inner_triangles, 0.3162)):
        covered = rasterize(screen, mesh, (224, 224), True) >= 0
        assert abs(covered.float().mean() - expected) < 2e-3


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("count", [2, 9, 150])
def test_shared_edges_leave_no_crack(impl, count):
    screen, triangles = grid_mesh(count, 64.0)
    ids = rasterize(screen, triangles, (64, 64), impl=impl)
    assert (ids >= 0).all()
    if count == 2:  # the diagonal runs through pixel centres: at the same depth each goes to the lower id
        flat = screen.clone()
        flat[..., 2] = 0.7
        ids = rasterize(flat, triangles, (64, 64), impl=impl)[0]
        assert (ids.flip(1).diagonal() == 0).all() and (ids >= 0).all() and 0 < ids.float().mean() < 1


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_exact_ties_go_to_the_lowest_id(impl):
    screen, triangles = random_mesh(1)
    twice = torch.cat([triangles, triangles, triangles[:, [1, 2, 0]]])
    assert torch.equal(rasterize(screen, twice, (40, 40), impl=impl), rasterize(screen, triangles, (40, 40), impl=impl))


@pytest.mark.skipif(not rasteriser.NUMBA, reason="no numba")
@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numba_and_torch_agree_on_every_pixel(perspective, cull, dtype, monkeypatch):
    monkeypatch.setattr(rasteriser_torch, "FRAGMENT_BUDGET", 20_000)  # many chunks
    for seed in range(3):
        screen, triangles = random_mesh(seed, batch=2, vertices=80, triangles=120, size=50)
        screen = screen.to(dtype)
        screen[0, :, :2] = screen[0, :, :2].round() + 0.5 * (seed % 2)  # vertices and edges on pixel centres
        screen[1, :, 2] = screen[1, :, 2].round()  # equal depths, negative ones
        if not perspective:
            screen[..., 2] -= 3
        else:
            screen[..., 2] -= 1.2  # some behind the camera
        results = [rasterize(screen, triangles, (50, 37), perspective, cull, impl=impl) for impl in ("torch", "numba")]
        assert torch.equal(*results)


INTERPRETED = """
import sys, torch
sys.path[:0] = sys.argv[1:]
from raster_meshes import random_mesh
from geometry.raster import rasteriser_torch, rasteriser_triton
for perspective, cull in ((False, True), (True, False)):
    screen, triangles = random_mesh(0, batch=2, vertices=20, triangles=25, size=16)
    screen[0, :, :2] = screen[0, :, :2].round() + 0.5
    screen[..., 2] -= 1.2
    modules = (rasteriser_torch, rasteriser_triton)
    both = [m.visible_ids(screen, triangles, (16, 19), perspective, cull) for m in modules]
    assert torch.equal(*both) and (both[0] >= 0).any()
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="no triton")
def test_triton_in_its_interpreter_agrees_with_torch():
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", INTERPRETED, str(here), str(here.parents[1])]
    done = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.cuda
@pytest.mark.parametrize("impl", ["torch", "triton"])
@pytest.mark.parametrize("perspective", [False, True])
def test_a_gpu_gives_the_same_ids(impl, perspective):
    screen, triangles = random_mesh(0, batch=3, vertices=200, triangles=500, size=100)
    expected = rasterize(screen, triangles, (100, 90), perspective)
    assert torch.equal(
        rasterize(screen.to("cuda"), triangles.to("cuda"), (100, 90), perspective, impl=impl).cpu(), expected
    )


@pytest.mark.skipif(not rasteriser.NUMBA, reason="no numba")
def test_threads_do_not_change_the_ids():
    before = torch.get_num_threads()
    screen, triangles = random_mesh(3, batch=1, triangles=400)
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(rasterize(screen, triangles, (41, 40), impl="numba"))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.skipif(not rasteriser.NUMBA or not hasattr(os, "fork"), reason="no numba, or no fork")
def test_a_forked_process_rasterises_too():
    """As the workers of a DataLoader do, whose parent has used its threads before."""
    before = torch.get_num_threads()
    screen, triangles = random_mesh(3, batch=2)
    try:
        torch.set_num_threads(2)
        expected = rasterize(screen, triangles, (40, 40), impl="numba")
        child = os.fork()
        if child == 0:
            same = torch.equal(rasterize(screen, triangles, (40, 40), impl="numba"), expected)
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_backfaces_can_be_left_out(impl):
    front = torch.tensor(
        [[[0.0, 0.0, 2.0], [0.0, 8.0, 2.0], [8.0, 0.0, 2.0], [0.0, 0.0, 1.0], [8.0, 0.0, 1.0], [0.0, 8.0, 1.0]]]
    )
    triangles = torch.tensor(
        [[0, 1, 2], [3, 4, 5]]
    )  # counter-clockwise to the viewer, and a nearer one that shows its back
    assert (rasterize(front, triangles, (8, 8), impl=impl)[0, 0, 0]) == 1
    assert (rasterize(front, triangles, (8, 8), cull_backfaces=True, impl=impl)[0, 0, 0]) == 0


def test_the_front_of_a_model_triangle_survives_culling():
    # counter-clockwise seen from outside (z toward the viewer) in model space stays in front through the camera's flip
    # of y
    vertices = torch.tensor([[[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.0, 0.5, 0.0]]])
    screen = pinhole(vertices, 100.0, (16.0, 16.0), 10.0)
    assert (rasterize(screen, torch.tensor([[0, 1, 2]]), (32, 32), True, cull_backfaces=True) == 0).any()


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("perspective", [False, True])
def test_barycentrics_reproduce_the_pixel_centre_and_the_depth(perspective, impl):
    screen, triangles = random_mesh(2)
    ids = rasterize(screen, triangles, (40, 40), perspective)
    weights = barycentrics(screen.double(), triangles, ids, perspective, impl)
    covered = ids >= 0
    torch.testing.assert_close(weights.sum(-1), covered.double())
    position = interpolate(screen.double(), triangles, ids, screen.double(), perspective, impl)
    if perspective:  # x/z and y/z are what projects: position · depth is linear on the surface
        lifted = torch.cat([screen[..., :2] * screen[..., 2:], screen[..., 2:]], -1).double()
        lifted = interpolate(screen.double(), triangles, ids, lifted, True, impl)
        position = lifted[..., :2] / lifted[..., 2:]
    y, x = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    centre = torch.stack([x, y], -1).double().expand(3, 40, 40, 2)
    torch.testing.assert_close(position[..., :2][covered], centre[covered], atol=2e-3, rtol=0)
    assert (interpolate(screen, triangles, ids, torch.ones(60, 2), perspective, impl)[~covered] == 0).all()


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("perspective", [False, True])
def test_gradcheck_with_respect_to_screen_and_attributes(perspective, impl):
    screen, triangles = random_mesh(4, batch=2, vertices=12, triangles=9, size=7)
    ids = rasterize(screen, triangles, (7, 7), perspective, impl="torch")
    screen = screen.double().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    each = torch.rand(2, 12, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    shared = torch.rand(12, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, a: interpolate(s, triangles, ids, a, perspective, impl), (screen, each))
    assert torch.autograd.gradcheck(lambda s, a: interpolate(s, triangles, ids, a, perspective, impl), (screen, shared))
    assert torch.autograd.gradcheck(lambda s: barycentrics(s, triangles, ids, perspective, impl), screen)


@pytest.mark.skipif(not rasteriser.NUMBA, reason="no numba")
@pytest.mark.parametrize("perspective", [False, True])
def test_numba_and_torch_interpolate_alike(perspective):
    """Needles too, whose coordinates are clamped, and triangles whose area is lost in rounding."""
    screen, triangles = random_mesh(7, batch=2, vertices=40, triangles=80)
    screen = screen.double()
    screen[:, 1] = screen[:, 0] + torch.tensor([1e-5, 2e-5, 0.3])
    triangles = torch.cat([triangles, torch.stack([torch.zeros(40), torch.ones(40), torch.arange(40.0)], 1).long()])
    ids = torch.randint(
        -1, len(triangles), (2, 30, 30), generator=torch.Generator().manual_seed(0)
    )  # outside their triangles too
    screen.requires_grad_()
    values = torch.rand(40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    weights = torch.rand(2, 30, 30, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    results = []
    for impl in ("torch", "numba"):
        picture = interpolate(screen, triangles, ids, values, perspective, impl)
        results.append((picture, *torch.autograd.grad((picture * weights).sum(), (screen, values))))
    for slow, fast in zip(*results):
        torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-8)


def test_gradient_of_a_photometric_loss_is_that_of_finite_differences():
    screen, triangles = grid_mesh(12, 30.0)
    screen = screen.double() + torch.tensor([5.0, 5.0, 1.0])
    colours = torch.rand(1, 144, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    target = torch.stack([torch.sin(x / 5), torch.cos(y / 6), torch.sin((x + y) / 9)], -1)[None].double()
    interior = torch.zeros(1, 40, 40, 1, dtype=torch.float64)
    interior[:, 9:31, 9:31] = 1

    def loss(shift: torch.Tensor) -> torch.Tensor:
        moved = screen + torch.cat([shift, torch.zeros(1, dtype=torch.float64)])
        ids = rasterize(moved, triangles, (40, 40))
        return ((interpolate(moved, triangles, ids, colours) - target).square() * interior).sum()

    shift = torch.tensor([0.013, -0.021], dtype=torch.float64, requires_grad=True)
    (analytic,) = torch.autograd.grad(loss(shift), shift)
    for axis in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[axis] = 1e-4  # colours are continuous across edges, so changes of visibility inside do not matter
        numeric = (loss(shift.detach() + step) - loss(shift.detach() - step)) / 2e-4
        torch.testing.assert_close(numeric, analytic[axis], rtol=1e-2, atol=0)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_degenerate_triangles_are_skipped(impl):
    screen, triangles = random_mesh(5)
    needles = torch.tensor([[0, 0, 1], [3, 3, 3]])
    ids = rasterize(screen, torch.cat([needles, triangles]), (40, 40), impl=impl)
    plain = rasterize(screen, triangles, (40, 40), impl=impl)
    assert torch.equal(ids, torch.where(plain >= 0, plain + 2, plain))
    with pytest.raises(ValueError, match="all 2 triangles of face 0 in the batch are degenerate"):
        rasterize(screen, needles, (40, 40), impl=impl, allow_empty=True)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_bad_values_are_refused_by_name(impl):
    screen, triangles = random_mesh(6, batch=2)
    spoilt = screen.clone()
    spoilt[1, 7, 1] = torch.nan
    with pytest.raises(ValueError, match="vertex 7 of face 1 in the batch is not finite"):
        rasterize(spoilt, triangles, (40, 40), impl=impl)
    with pytest.raises(ValueError, match="vertex 7 of face 1 in the batch is not finite"):
        rasterize(spoilt.nan_to_num(torch.inf), triangles, (40, 40), True, impl=impl)
    spoilt[1, 7, 1] = 2e6
    with pytest.raises(ValueError, match="more than 131072 px away"):
        rasterize(spoilt, triangles, (40, 40), impl=impl)
    behind = screen.clone()
    behind[1, :, 2] = -1
    with pytest.raises(ValueError, match="face 1 in the batch lies wholly behind the camera"):
        rasterize(behind, triangles, (40, 40), True, impl=impl, allow_empty=True)
    outside = screen + torch.tensor([[[0.0, 0.0, 0.0]], [[500.0, 0.0, 0.0]]])
    with pytest.raises(
        ValueError, match="face 1 in the batch covers no pixel of the picture of 40 × 40 px: it spans x 4"
    ):
        rasterize(outside, triangles, (40, 40), impl=impl)
    ids = rasterize(outside, triangles, (40, 40), impl=impl, allow_empty=True)
    assert (ids[1] == -1).all() and (ids[0] >= 0).any()
    with pytest.raises(ValueError, match="triangles name vertices 0 … 60, but there are 60 vertices"):
        rasterize(screen, torch.tensor([[0, 1, 60]]), (40, 40), impl=impl)


def test_bad_arguments_are_refused_by_name(monkeypatch):
    screen, triangles = random_mesh(6)
    with pytest.raises(ValueError, match=r"size \(H, W\) is \(0, 40\)"):
        rasterize(screen, triangles, (0, 40))
    with pytest.raises(ValueError, match=r"not \(B, V, 3\) of floats"):
        rasterize(screen[0], triangles, (40, 40))
    with pytest.raises(ValueError, match=r"not \(F, 3\) of int64, F > 0"):
        rasterize(screen, triangles[:0], (40, 40))
    with pytest.raises(ValueError, match="unknown rasteriser 'opengl'; choose one of auto, torch"):
        rasterize(screen, triangles, (40, 40), impl="opengl")
    with pytest.raises(ValueError, match=r"give \(B, V, C\) or \(V, C\)"):
        interpolate(screen, triangles, rasterize(screen, triangles, (40, 40)), torch.ones(59, 3))
    with pytest.raises(ValueError, match="rasteriser 'triton' cannot run: "):
        rasterize(screen, triangles, (40, 40), impl="triton")
    ids = rasterize(screen, triangles, (40, 40))
    with pytest.raises(ValueError, match=r"give \(B, H, W\) and \(B, V, 3\)"):
        interpolate(screen, triangles, ids[:1], torch.ones(60, 3))
    with pytest.raises(IndexError):
        interpolate(screen, triangles[:9], ids, torch.ones(60, 3))
    monkeypatch.setattr(rasteriser, "NUMBA", False)
    with pytest.raises(ValueError, match="numba is not installed"):
        rasterize(screen, triangles, (40, 40), impl="numba")
    assert (rasterize(screen, triangles, (40, 40)) >= 0).any()
