"""What all parameter regressors share: a pooled vector, a linear head for parameters, an optional one for landmarks."""

import torch.nn as nn
from torch import Tensor


def normalise(crops: Tensor) -> Tensor:
    """(B, 3, S, S) RGB 0 … 255 → (value − 127.5) / 128, float."""
    return (crops.float() - 127.5) / 128


class Regressor(nn.Module):
    """Base of the regressors; a subclass gives `pooled`.

    Args: channels: of the pooled vector; outputs: whitened parameters; landmarks: points of the second head, 0 = none.
    Networks take (B, 3, S, S) RGB as `normalise` gives it.
    """

    def __init__(self, channels: int, outputs: int, landmarks: int = 0) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, outputs)
        self.fc_lm = nn.Linear(channels, 2 * landmarks) if landmarks else None

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, channels)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, outputs) whitened parameters."""
        return self.fc(self.pooled(x))

    def with_landmarks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) → (B, outputs) whitened parameters and (B, K, 2) landmarks in half crops from the crop's centre.

        3DDFA_V2's "landmark-regression regularisation"; all x come before all y in the layer.
        Raises: ValueError for a network without that head.
        """
        if self.fc_lm is None:
            raise ValueError("this network has no landmark head; build it with landmarks > 0.")
        pooled = self.pooled(x)
        return self.fc(pooled), self.fc_lm(pooled).unflatten(1, (2, -1)).transpose(1, 2)
