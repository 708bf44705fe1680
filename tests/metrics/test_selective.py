"""Risk and coverage by hand, at best, by chance, with equal scores and wrong input."""

import math

import pytest
import torch

from metrics.selective import area_under_risk_coverage, risk_coverage, smallest_area


def test_by_hand():
    """Kept in the order of the scores 0.9, 0.5, 0.1: risks 0; (0 + 3)/2; (0 + 3 + 6)/3."""
    risks, scores = torch.tensor([3.0, 0.0, 6.0]), torch.tensor([0.5, 0.9, 0.1])
    assert risk_coverage(risks, scores).tolist() == pytest.approx([0, 1.5, 3])
    assert area_under_risk_coverage(risks, scores) == pytest.approx(1.5)
    assert area_under_risk_coverage(risks, -scores) == pytest.approx((6 + 4.5 + 3) / 3)


def test_the_last_value_is_the_mean_and_the_best_order_is_by_risk():
    risks = torch.rand(200)
    for seed in range(5):
        scores = torch.rand(200, generator=torch.Generator().manual_seed(seed))
        assert risk_coverage(risks, scores)[-1] == pytest.approx(float(risks.double().mean()))
        assert area_under_risk_coverage(risks, scores) > smallest_area(risks)
    assert area_under_risk_coverage(risks, 1 - risks) == pytest.approx(smallest_area(risks))


def test_scores_that_say_nothing_have_the_mean_risk_in_any_order():
    risks = torch.tensor([0.0, 0, 10, 10])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        assert area_under_risk_coverage(risks[order], torch.ones(4)) == pytest.approx(5)


def test_a_nan_score_is_the_least_sure():
    assert risk_coverage(torch.tensor([8.0, 1.0]), torch.tensor([torch.nan, -5.0])).tolist() == [1.0, 4.5]


def test_wrong_input_and_none():
    assert math.isnan(area_under_risk_coverage(torch.zeros(0), torch.zeros(0)))
    one = torch.ones(1)
    for risks, scores in ((one * torch.inf, one), (-one, one), (torch.ones(2), one)):
        with pytest.raises(ValueError):
            risk_coverage(risks, scores)
