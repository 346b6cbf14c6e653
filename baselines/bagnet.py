"""The paper's BagNet: a ResNet-50 that sees q x q pixels at a time.

Null hypothesis: adding up evidence from patches of q x q pixels, blind to their arrangement, is
enough. Its state-dict keys are those of the published weights, so that users with ImageNet-sized
data can bring them.

Facts of the architecture that surprise: no padding anywhere; no batch norm between the first two
convolutions; batch-norm momentum 0.001; the shortcut is cropped at the bottom and right only, so it
is aligned with the patch's top left corner; at 224 pixels the last 7 rows and columns are never
seen, because (224 - q) is not divisible by the stride of 8. Use 225 pixels to see all.

Reference: Brendel & Bethge (2019), ICLR, arXiv:1904.00760.
"""

import torch
from torch import Tensor, nn

KERNEL3 = {9: (1, 1, 0, 0), 17: (1, 1, 1, 0), 33: (1, 1, 1, 1)}  # stages that start with a 3x3
DEPTHS = (3, 4, 6, 3)
STRIDES = (2, 2, 2, 1)
STRIDE = 8


class BagNet(nn.Module):
    """BagNet-9, -17 or -33 of the paper.

    Args:
        q: Receptive field in pixels: 9, 17 or 33.
        num_classes: K.
        in_chans: C.

    Shapes:
        input: (N, C, H, W), H, W >= q.
        output: (N, K), the mean of `evidence` over positions.

    Raises:
        ValueError: If `q` is none of 9, 17, 33.
    """

    def __init__(self, q: int, num_classes: int = 1000, in_chans: int = 3):
        super().__init__()
        if q not in KERNEL3:
            raise ValueError(f"`q` must be one of {sorted(KERNEL3)}, got {q}")
        self.q = q
        self.conv1 = nn.Conv2d(in_chans, 64, 1, bias=False)
        self.conv2 = nn.Conv2d(64, 64, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64, momentum=0.001)
        channels = 64
        for i, (depth, stride, kernel3) in enumerate(zip(DEPTHS, STRIDES, KERNEL3[q], strict=True)):
            planes = 64 * 2**i
            blocks = [Bottleneck(channels, planes, stride, 3 if kernel3 else 1, shortcut=True)]
            channels = 4 * planes
            blocks += [Bottleneck(channels, planes) for _ in range(depth - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] ** 2 * module.out_channels
                nn.init.normal_(module.weight, 0, (2 / fan_out) ** 0.5)

    def features(self, x: Tensor) -> Tensor:
        """Local features: (N, C, H, W) -> (N, 2048, h, w)."""
        x = torch.relu(self.bn1(self.conv2(self.conv1(x))))
        for i in range(len(DEPTHS)):
            x = self.get_submodule(f"layer{i + 1}")(x)
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """The last hidden layer: (N, C, H, W) -> (N, 2048)."""
        return self.features(x).mean(dim=(2, 3))

    def evidence(self, x: Tensor) -> Tensor:
        """Class logits of every patch: (N, C, H, W) -> (N, K, h, w)."""
        return self.fc(self.features(x).movedim(1, -1)).movedim(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K)."""
        return self.fc(self.pooled(x))


class Bottleneck(nn.Module):
    """1x1, kxk without padding, 1x1; the shortcut is cropped to fit."""

    def __init__(
        self, in_chans: int, planes: int, stride: int = 1, kernel: int = 1, shortcut: bool = False
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes, momentum=0.001)
        self.conv2 = nn.Conv2d(planes, planes, kernel, stride, bias=False)
        self.bn2 = nn.BatchNorm2d(planes, momentum=0.001)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes, momentum=0.001)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_chans, 4 * planes, 1, stride, bias=False),
                nn.BatchNorm2d(4 * planes, momentum=0.001),
            )
            if shortcut
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4 planes, h, w)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        identity = x if self.downsample is None else self.downsample(x)
        return torch.relu(y + identity[:, :, : y.shape[2], : y.shape[3]])
