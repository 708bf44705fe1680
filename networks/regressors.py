"""Parameter regressors by name, built from one small configuration that every checkpoint stores."""

from dataclasses import asdict, dataclass

from networks.landmark_trunk import LandmarkTrunk
from networks.mobilenet import MobileNetV1
from networks.mobilenet_v3 import MobileNetV3
from networks.radan import RADAN
from networks.regressor import Regressor
from networks.resnet22 import ResNet22

ARCHITECTURES = ("mobilenet", "mobilenet_v3_small", "mobilenet_v3_large", "resnet22", "radan", "landmark_trunk")

TRUNK_WIDTH = 32  # channels of a landmark trunk of width 1


@dataclass(frozen=True)
class RegressorConfig:
    """All that is needed to rebuild a network."""

    arch: str = "mobilenet"  # one of ARCHITECTURES
    width: float = 1.0  # factor on all channels of MobileNets; landmark_trunk: 1 = 32 channels
    input_size: int = 120  # px; 128 for MobileNet-V3 in 3DDFA_V2
    pose: int = 12  # numbers of outputs
    identity: int = 40
    expression: int = 10
    landmarks: int = 0  # points of the second head, 0 = none
    replay: tuple[int, ...] = ()  # blocks of a MobileNet-V1 that replay attention follows

    @property
    def outputs(self) -> int:
        """Length of the parameter vector."""
        return self.pose + self.identity + self.expression

    def to_dict(self) -> dict:
        """JSON-ready fields."""
        return asdict(self)


def build_regressor(config: RegressorConfig) -> Regressor:
    """A new network. Raises: ValueError for an unknown architecture."""
    if config.arch == "mobilenet":
        return MobileNetV1(config.width, config.outputs, config.landmarks, tuple(config.replay))
    if config.arch.startswith("mobilenet_v3_") and config.arch in ARCHITECTURES:
        return MobileNetV3(config.arch.removeprefix("mobilenet_v3_"), config.width, config.outputs, config.landmarks)
    if config.arch == "resnet22":
        return ResNet22(config.outputs, config.landmarks)
    if config.arch == "landmark_trunk":
        return LandmarkTrunk(round(TRUNK_WIDTH * config.width), config.input_size, config.outputs, config.landmarks)
    if config.arch == "radan":
        return RADAN((config.pose, config.identity, config.expression), config.landmarks)
    raise ValueError(f"unknown architecture '{config.arch}'; choose one of: {', '.join(ARCHITECTURES)}.")
