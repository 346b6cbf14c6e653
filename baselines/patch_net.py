"""One small network in four readings: BagNet-q, CoordConv-q, circular twin, sighted twin.

Null hypothesis (BagNet-q): evidence from patches of q x q pixels, added up with no regard to how
they are arranged, is enough. CoordConv-q is told where each patch lies; the circular twin is the
same network without the coordinates; the sighted twin is blind to nothing and separates blindness
from recipe and budget.

The paper's BagNet (`bagnet.py`) is made for 224 pixels and 1.3 million images. Small images
get this narrower and shallower sibling by one rule: 3x3 convolutions first, without padding, down
to a stride of 4 and a receptive field of q, channels w/4, w/2, w, w, ... and w in the last; then
residual blocks of two 1x1 convolutions of w channels; then a linear vote per position, averaged.
w = 128 and four blocks from 20,000 training images on, else w = 64 and three blocks (four above 48
pixels, so that the sighted twin sees all).

Images of any size fit: the last row and column are repeated until the patches cover the image. It
is never resampled, which would blur what the audited model sees.

A network learns from patches four pixels apart. When it has learned, those two pixels apart may
vote, and mirrored patches beside the patches (`Vote`): often more exact, but not where objects lie
alike and the four matter, or where left and right differ. No vote rests on more than q pixels.

Differences from the paper: no bottlenecks, batch norm after every convolution, stride 4 or 2, not
8.

References: Brendel & Bethge (2019), ICLR, arXiv:1904.00760; Liu et al. (2018), arXiv:1807.03247.
"""

from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audit.baselines.coordinates import Window, add_coordinates

Kind = Literal["bagnet", "coordconv", "circular", "sighted"]
STRIDES = {5: (1, 4), 9: (1, 2, 2), 17: (1, 2, 2, 1), 33: (1, 2, 2, 1, 1, 1)}  # of the 3x3 layers
STRIDE = 4  # of the whole network, for every q
SPACINGS = (4, 2)  # pixels between neighbouring patches that may vote in a finished blind network
TORUS = ("coordconv", "circular")  # kinds whose patches wrap around the border


class PatchSampling(NamedTuple):
    """What votes in a finished network.

    Attributes:
        spacing: Pixels between neighbouring patches, one of `SPACINGS`.
        mirrored: Whether each patch votes with the mean of itself and its mirror image.
    """

    spacing: int = STRIDE
    mirrored: bool = False


