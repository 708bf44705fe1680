"""Resuming from a state file of another layout."""

import pytest
import torch

from common.errors import CheckpointError
from tests.training import toy


@pytest.mark.parametrize("state", [{}, {"position": {"era": 3}, "rng": [], "optimizers": {}}])
def test_state_of_another_layout_is_refused_and_kept(tmp_path, state):
    toy.run(tmp_path, epochs=1)
    snapshot = tmp_path / "session/00001"
    torch.save(state, snapshot / "state.pt")
    before = (snapshot / "model.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="state.pt"):
        toy.run(tmp_path, resume=snapshot)
    assert (snapshot / "model.safetensors").read_bytes() == before


def test_fewer_samples_than_the_batch_size_train(tmp_path):
    assert toy.run(tmp_path, epochs=2, batch_size=40).optimizers["all"].state
