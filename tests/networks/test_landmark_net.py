"""The direct landmark network: read-outs, their joint estimate, sizes that it refuses."""

import math

import pytest
import torch

from networks.aae import count_parameters
from networks.landmark_net import LandmarkNet, LandmarkNetConfig, Located, join


def test_sizes():
    net = LandmarkNet(LandmarkNetConfig(68, 128, 48))
    assert count_parameters(net) == 6_972_004
    readouts = LandmarkNet(LandmarkNetConfig(5, 64, 16, 1)).eval()(torch.zeros(2, 3, 64, 64))
    for located in readouts:
        assert located.points.shape == (2, 5, 2) and located.log_scales.shape == (2, 5)


@pytest.mark.parametrize(("size", "width"), [(100, 16), (128, 20), (128, 0)])
def test_sizes_that_it_cannot_have(size, width):
    with pytest.raises(ValueError, match="not a multiple"):
        LandmarkNet(LandmarkNetConfig(5, size, width))


def test_join_is_the_mean_weighted_by_precision():
    first = Located(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[math.log(1.0)]]))
    second = Located(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[math.log(0.5)]]))
    joint = join(first, second)
    torch.testing.assert_close(joint.points, torch.tensor([[[0.8, 1.6]]]))  # weights 1 and 4
    torch.testing.assert_close(joint.log_scales.exp(), torch.tensor([[5**-0.5]]))


def test_soft_argmax_reads_the_centre_of_a_cell():
    """A map that is certain of one cell gives that cell's centre, in half crop sides."""
    net = LandmarkNet(LandmarkNetConfig(1, 64, 16, 1)).eval()
    logits = torch.full((1, 2, 16, 16), -1e4)
    logits[:, 0, 3, 10] = 0.0
    net.maps = torch.nn.Sequential()  # the merged features stand for the maps
    net.lateral = torch.nn.ModuleList([torch.nn.Identity()])
    fine = net._fine([logits])
    torch.testing.assert_close(fine.points, torch.tensor([[[(10.5 / 16) * 2 - 1, (3.5 / 16) * 2 - 1]]]))
