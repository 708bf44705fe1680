"""A training step of every method: on this machine without a look at the device, and on a GPU where there is one."""

import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from geometry.raster.rasteriser import rasterize
from tests.geometry.raster.raster_meshes import random_mesh
from tests.gpu.methods import BF16, METHODS, build
from training.loop import EpochPosition, LoopOptions, prepare_networks

# operations whose result the host must wait for, because a number or a shape depends on it
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal"}
LOOKS = {  # methods whose step looks at the device, and why that stays
    "reconstructor": "the rasteriser refuses faces that are not finite or out of the picture before it draws them",
    "texture": "the same",
}


class Waits(TorchDispatchMode):
    """Counts what the host would have to wait for on a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = function.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
        )
        if (name in WAITING or masked) and not _counts_steps(sys._getframe(1)):
            self.found.append(name)
        return function(*arguments, **(options or {}))


def _counts_steps(frame):
    """Whether an optimiser reads its number of steps, which lies in the host's memory on a GPU too."""
    while frame is not None:
        if frame.f_code.co_name == "_get_value":
            return True
        frame = frame.f_back
    return False


def step(method, batch, number):
    return method.training_step(batch, number, EpochPosition(0, number, 100))


@pytest.mark.parametrize("name", [name for name in METHODS if name not in LOOKS])
def test_a_step_waits_for_nothing(name):
    """The first step may: it fills caches and optimisers. In step 4 every part of a method has its turn."""
    method, batch = build(name)
    step(method, batch, 0)
    with Waits() as waits:
        terms = step(method, batch, 4)
    assert not waits.found, f"{name} waits: {sorted(set(waits.found))}"
    assert all(torch.isfinite(term).all() for term in terms.values())


@pytest.mark.cuda
@pytest.mark.parametrize("name", METHODS)
def test_gpu_step(name):
    method, batch = build(name, "cuda")
    before = {key: value.clone() for key, value in method.networks.named_parameters()}
    for number in range(3):
        terms = step(method, batch, number)
    assert all(torch.isfinite(term).all() for term in terms.values())
    assert any(not torch.equal(value, before[key]) for key, value in method.networks.named_parameters())


@pytest.mark.cuda
@pytest.mark.parametrize("name", [name for name in METHODS if name not in LOOKS])
def test_gpu_step_without_synchronisation(name):
    method, batch = build(name, "cuda")
    for number in range(3):
        step(method, batch, number)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in (4, 5):
            step(method, batch, number)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@pytest.mark.parametrize("name", BF16)
def test_gpu_bf16_is_near_float32(name):
    terms = {}
    for precision in ("no", "bf16"):
        method, batch = build(name, "cuda", precision)
        terms[precision] = float(step(method, batch, 0)["loss"])
    assert terms["bf16"] == pytest.approx(terms["no"], rel=0.1, abs=0.05)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["autoencoder", "heatmaps", "landmark_net", "regressor", "reconstructor", "refiner"])
def test_gpu_compiled_is_near_eager(name, tmp_path):
    losses = []
    for compiled in (False, True):
        method, batch = build(name, "cuda")
        options = LoopOptions(tmp_path, tmp_path, tmp_path, 1, 4, compile=compiled)
        prepare_networks(method, options, method.accelerator)
        losses.append(float(step(method, batch, 0)["loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


@pytest.mark.cuda
@pytest.mark.parametrize("name", METHODS)
def test_gpu_loss_is_that_of_the_cpu(name):
    losses = [float(step(*build(name, device), 0)["loss"]) for device in ("cpu", "cuda")]
    # weights and crops are the same; noise, occluders and pairs are drawn on each device for itself
    assert losses[1] == pytest.approx(losses[0], rel=0.5, abs=0.1)


@pytest.mark.cuda
@pytest.mark.parametrize("impl", ["torch", "triton"])
def test_gpu_pixels_of_a_face_are_those_of_the_cpu(impl):
    screen, triangles = random_mesh(1, batch=2, vertices=4000, triangles=9000, size=224)
    expected = rasterize(screen, triangles, (224, 224))
    found = rasterize(screen.to("cuda"), triangles.to("cuda"), (224, 224), impl=impl)
    assert torch.equal(found.cpu(), expected)
