"""iResNet-50 (Duta et al. 2021) as ArcFace uses it: the identity network of Deep3DFaceRecon_pytorch's perceptual term.

Parameter names are those of InsightFace's `arcface_torch`, so that its backbones load as they are.
"""

from torch import Tensor, nn

STAGES_50 = (3, 4, 14, 3)
_WIDTHS = (64, 128, 256, 512)


class IResBlock(nn.Module):
    """BN – conv 3×3 – BN – PReLU – conv 3×3 (stride) – BN, plus shortcut; nothing after the sum."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(ins, eps=1e-5)
        self.conv1 = nn.Conv2d(ins, outs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outs, eps=1e-5)
        self.prelu = nn.PReLU(outs)
        self.conv2 = nn.Conv2d(outs, outs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outs, eps=1e-5)
        self.downsample = None
        if stride != 1 or ins != outs:
            self.downsample = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs, eps=1e-5))

    def forward(self, x: Tensor) -> Tensor:
        """(B, ins, H, W) → (B, outs, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))) + shortcut


class IResNet(nn.Module):
    """(B, 3, 112, 112) RGB −1 … 1 → (B, outputs) features, not normalised."""

    def __init__(self, stages: tuple[int, ...] = STAGES_50, outputs: int = 512) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=1e-5)
        self.prelu = nn.PReLU(64)
        ins = 64
        for number, (count, width) in enumerate(zip(stages, _WIDTHS, strict=True), start=1):
            blocks = [IResBlock(ins, width, 2), *(IResBlock(width, width, 1) for _ in range(count - 1))]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            ins = width
        self.bn2 = nn.BatchNorm2d(512, eps=1e-5)
        self.dropout = nn.Dropout(0.0)
        self.fc = nn.Linear(512 * 7 * 7, outputs)
        self.features = nn.BatchNorm1d(outputs, eps=1e-5)
        nn.init.ones_(self.features.weight)
        self.features.weight.requires_grad = False

    def forward(self, images: Tensor) -> Tensor:
        """Features."""
        x = self.prelu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.dropout(self.bn2(x).flatten(1))))
