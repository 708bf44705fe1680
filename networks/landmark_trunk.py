"""A regressor on the trunk of the direct landmark network, so that it can start from one that was trained."""

from torch import Tensor

from networks.blocks import PIXEL_MEAN, initialise
from networks.landmark_net import LAST_STRIDE, make_squeeze, make_stages, make_stem
from networks.regressor import Regressor

BLOCKS = 2  # residual blocks of every stage, as in the landmark network


class LandmarkTrunk(Regressor):
    """Stem, stages and squeezed last map of `LandmarkNet`, under the same names; 2.8 million parameters at width 32.

    The last map is flattened, not averaged, so that the head knows where things are.
    Args: width: channels of the first stage; input_size S in px; outputs, landmarks as in the base.
    Raises: ValueError for a width that is not a multiple of 16.
    """

    def __init__(self, width: int, input_size: int, outputs: int, landmarks: int = 0) -> None:
        if width < 1 or width % 16:
            raise ValueError(f"width {width} is not a multiple of 16")
        super().__init__(2 * width * (-(-input_size // LAST_STRIDE)) ** 2, outputs, landmarks)
        self.stem = make_stem(width)
        self.stages = make_stages(width, BLOCKS)
        self.squeeze = make_squeeze(width)
        initialise(self)

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, 2 · width · ⌈S/32⌉²)."""
        mean = x.new_tensor(PIXEL_MEAN)[:, None, None]
        x = self.stem((x * 128 + 127.5) / 255 - mean)
        for stage in self.stages:
            x = stage(x)
        return self.squeeze(x).flatten(1)
