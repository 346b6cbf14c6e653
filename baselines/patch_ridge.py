"""Closed-form patch models: ridge regression on the responses of random patches.

Null hypothesis: evidence from patches of q x q pixels, added up, is enough. Filters are random
patches of the training images, contrast-normalised and whitened. The features of an image are the
mean responses over its patches above a threshold, for both signs; a ridge regression on them
predicts the class. With one cell the mean goes over the whole image (a bag of patches, BagNet's
claim); with 2 x 2 or 3 x 3 cells it goes over the patches of each cell, so that the model is told
roughly where each patch is (CoordConv's claim).

The fit is exact: it cannot be undertrained, and depends on no rate, seed spread or budget. It is
small: a trained network of the same patches can be stronger on large and rich data. So it may fail
a model, and lets none pass alone.

References: Coates, Ng & Lee (2011), AISTATS; Thiry et al. (2021), ICLR, arXiv:2101.07528, for
whitened patches; Brendel & Bethge (2019), ICLR, arXiv:1904.00760, for the claim.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONTRAST = 10.0  # added to a patch's variance, in squares of 1/255: flat patches stay small
WHITEN = 0.1  # added to the eigenvalues of patches of variance 1
MOST_DIRECTIONS = 256  # of a patch that are kept; all of them up to 9 x 9 pixels in colour
SAMPLED = 30_000  # patches that the whitening is measured on
MEDIAN_OF = 4_000  # patches that the thresholds are measured on
AT_ONCE = 2**19  # responses (4 bytes each) that are computed at a time: they stay in the cache


@dataclass(frozen=True)
class Filters:
    """Whitened patches as linear filters of raw pixels.

    Attributes:
        weight: (C q q, D), applied to a patch of pixels; each column sums to 0.
        offset: (D,), subtracted after the contrast normalisation.
        q: Side of a patch in pixels.

    Both are divided by the median size of the responses, so that the threshold is 1 for all.
    """

    weight: Tensor
    offset: Tensor
    q: int


def positions(side: int, q: int, stride: int) -> int:
    """How many patches lie along one side, of an image that is extended to be covered exactly."""
    return -(-(side - q) // stride) + 1


def extended(x: Tensor, q: int, stride: int) -> Tensor:
    """Repeat the last row and column until patches cover the image: (N, C, H, W) -> larger."""
    down, right = (-(side - q) % stride for side in x.shape[2:])
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def patches_of(x: Tensor, q: int, stride: int) -> Tensor:
    """All patches as rows: (N, C, H, W) -> (N, P, C q q), row by row of the image."""
    parts = extended(x, q, stride).unfold(2, q, stride).unfold(3, q, stride)
    return parts.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def spread(patches: Tensor) -> Tensor:
    """The root of each patch's variance, with a constant added: (..., d) -> (..., 1)."""
    return (patches.var(dim=-1, unbiased=False, keepdim=True) + CONTRAST).sqrt()


def learn_filters(
    images: Tensor, q: int, count: int, generator: torch.Generator, drawn: Tensor | None = None
) -> Filters:
    """Draw patches, measure how to whiten them, and make filters of some.

    Args:
        images: (N, C, H, W) uint8, of which only the patches are read.
        q: Side of a patch in pixels.
        count: D, how many filters.
        generator: Draws the patches.
        drawn: (M,) which of the images; all by default.
    """
    drawn = torch.arange(len(images)) if drawn is None else drawn
    sample = random_patches(images, drawn, q, generator)
    normal = (sample - sample.mean(1, keepdim=True)) / spread(sample)
    mean = normal.mean(0)
    centred = normal - mean
    if centred.shape[1] <= 4 * MOST_DIRECTIONS:
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        values, vectors = values[-MOST_DIRECTIONS:], vectors[:, -MOST_DIRECTIONS:]
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            _, roots, vectors = torch.pca_lowrank(centred, MOST_DIRECTIONS, center=False)
        values = roots.square() / len(centred)
    whiten = vectors * (values + WHITEN).rsqrt()  # (d, k)
    lively = sample.var(1) > CONTRAST
    chosen = centred[lively] if int(lively.sum()) >= count else centred
    chosen = chosen[torch.randperm(len(chosen), generator=generator)[:count]]
    atoms = F.normalize(chosen @ whiten)  # (D, k)
    weight = whiten @ atoms.T
    offset = mean @ weight
    some = normal[torch.randperm(len(normal), generator=generator)[:MEDIAN_OF]]
    middle = (some @ weight - offset).abs().median(0).values.clamp_min(1e-6)
    return Filters((weight - weight.mean(0)) / middle, offset / middle, q)


