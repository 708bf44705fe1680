"""How sure a set of landmarks is: a probability, from features that every landmark network gives.

A logistic function of the features tells faces whose error is below FAILED_PERCENT from others. Its weights belong to a
network, lie in the `config.json` beside it, and are fitted on training photos by `python -m landmarks.calibrate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.errors import CheckpointError

FEATURES = (
    "peak",
    "passes",
    "flip",
)  # mean of the point scores; mean way of the points between the last two passes, and
# their mean distance to those of the mirrored crop, both in crop sides
FAILED_PERCENT = 10.0  # error from which a face counts as failed
SMALLEST_WAY = 1e-3  # of a crop side; ways below it say the same
KEY = "score_calibration"  # in config.json
RIDGE = 1e-3  # keeps the weights of separable faces finite


@dataclass(frozen=True)
class Calibration:
    """Weights for each set of features that may be at hand, named as 'peak+passes'; without any the score is the peak.

    Attributes: weights: name → (constant, one weight per feature).
    """

    weights: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def score(self, features: dict[str, np.ndarray]) -> np.ndarray:
        """(N,) each by name → (N,) probability in [0, 1] that the face's error is below FAILED_PERCENT."""
        weights = self.weights.get(feature_set(features))
        if weights is None:
            return np.clip(features["peak"], 0, 1)
        return logistic(design_matrix(features) @ np.array(weights))

    def to_json(self) -> dict[str, list[float]]:
        """For config.json, under KEY."""
        return {name: [round(weight, 5) for weight in row] for name, row in self.weights.items()}


def feature_set(names: Sequence[str]) -> str:
    """Name of a set of features, in the order of FEATURES."""
    return "+".join(name for name in FEATURES if name in names)


def design_matrix(features: dict[str, np.ndarray]) -> np.ndarray:
    """(N, 1 + features): a constant, the peak as it is, ways as logarithms."""
    columns = [np.ones(len(features["peak"]))]
    for name in FEATURES:
        if name in features:
            values = np.asarray(features[name], dtype=np.float64)
            columns.append(values if name == "peak" else np.log(np.maximum(values, SMALLEST_WAY)))
    return np.stack(columns, axis=1)


def logistic(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−x)), without overflow."""
    return 0.5 * (1 + np.tanh(values / 2))


def fit_weights(features: dict[str, np.ndarray], good: np.ndarray, steps: int = 50) -> tuple[float, ...]:
    """Logistic regression by Newton's method with a small ridge.

    Args: features (N,) each; good (N,) bool: the face's error is below FAILED_PERCENT.
    Returns: constant, then one weight per feature. Raises: ValueError where all faces are good, or none.
    """
    if good.all() or not good.any():
        raise ValueError("a score is calibrated on faces that succeed and on faces that fail")
    matrix = design_matrix(features)
    middle, spread = matrix[:, 1:].mean(0), matrix[:, 1:].std(0) + 1e-9
    scaled = np.column_stack([matrix[:, 0], (matrix[:, 1:] - middle) / spread])
    ridge = RIDGE * len(good) * np.diag([0.0] + [1.0] * len(middle))
    weights = np.zeros(scaled.shape[1])
    for _ in range(steps):
        share = logistic(scaled @ weights)
        curvature = (scaled * (share * (1 - share) + 1e-9)[:, None]).T @ scaled + ridge
        weights += np.linalg.solve(curvature, scaled.T @ (good - share) - ridge @ weights)
    slopes = weights[1:] / spread
    return (float(weights[0] - slopes @ middle), *map(float, slopes))


def read_calibration(info: dict, source: Path) -> Calibration:
    """The calibration in a model's config.json; an empty one without. Raises: CheckpointError for a damaged one."""
    rows = info.get(KEY, {})
    try:
        weights = {str(name): tuple(float(weight) for weight in row) for name, row in rows.items()}
        fits = all(len(row) == 1 + len(name.split("+")) and np.isfinite(row).all() for name, row in weights.items())
    except (AttributeError, TypeError, ValueError):
        fits = False
    if not fits:
        raise CheckpointError(f"{source}: its {KEY} is damaged; write it again with python -m landmarks.calibrate.")
    return Calibration(weights)
