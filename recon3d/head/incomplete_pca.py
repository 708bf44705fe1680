"""Principal components of samples with missing values, by alternating completion and decomposition (Roweis 1998)."""

import numpy as np

ROUNDS = 8
NOISE_SHARE = 1.0  # of the mean discarded variance, as the noise that scores are shrunk by


def incomplete_components(
    samples: np.ndarray, weights: np.ndarray, count: int, rounds: int = ROUNDS
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and components of partly known samples.

    A value is replaced by weight · own value + (1 − weight) · what mean and components make of the sample, over and
    over. The first guess for an unknown value is the mean of the known ones, shifted by the sample's own mean
    deviation.

    Args: samples (S, D); weights (S, D) 0 … 1, 0 = unknown; count < S, D.
    Returns: mean (D,); components times their standard deviation (D, count); share of the completed variance that they
    keep.
    Raises: ValueError for a value that no sample knows, or too few samples.
    """
    known = weights.sum(0)
    if len(samples) <= count or samples.shape != weights.shape:
        raise ValueError(f"{len(samples)} samples of shape {samples.shape} cannot give {count} components.")
    if (known <= 0).any():
        raise ValueError(f"{int((known <= 0).sum())} of {len(known)} values are unknown in all samples.")
    mean = (samples * weights).sum(0) / known
    shift = ((samples - mean) * weights).sum(1) / np.maximum(weights.sum(1), 1e-6)
    guess = mean + shift[:, None]
    for _ in range(rounds):
        filled = weights * samples + (1 - weights) * guess
        mean = filled.mean(0)
        deviations = filled - mean
        values, vectors = np.linalg.eigh((deviations @ deviations.T).astype(np.float64))
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1].astype(samples.dtype)
        noise = NOISE_SHARE * values[count:].sum() / max(len(samples) - count, 1)
        shrunk = vectors[:, :count] * np.maximum(1 - noise / np.maximum(values[:count], 1e-12), 0).astype(samples.dtype)
        guess = mean + shrunk @ (vectors[:, :count].T @ deviations)
    components = deviations.T @ vectors[:, :count] / np.sqrt(len(samples) - 1)
    return mean, components.astype(samples.dtype), float(values[:count].sum() / values.sum())