def random_patches(images: Tensor, drawn: Tensor, q: int, generator: torch.Generator) -> Tensor:
    """Patches at random places of the images `drawn`: (SAMPLED, C q q) float32."""
    n, (height, width) = len(drawn), images.shape[2:]
    each = -(-SAMPLED // n)
    found = []
    for _ in range(each):
        rows, cols = (
            torch.randint(0, side - q + 1, (n, 1), generator=generator) + torch.arange(q)
            for side in (height, width)
        )
        index = drawn[:, None, None]
        cut = images.permute(0, 2, 3, 1)[index, rows[:, :, None], cols[:, None, :]]
        found.append(cut.permute(0, 3, 1, 2).flatten(1).float())
    return torch.cat(found)[torch.randperm(each * n, generator=generator)[:SAMPLED]]


class PatchRidge(nn.Module):
    """A fitted closed-form patch model.

    Args:
        filters: What patches are compared with.
        stride: Pixels between neighbouring patches.
        cells: Cells a side: 1 for a bag of patches.
        classes: K.

    Shapes:
        input: (N, C, H, W), pixel values from 0 to 255, as bytes or as floats.
        output: (N, K) logits.
    """

    weight: Tensor
    offset: Tensor
    readout: Tensor
    bias: Tensor

    def __init__(self, filters: Filters, stride: int, cells: int, classes: int):
        super().__init__()
        self.q, self.stride, self.cells = filters.q, stride, cells
        self.register_buffer("weight", filters.weight)
        self.register_buffer("offset", filters.offset)
        columns = cells * cells * 2 * len(filters.offset)
        self.register_buffer("readout", torch.zeros(columns, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def responses(self, x: Tensor) -> Tensor:
        """Responses of every patch beyond the threshold, signed: (N, C, H, W) -> (N, P, D)."""
        patches = patches_of(x.to(self.weight.dtype), self.q, self.stride)
        flat = (patches / spread(patches)).flatten(0, 1)
        z = torch.addmm(self.offset, flat, self.weight, beta=-1)
        return F.softshrink(z, 1.0).unflatten(0, patches.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K)."""
        found = pooled(self.responses(x), pooling(*self.grid(x), self.cells)).flatten(1)
        return found @ self.readout + self.bias

    def evidence(self, x: Tensor) -> Tensor:
        """Class logits of every patch, whose mean are those of the image: (N, K, h, w)."""
        height, width = self.grid(x)
        pool = pooling(height, width, self.cells).to(self.readout.dtype)  # (cells, P)
        by_cell = self.readout.view(self.cells**2, -1, self.readout.shape[1])
        share = torch.einsum("cp,cfk->pfk", pool * pool.shape[1], by_cell)  # (P, 2 D, K)
        found = self.responses(x)
        both = torch.cat([found.relu(), (-found).relu()], dim=2)
        votes = torch.einsum("npf,pfk->npk", both, share) + self.bias
        return votes.movedim(2, 1).unflatten(2, (height, width))

    def grid(self, x: Tensor) -> tuple[int, int]:
        """Patches along height and width."""
        height, width = (positions(side, self.q, self.stride) for side in x.shape[2:])
        return height, width


def pooling(height: int, width: int, cells: int) -> Tensor:
    """Which share each of height x width patches has in the mean of each cell: (cells^2, P)."""
    rows, cols = (torch.arange(n) * cells // n for n in (height, width))
    cell = (rows[:, None] * cells + cols[None, :]).flatten()
    member = (cell == torch.arange(cells * cells)[:, None]).float()
    return member / member.sum(1, keepdim=True).clamp_min(1)


def pooled(responses: Tensor, pool: Tensor) -> Tensor:
    """Means over cells of both signs: (N, P, D) -> (N, cells, 2 D)."""
    pool = pool.to(responses.dtype)
    signed, size = pool @ responses, pool @ responses.abs()
    return torch.cat([size + signed, size - signed], dim=2) / 2


@torch.no_grad()
def features(
    model: PatchRidge,
    images: Tensor,
    cells: Sequence[int],
    index: Tensor | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[int, Tensor]:
    """Features for several numbers of cells, from one pass over the patches.

    Args:
        model: Filters and stride.
        images: (N, C, H, W) uint8, in memory or mapped from a file.
        cells: Cells a side, for each.
        index: (M,) which images; all by default.
        progress: Called with the number of images that are done.

    Returns:
        (M, cells^2 2 D) float32 each.
    """
    height, width = model.grid(images)
    pools = [pooling(height, width, each) for each in cells]
    pool, sizes = torch.cat(pools), [len(each) for each in pools]
    index = torch.arange(len(images)) if index is None else index
    step = max(1, AT_ONCE // (height * width * len(model.offset)))
    # Filled in place: small results that are kept between large temporary ones would leave holes
    # in memory (9 GB of them for 30,000 images).
    wide = 2 * len(model.offset)
    found = {each: torch.empty(len(index), each**2, wide) for each in cells}
    for start in range(0, len(index), step):
        some = index[start : start + step]
        every = pooled(model.responses(images[some]), pool).split(sizes, dim=1)
        for each, part in zip(cells, every, strict=True):
            found[each][start : start + step] = part
        if progress:
            progress(len(some))
    return {each: whole.flatten(1) for each, whole in found.items()}
