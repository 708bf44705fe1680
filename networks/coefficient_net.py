"""R-Net of Deng et al. 2019: a ResNet whose pooled features go through linear heads to face-model coefficients, pose
and light.

A MobileNet-V1 or the trunk of the direct landmark network may take the ResNet's place where speed counts; it sees the
crop at half size, near the 120 px of the parameter regressors that it may begin from. Parameter names of the ResNets
are those of Deep3DFaceRecon_pytorch's `net_recon`, so that its checkpoints load as they are.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from networks.landmark_trunk import LandmarkTrunk
from networks.mobilenet import MobileNetV1
from networks.regressor import normalise

RESNETS = ("resnet18", "resnet34", "resnet50")
MOBILENETS = {"mobilenet": 1.0, "mobilenet_half": 0.5}  # width
TRUNKS = {"landmark_trunk": 48}  # channels of the first stage
HALF_SIZE = (*MOBILENETS, *TRUNKS)  # backbones that see the crop at half size, as parameter regressors do
BACKBONES = (*RESNETS, *HALF_SIZE)
INPUT_PX = 224
POSE_AND_LIGHT = (3, 27, 2, 1)  # Euler angles, light (3 × 9), translation x and y, translation z


@dataclass(frozen=True)
class CoefficientNetConfig:
    """All that is needed to rebuild the network."""

    backbone: str = "resnet50"  # one of BACKBONES
    identity: int = 80
    expression: int = 64
    albedo: int = 80
    one_head: bool = False  # a single linear layer instead of seven heads

    @property
    def heads(self) -> tuple[int, ...]:
        """Numbers of outputs: identity, expression, albedo, angles, light, translation x and y, translation z."""
        return (self.identity, self.expression, self.albedo, *POSE_AND_LIGHT)

    @property
    def outputs(self) -> int:
        """Length of the coefficient vector (257 for the Basel model's front)."""
        return sum(self.heads)

    def to_dict(self) -> dict:
        """JSON-ready fields."""
        return asdict(self)


class CoefficientNet(nn.Module):
    """(B, 3, 224, 224) RGB 0 … 1 → (B, P) coefficients. All heads start at zero: iteration 0 draws the mean face.

    Random heads would draw faces outside the picture, with no gradient from pixels. Raises: ValueError for an unknown
    backbone.
    """

    def __init__(self, config: CoefficientNetConfig = CoefficientNetConfig()) -> None:
        super().__init__()
        if config.backbone not in BACKBONES:
            raise ValueError(f"unknown backbone '{config.backbone}'; choose one of: {', '.join(BACKBONES)}.")
        self.config = config
        self.frozen = False  # whether the backbone stays as it is, its batch norms too
        if config.backbone in MOBILENETS:
            self.backbone = MobileNetV1(MOBILENETS[config.backbone])
        elif config.backbone in TRUNKS:
            self.backbone = LandmarkTrunk(TRUNKS[config.backbone], INPUT_PX // 2, 1)
        else:
            from torchvision import models  # takes a second, and no bundled network needs it

            self.backbone = getattr(models, config.backbone)(weights=None)
        self.features = self.backbone.fc.in_features
        if config.one_head:
            self.backbone.fc = nn.Linear(self.features, config.outputs)
            heads = [self.backbone.fc]
        else:
            self.backbone.fc = nn.Identity()
            self.final_layers = nn.ModuleList(nn.Conv2d(self.features, count, 1) for count in config.heads if count)
            heads = list(self.final_layers)
        for head in heads:
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def freeze_backbone(self) -> list[nn.Parameter]:
        """Train the heads alone from now on. Returns: their parameters. Raises: ValueError for a single head, which is
        part of the backbone.
        """
        if self.config.one_head:
            raise ValueError("a single head is part of its backbone")
        self.frozen = True
        self.backbone.requires_grad_(False)
        self.train(self.training)
        return list(self.final_layers.parameters())

    def train(self, mode: bool = True) -> "CoefficientNet":
        """As of every module, but a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Coefficients in the order of the heads."""
        return self.with_features(images)[0]

    def with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(coefficients (B, P), pooled features (B, `features`)), the latter for mesh refinement."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            pooled = self._pooled(images)
        if self.config.one_head:
            return self.backbone.fc(pooled), pooled
        return torch.cat([head(pooled[..., None, None]).flatten(1) for head in self.final_layers], 1), pooled

    def _pooled(self, images: Tensor) -> Tensor:
        net = self.backbone
        if self.config.backbone in HALF_SIZE:
            return net.pooled(normalise(avg_pool2d(images, 2) * 255))
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        return net.avgpool(net.layer4(net.layer3(net.layer2(net.layer1(x))))).flatten(1)
