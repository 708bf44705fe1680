"""Confidence intervals by resampling (Efron 1979), percentile method, with a fixed seed."""

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Estimate:
    """A mean, the ends of its 95 % interval, and how many values it is of; NaN where there are too few."""

    mean: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> "Estimate":
        """Of (N,) values; what is not finite is left out."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        return cls(float(known.mean()) if len(known) else float("nan"), *mean_interval(known), len(known))

    def text(self, decimals: int = 2) -> str:
        """`3.35 [3.21, 3.50]`, without brackets where there is no interval, – without values."""
        if not np.isfinite(self.mean):
            return "–"
        mean, low, high = (f"{value:.{decimals}f}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]" if np.isfinite(self.low) else mean
