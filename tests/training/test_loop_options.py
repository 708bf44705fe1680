"""Accumulation, recomputation and compilation give what the plain loop gives; sharded sets go through it."""

import copy
import functools

import pytest
import torch
from torch import nn

from common.checkpoint import read_tensors
from common.errors import ConfigError
from networks.blocks import DownBlock
from tests.training import toy
from training.batch_norm import SynchronisedBatchNorm2d, synchronise_batch_norm
from training.loop import train
from training.recompute import recompute_blocks


def weights(folder):
    return read_tensors(folder / "session/00004/model.safetensors")


def assert_close(one, other):
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-5)


def test_accumulated_pieces_equal_the_whole_batch(tmp_path):
    toy.run(tmp_path / "whole", toy={"noise": False})
    method = toy.run(tmp_path / "pieces", toy={"noise": False}, accumulate=2)
    assert_close(weights(tmp_path / "whole"), weights(tmp_path / "pieces"))
    assert method.accelerator.sync_gradients and method.accelerator.gradient_accumulation_steps == 1
    state = method.optimizers["all"].state[method.networks.weight]
    assert int(state["step"]) == 12, "a step of the optimiser for each whole batch"


def test_accumulation_resumes_and_refuses_what_does_not_divide(tmp_path):
    toy.run(tmp_path / "straight", accumulate=2)
    toy.run(tmp_path / "parts", accumulate=2, epochs=2)
    toy.run(tmp_path / "parts", accumulate=2, resume=tmp_path / "parts/session/00002")
    for name, value in weights(tmp_path / "straight").items():
        assert torch.equal(value, weights(tmp_path / "parts")[name])
    with pytest.raises(ConfigError, match="--accumulate 3: does not divide the 4 samples"):
        toy.run(tmp_path / "other", accumulate=3)


def test_recomputed_blocks_have_the_same_gradients_and_statistics():
    plain = nn.Sequential(
        nn.Sequential(DownBlock(3, 8, 2, "relu"), nn.Dropout(0.3), DownBlock(8, 8, 1, "relu")), nn.Flatten()
    )
    again = copy.deepcopy(plain)
    assert recompute_blocks(again) == 1, "the outermost element with two weight layers"
    assert list(again.state_dict()) == list(plain.state_dict())
    inputs = torch.randn(4, 3, 16, 16)
    for network in (plain, again):
        torch.manual_seed(3)
        network(inputs).square().mean().backward()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=name)
    plain.eval(), again.eval()
    torch.testing.assert_close(plain(inputs), again(inputs))


def test_recomputation_keeps_fewer_activations():
    def kept(network):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):
            network(torch.randn(2, 8, 16, 16))
        return sum(sizes)

    plain = nn.Sequential(*(DownBlock(8, 8, 1, "relu") for _ in range(4)))
    again = copy.deepcopy(plain)
    recompute_blocks(again)
    assert kept(again) < kept(plain) / 3


def test_compiled_networks_train_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend="eager"))
    toy.run(tmp_path / "plain")
    method = toy.run(tmp_path / "compiled", compile=True)
    assert method.networks._compiled_call_impl is not None
    assert_close(weights(tmp_path / "plain"), weights(tmp_path / "compiled"))


def test_synchronised_batch_norm_keeps_names_and_its_evaluation():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    before, inputs = network(torch.ones(1, 3, 2, 2)), list(network.state_dict())
    assert synchronise_batch_norm(network) == 1 and isinstance(network[1], SynchronisedBatchNorm2d)
    assert torch.equal(network(torch.ones(1, 3, 2, 2)), before) and list(network.state_dict()) == inputs
    assert synchronise_batch_norm(network) == 0, "it is one already"


class Files(toy.Numbers):
    """The same rows in three files."""

    shard_lengths, buffer = [5, 4, 3], 6


def test_a_sharded_set_trains_and_resumes_to_the_bit(tmp_path):
    accelerator = toy.make_accelerator("cpu")

    def run(folder, epochs, resume=None):
        toy.seed_everything(5)
        method = toy.Toy(accelerator)
        if resume is not None:
            method.networks.load_state_dict(read_tensors(resume / "model.safetensors"))
        seen = []
        collate = functools.partial(lambda items: (seen.append([i for i, _ in items]), toy.collate(items))[1])
        train(method, Files(), collate, str, toy.options(folder, epochs=epochs), accelerator, resume)
        return seen

    straight = run(tmp_path / "a", 4)
    parts = run(tmp_path / "b", 2) + run(tmp_path / "b", 4, tmp_path / "b/session/00002")
    assert straight == parts and sorted(sum(straight[:3], [])) == list(range(12))
    for name, value in weights(tmp_path / "a").items():
        assert torch.equal(value, weights(tmp_path / "b")[name])
