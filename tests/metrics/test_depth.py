"""DepthCorr against its definition; gauge-free scores against regressions."""

import numpy as np
import pytest
import torch

from geometry.lifted_affine import fix_gauge
from metrics.depth import beyond_template, depth_corr, explained_variance, pair_corr


@pytest.fixture
def depths():
    return torch.randn(40, 66, dtype=torch.float64), torch.randn(40, 66, dtype=torch.float64)


def test_depth_corr_is_its_definition(depths):
    predicted, truth = depths
    block = np.corrcoef(predicted.T.numpy(), truth.T.numpy())[:66, 66:]
    assert depth_corr(predicted, truth) == pytest.approx(np.abs(np.diag(block)).sum(), abs=1e-9)


def test_depth_corr_of_the_truth_is_66_in_every_scale_and_sign(depths):
    truth = depths[1]
    scales, shifts = torch.randn(66).double() * 3, torch.randn(66).double()
    for predicted in (truth, -truth, truth * scales + shifts):
        assert depth_corr(predicted, truth) == pytest.approx(66, abs=1e-9)


def test_constant_columns_count_nothing(depths):
    predicted, truth = depths
    constant = torch.full_like(predicted, 0.1234567)
    assert depth_corr(constant, truth) == 0 and depth_corr(truth, constant) == 0
    assert depth_corr(predicted[:1].expand(40, 66).float(), truth) == 0


def test_truth_broadcasts_over_targets(depths):
    truth = depths[1]
    grid = torch.randn(40, 40, 66, dtype=torch.float64)
    repeated = truth[:, None].expand(40, 40, 66)
    assert depth_corr(grid, truth[:, None]) == pytest.approx(depth_corr(grid.reshape(-1, 66), repeated.reshape(-1, 66)))


def test_explained_variance_is_that_of_a_regression(depths):
    predicted, truth = depths
    source = torch.rand(40, 66, 2, dtype=torch.float64)
    ours = explained_variance(source, predicted, truth)
    for i in (0, 7):
        columns = np.column_stack([predicted[i], source[i], np.ones(66)])
        rest = truth[i].numpy() - columns @ np.linalg.lstsq(columns, truth[i].numpy(), rcond=None)[0]
        assert ours[i] == pytest.approx(1 - rest.var() / truth[i].numpy().var(), abs=1e-9)
        assert pair_corr(predicted, truth)[i] == pytest.approx(np.corrcoef(predicted[i], truth[i])[0, 1])


def test_nothing_is_beyond_the_template_itself(depths):
    source = torch.rand(40, 66, 2, dtype=torch.float64)
    template, truth = fix_gauge(source, depths[0]), fix_gauge(source, depths[1])
    assert beyond_template(template, truth, template).abs().max() == 0
    torch.testing.assert_close(beyond_template(truth, truth, template), torch.ones(40, dtype=torch.float64))
