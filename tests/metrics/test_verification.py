"""Verification scores against definitions, and the rules for pairs."""

import pytest
import torch

from metrics.verification import accept_rate, all_pairs, area_under_curve, balanced_accuracy, verification_scores

PEOPLE = torch.arange(40).repeat_interleave(4)
VIDEOS = torch.tensor([0, 0, 1, 2]).repeat(40)


def test_pairs_of_one_video_and_people_across_folds_are_left_out():
    pairs = all_pairs(PEOPLE, VIDEOS)
    assert not ((PEOPLE[pairs.first] == PEOPLE[pairs.second]) & (VIDEOS[pairs.first] == VIDEOS[pairs.second])).any()
    assert int(pairs.same.sum()) == 40 * 5 and int((~pairs.same).sum()) == 40 * 39 // 2 * 16
    inside = pairs.fold >= 0
    assert torch.equal(PEOPLE[pairs.first][inside] % 10, PEOPLE[pairs.second][inside] % 10)
    with pytest.raises(ValueError, match="two people"):
        all_pairs(torch.zeros(4, dtype=torch.int64), torch.arange(4))
    with pytest.raises(ValueError, match="two videos"):
        all_pairs(torch.arange(4), torch.zeros(4, dtype=torch.int64))


def test_area_is_the_share_of_ordered_pairs():
    scores = torch.randn(300).round(decimals=1)  # with ties
    same = torch.rand(300) < 0.3
    difference = scores[same][:, None] - scores[~same]
    expected = ((difference > 0).double() + 0.5 * (difference == 0).double()).mean()
    assert abs(area_under_curve(scores, same) - float(expected)) < 1e-9


def test_accept_rate_at_a_known_threshold():
    scores = torch.cat([torch.arange(100.0), torch.tensor([98.5, 50.0, 99.5, 10.0])])
    same = torch.arange(104) >= 100
    assert accept_rate(scores, same, 0.01) == 0.5  # one of a hundred others may pass: the threshold is 98


def test_perfect_features_are_perfect_and_random_ones_worthless():
    perfect = torch.nn.functional.one_hot(PEOPLE).float()
    found = verification_scores(perfect, all_pairs(PEOPLE, VIDEOS))
    assert found == {"auc": 1.0, "accuracy": 100.0, "tar_at_far1": 100.0}
    chance = verification_scores(torch.randn(160, 64), all_pairs(PEOPLE, VIDEOS))
    assert abs(chance["auc"] - 0.5) < 0.08 and abs(chance["accuracy"] - 50) < 8 and chance["tar_at_far1"] < 6


def test_thresholds_come_from_other_folds():
    pairs = all_pairs(PEOPLE, VIDEOS)
    scores = pairs.same.double()
    first = pairs.fold == 0
    scores[first] = 10 + scores[first]  # any threshold of the others accepts all pairs of this fold
    assert balanced_accuracy(scores, pairs) == pytest.approx(0.95)