class PatchNet(nn.Module):
    """Class evidence per position, averaged.

    Args:
        kind: Which of the four readings.
        q: Receptive field of one position in pixels: 5, 9, 17 or 33 ("sighted": of its stem).
        num_classes: K.
        in_chans: C.
        width: w, channels of the blocks.
        blocks: Number of residual blocks.

    Shapes:
        input: (N, C, H, W), float, normalised, both sides at least q.
        output: (N, K) logits, the mean of `evidence` over positions.

    Raises:
        ValueError: If `q` is not one of 5, 9, 17, 33.

    Example:
        >>> import torch
        >>> net = PatchNet("bagnet", q=9, num_classes=10, in_chans=3, width=32, blocks=1)
        >>> net.evidence(torch.zeros(2, 3, 33, 33)).shape  # one vote per 9x9 patch
        torch.Size([2, 10, 7, 7])
    """

    def __init__(
        self, kind: Kind, *, q: int, num_classes: int, in_chans: int, width: int, blocks: int
    ):
        super().__init__()
        if q not in STRIDES:
            raise ValueError(f"`q` must be one of {sorted(STRIDES)}, got {q}")
        self.kind, self.q, self.vote = kind, q, PatchSampling()
        channels = [width // 4, width // 2, *[width] * len(STRIDES[q])]
        channels = [*channels[: len(STRIDES[q]) - 1], width]
        layers: list[nn.Module] = []
        last = in_chans + 2 * (kind == "coordconv")
        for channel, stride in zip(channels, STRIDES[q], strict=True):
            layers += conv_bn_relu(last, channel, 3, stride)
            last = channel
        self.stem = nn.Sequential(*layers)
        if kind == "sighted":
            width = sighted_width(width, last, blocks, num_classes)
            self.stem.extend(conv_bn_relu(last, width, 1, 1))
        self.blocks = nn.Sequential(
            *[Block(width, 3 if kind == "sighted" else 1) for _ in range(blocks)]
        )
        self.fc = nn.Linear(width, num_classes)

    def sampling(self, vote: PatchSampling) -> Self:
        """Let other patches vote; those of a sighted network are `STRIDE` apart.

        The weights fit all: the last stride is divided, and what follows it dilated as much. The
        grid of patches is its own mirror image, so that a mirrored image has all mirrored patches.
        Where there are coordinates, or patches wrap around, a mirror image is no image of the data.
        """
        assert not (vote.mirrored and self.kind in TORUS), "no mirror images on a torus"
        self.vote, finer, strides = vote, STRIDE // vote.spacing, STRIDES[self.q]
        last = max(i for i, stride in enumerate(strides) if stride > 1)
        local = [m for m in self.stem if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        local[last].stride = (strides[last] // finer,) * 2
        for conv in local[last + 1 :]:
            conv.dilation = (finer,) * 2
        return self

    def features(self, x: Tensor, window: Window | None = None) -> Tensor:
        """Local features, not mirrored: (N, C, H, W) -> (N, D, h, w).

        With a window `x` is that part of the images: no patch wraps around its border.
        """
        if self.kind == "coordconv":
            x = add_coordinates(x, window)
        if window is None:
            x = covered(x, torus=self.kind in TORUS)
            x = wrapped(x, self.q, self.vote.spacing) if self.kind in TORUS else x
        return self.blocks(self.stem(x))

    def pooled(self, x: Tensor, window: Window | None = None) -> Tensor:
        """The last hidden layer: (N, C, H, W) -> (N, D)."""
        x = covered(x) if self.vote.mirrored and window is None else x  # before it is mirrored
        found = self.features(x, window).mean(dim=(2, 3))
        if self.vote.mirrored:
            found = (found + self.features(x.flip(3), window).mean(dim=(2, 3))) / 2
        return found

    def evidence(self, x: Tensor) -> Tensor:
        """Class logits of every position: (N, C, H, W) -> (N, K, h, w)."""
        x = covered(x) if self.vote.mirrored else x
        found = self.features(x)
        if self.vote.mirrored:
            found = (found + self.features(x.flip(3)).flip(3)) / 2
        return self.fc(found.movedim(1, -1)).movedim(-1, 1)

    def forward(self, x: Tensor, window: Window | None = None) -> Tensor:
        """Logits (N, K). The mean and the linear layer commute, so the mean comes first."""
        return self.fc(self.pooled(x, window))


class Block(nn.Module):
    """Two convolutions with a shortcut, without change of size: (N, D, h, w) -> same."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.bn2.weight)  # every block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """Residual: x + f(x), rectified."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(x + self.bn2(self.conv2(y)))


def conv_bn_relu(in_chans: int, out_chans: int, kernel: int, stride: int) -> list[nn.Module]:
    """One layer of the stem, without padding."""
    conv = nn.Conv2d(in_chans, out_chans, kernel, stride, bias=False)
    return [conv, nn.BatchNorm2d(out_chans), nn.ReLU()]


def wrapped(x: Tensor, q: int, stride: int = STRIDE) -> Tensor:
    """An image on a torus: pixels of the opposite sides are repeated at the borders.

    Un-padded layers on this are what circularly padded layers are on the image: position i sees the
    q pixels around pixel `stride` i. Padding once is faster than padding every layer.

    Returns:
        (N, C, H + p, W + p), p = q // 2 + max(0, q // 2 - stride + 1), before and behind.
    """
    before = q // 2
    after = max(0, before - stride + 1)
    return F.pad(x, (before, after, before, after), mode="circular")


def sighted_width(width: int, stem: int, blocks: int, num_classes: int) -> int:
    """Width at which 3x3 blocks have about as many parameters as 1x1 blocks of `width`."""

    def parameters(w: int, area: int) -> int:
        entry = stem * w + 2 * w if area > 1 else 0
        return entry + blocks * (2 * area * w * w + 4 * w) + w * num_classes

    target = parameters(width, 1)
    return min(range(4, width + 1), key=lambda w: abs(parameters(w, 9) - target))


def width_and_depth(n_train: int, side: int) -> tuple[int, int]:
    """Width and number of blocks for `n_train` training images of `side` pixels.

    Three blocks of two 3x3 convolutions widen the sighted twin's view by 48 pixels, four by 64.
    """
    return 128 if n_train >= 20_000 else 64, 4 if n_train >= 20_000 or side > 48 else 3


def covered(x: Tensor, *, torus: bool = False) -> Tensor:
    """Repeat the last row and column until the positions cover the image: (N, C, H, W) -> larger.

    Without padding (side - q) must be divisible by the stride, which odd q never allow for an
    even side; on a torus the side itself must be. Every q is one more than a multiple of it.
    """
    wanted = 0 if torus else 1
    down, right = wanted - x.shape[2], wanted - x.shape[3]  # no branch on them, to be traced
    return F.pad(x, (0, right % STRIDE, 0, down % STRIDE), mode="replicate")
