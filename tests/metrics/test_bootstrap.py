"""Bootstrap intervals: coverage of a known mean, repeatable, NaN left out."""

import math

import numpy as np

from metrics.bootstrap import bootstrap, mean_interval


def test_the_interval_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert abs(low - (values.mean() - half)) < 0.05 * 2 * half and abs(high - (values.mean() + half)) < 0.05 * 2 * half


def test_it_covers_the_true_mean_about_95_times_in_100():
    generator = np.random.default_rng(2)
    intervals = [mean_interval(generator.exponential(1.0, 80)) for _ in range(100)]
    assert 86 <= sum(low < 1 < high for low, high in intervals) <= 99


def test_nan_is_left_out_and_seeds_repeat():
    values = np.array([1.0, 2.0, np.nan, 4.0])
    assert mean_interval(values) == mean_interval(np.array([1.0, 2.0, 4.0])) == mean_interval(values)
    assert math.isnan(mean_interval(np.array([1.0]))[0]) and math.isnan(bootstrap(lambda rows: 0.0, 0)[1])
