"""Confidence intervals by resampling (Efron 1979), percentile method, with a fixed seed."""

from collections.abc import Callable

import numpy as np

DRAWS, LEVEL = 2000, 0.95


def bootstrap(
    statistic: Callable[[np.ndarray], float], count: int, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of a statistic of `count` units that are drawn with replacement.

    Args: statistic: positions (count,) int64 of the drawn units → value; NaN values of single draws are left out.
    Returns: (low, high), NaN for fewer than two units.
    """
    if count < 2:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    values = [statistic(generator.integers(0, count, count)) for _ in range(draws)]
    low, high = np.nanpercentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of (N,) values, NaN left out."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return bootstrap(lambda rows: float(known[rows].mean()), len(known))
