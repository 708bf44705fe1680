"""The stages' phases before the loop."""

import dataclasses

import pytest
import torch

import landmarks.training as training
from common.config import LocalConfig
from landmarks.settings import UnsupervisedSettings


@pytest.fixture
def local(drawn, tmp_path):
    paths = {"w300": drawn("w300")[0], "data": tmp_path / "data", "outputs": tmp_path / "out"}
    return LocalConfig(None, paths, {})


def settings_of(kind, **changes):
    return dataclasses.replace(kind(), **({"input_size": 128, "device": "cpu", "crop_source": "lm_ground_truth"} | changes))


def test_a_new_discriminator_is_the_same_on_all_processes(local, monkeypatch):
    """What `synchronise` sends to all processes is what is trained."""
    sent, trained = [], []
    monkeypatch.setattr(training, "synchronise", lambda networks, _: sent.append(networks.D.main[0].weight.clone()))
    monkeypatch.setattr(training, "run_loop", lambda _, method, *__: trained.append(method.networks.D.main[0].weight))
    settings = settings_of(UnsupervisedSettings, dataset_train=["w300"], dataset_val=["w300"], with_gan=True)
    for reset in (False, True):
        training.train_autoencoder(dataclasses.replace(settings, reset=reset), local)
    assert torch.equal(sent[0], trained[0]) and torch.equal(sent[1], trained[1])
    assert not torch.equal(sent[0], sent[1]), "it is another discriminator"
