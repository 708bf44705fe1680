"""The fast paths give the numbers of the plain ones."""

import numpy as np
import pytest
import torch

from datasets.crop import Crop, square_crop
from networks.regressors import ARCHITECTURES, RegressorConfig, build_regressor
from recon3d.regression import quick
from recon3d.regression.decode import CONVENTIONS, FaceDecoder, crop_scales, to_photo
from recon3d.regression.models import normalise
from recon3d.regression.params import Layout
from tests.recon3d.regression.small_models import random_parameters, small_model


@pytest.mark.parametrize("arch", [*ARCHITECTURES, "replay"])
@pytest.mark.parametrize("landmarks", [0, 68])
def test_frozen_network_is_the_network(arch, landmarks):
    torch.manual_seed(0)
    replay = (4, 10) if arch == "replay" else ()
    width = 0.5 if arch == "landmark_trunk" else 0.25
    config = RegressorConfig("mobilenet" if replay else arch, width, 64, landmarks=landmarks, replay=replay)
    network = build_regressor(config).eval()
    fast = quick.frozen(network, 64)
    for count in (1, 3):
        crops = torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8)
        with torch.inference_mode():
            expected = network.with_landmarks(normalise(crops)) if landmarks else (network(normalise(crops)),)
            found = fast(crops)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape and (one - other).abs().max() < 1e-4 * max(1.0, float(other.abs().max()))


@pytest.mark.parametrize("vertices", [90, 1024, 2100])
@pytest.mark.parametrize("modes", [(40, 10), (6, 3)])
def test_quick_shapes_are_the_decoded_ones(vertices, modes):
    if not quick.available():
        pytest.skip("numba is not installed")
    layout = Layout(*modes)
    decoder = FaceDecoder(small_model(*modes, vertices=vertices), layout)
    parameters = random_parameters(3, identity=modes[0], expression=modes[1])
    parts = layout.split(parameters)
    camera = torch.cat([parts.matrix, parts.translation[..., None]], dim=2)
    found = quick.QuickShapes(decoder)(torch.cat([parts.identity, parts.expression], 1), camera)
    assert found.shape == (3, vertices, 3) and (found - decoder(parameters)).abs().max() < 5e-3  # px


@pytest.mark.parametrize("name", sorted(CONVENTIONS))
def test_affine_maps_are_the_steps_one_after_the_other(name):
    crops = [
        square_crop(np.array([200.0, 150.0]), 90.0, 120, angle_rad=0.3),
        Crop(np.array([[0.5, 0, -3], [0, 0.5, 7.0]]), 120),
    ]
    points = torch.randn(2, 9, 3) * 40 + 60
    scales = crop_scales(crops, points)
    expected = to_photo(CONVENTIONS[name].to_crop(points, 120, scales), crops)
    maps = CONVENTIONS[name].photo_maps(120, crops, points)
    found = points @ maps[..., :3].transpose(1, 2) + maps[:, None, :, 3]
    assert torch.allclose(found, expected, atol=1e-3)
