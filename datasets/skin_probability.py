"""How likely a pixel shows skin, by its colour alone: two mixtures of four Gaussians in YCbCr.

The constants are those that Deng et al. 2019 publish with their code; the mixtures go back to Jones and Rehg 2002.
"""

import numpy as np

SKIN_PRIOR = 0.8
# weight, mean (Y, Cb, Cr), determinant, inverse covariance (11, 12, 13, 22, 23, 33)
_SKIN = (
    (
        0.24063933,
        (113.71862, 103.39613, 164.08226),
        5692842.5,
        (0.0019472069, 0.0020450759, -0.00060243998, 0.017700525, 0.0051420014, 0.0081308950),
    ),
    (
        0.16365987,
        (150.19858, 105.18467, 155.51428),
        5851930.5,
        (0.0027110141, 0.0011036990, 0.0023122299, 0.010707724, 0.010742856, 0.017481629),
    ),
    (
        0.26034665,
        (183.92976, 107.62468, 152.71820),
        2329131.0,
        (0.0048026871, 0.00022935172, 0.0077668377, 0.011729696, 0.0081661865, 0.025374353),
    ),
    (
        0.33535415,
        (114.90524, 113.59782, 151.38217),
        1585971.0,
        (0.0011989699, 0.0022453172, -0.0010748957, 0.047758564, 0.020332102, 0.024502251),
    ),
)
_OTHER = (
    (
        0.12791070,
        (99.200851, 112.07533, 140.20602),
        458703648.0,
        (0.00085371657, 0.00071197288, 0.00023958916, 0.0025935620, 0.00076557708, 0.0015042332),
    ),
    (
        0.31130761,
        (110.91392, 125.52969, 130.19237),
        6466488.0,
        (0.00024650150, 0.00045542428, 0.00015019422, 0.026412144, 0.018419769, 0.037497383),
    ),
    (
        0.34245777,
        (129.75864, 129.96107, 126.96808),
        90611376.0,
        (0.00037054974, 0.00038146760, 0.00040408765, 0.0085505722, 0.0079136286, 0.010982352),
    ),
    (
        0.21832393,
        (112.29587, 128.85121, 129.05431),
        133097.63,
        (0.00013709733, 0.00051228428, 0.00012777430, 0.28237113, 0.10528370, 0.23468947),
    ),
)
_TO_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_OFFSET = np.array([16.0, 128.0, 128.0])


def skin_probability(image: np.ndarray) -> np.ndarray:
    """Posterior probability of skin: (..., 3) RGB 0 … 255 → (...) 0 … 1, float64."""
    colours = np.asarray(image, dtype=np.float64) @ _TO_YCBCR.T + _OFFSET
    skin = np.log(SKIN_PRIOR) + _log_likelihood(colours, _SKIN)
    other = np.log(1 - SKIN_PRIOR) + _log_likelihood(colours, _OTHER)
    return 1 / (1 + np.exp(np.clip(other - skin, -700, 700)))


def skin_mask(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB → (H, W) uint8, probability · 255, rounded. Equal colours are computed once."""
    packed = image.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    values, places = np.unique(packed, return_inverse=True)
    colours = np.stack([values >> 16, (values >> 8) & 255, values & 255], axis=-1)
    return np.rint(skin_probability(colours) * 255).astype(np.uint8)[places].reshape(packed.shape)


def _log_likelihood(colours: np.ndarray, mixture: tuple) -> np.ndarray:
    """Log density of a mixture; summed as logarithms, so far colours give a small number and never 0 / 0."""
    logs = []
    for weight, mean, determinant, (a, b, c, d, e, f) in mixture:
        x, y, z = np.moveaxis(colours - np.array(mean), -1, 0)
        square = a * x * x + d * y * y + f * z * z + 2 * (b * x * y + c * x * z + e * y * z)
        logs.append(np.log(weight) - 0.5 * (square + 3 * np.log(2 * np.pi) + np.log(determinant)))
    return np.logaddexp.reduce(np.stack(logs), axis=0)
