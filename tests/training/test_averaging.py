"""The average of weights forgets the random start and then moves slowly."""

import pytest
import torch

from training.averaging import WithAverage


def line(value: float) -> torch.nn.Linear:
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(net.weight, value)
    return net


def test_short_runs_forget_their_first_weights():
    networks = WithAverage(line(100.0), 0.999)
    networks.update()
    torch.nn.init.constant_(networks.net.weight, 1.0)
    for _ in range(200):
        networks.update()
    assert abs(float(networks.averaged.weight) - 1.0) < 1e-3  # a fixed decay of 0.999 would leave 82


def test_long_runs_have_the_decay_asked_for():
    networks = WithAverage(line(0.0), 0.9)
    for _ in range(200):
        networks.update()
    torch.nn.init.constant_(networks.net.weight, 1.0)
    networks.update()
    assert float(networks.averaged.weight) == pytest.approx(0.1)


def test_statistics_are_averaged_and_counters_copied():
    networks = WithAverage(torch.nn.BatchNorm1d(1), 0.5)
    networks.update()
    networks.net.running_mean.fill_(2.0)
    networks.net.num_batches_tracked.fill_(7)
    networks.update()
    assert 0 < float(networks.averaged.running_mean) <= 2 and int(networks.averaged.num_batches_tracked) == 7


def test_a_snapshot_keeps_how_often_was_averaged():
    networks = WithAverage(line(1.0), 0.9)
    for _ in range(3):
        networks.update()
    other = WithAverage(line(0.0), 0.9)
    other.load_state_dict(networks.state_dict())
    assert int(other.ema.n_averaged) == 3


def test_bad_decay():
    with pytest.raises(ValueError, match="decay"):
        WithAverage(line(0.0), 1.0)
