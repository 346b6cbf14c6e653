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
STRENGTHS = tuple(10 ** (k / 2) for k in range(-10, 5))  # of the ridge, relative to the Gram matrix
FIRST = {1: 3e-3, 2: 3e-2, 3: 3e-2}  # by cells a side: where the search for the strength starts
SHARES = (0.25, 0.5, 1.0)  # of the filters: the learning curve


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


def learn_filters(images: Tensor, q: int, count: int, generator: torch.Generator) -> Filters:
    """Draw patches, measure how to whiten them, and make filters of some.

    Args:
        images: (M, C, H, W) uint8, a sample of the training images.
        q: Side of a patch in pixels.
        count: D, how many filters.
        generator: Draws the patches.
    """
    sample = random_patches(images, q, SAMPLED, generator)
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


def random_patches(images: Tensor, q: int, count: int, generator: torch.Generator) -> Tensor:
    """Patches at random places of random images: (count, C q q) float32."""
    n, _, height, width = images.shape
    each = -(-count // n)
    found = []
    for _ in range(each):
        rows, cols = (
            torch.randint(0, side - q + 1, (n, 1), generator=generator) + torch.arange(q)
            for side in (height, width)
        )
        index = torch.arange(n)[:, None, None]
        cut = images.permute(0, 2, 3, 1)[index, rows[:, :, None], cols[:, None, :]]
        found.append(cut.permute(0, 3, 1, 2).flatten(1).float())
    return torch.cat(found)[torch.randperm(each * n, generator=generator)[:count]]


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


@dataclass(frozen=True)
class Ridge:
    """An exact ridge regression, and what it predicts of each image without that image.

    Attributes:
        weight: (F, K) of the raw features.
        bias: (K,).
        left_out: (N, K) predictions for each image by the fit without its group.
        strength: Of the ridge, relative to the mean diagonal of the Gram matrix.
    """

    weight: Tensor
    bias: Tensor
    left_out: Tensor
    strength: float


@dataclass(frozen=True)
class Problem:
    """Centred and scaled features and targets, with the Gram matrix of the smaller side.

    Attributes:
        x: (N, F).
        y: (N, K), one column a class.
        mean: (F,) that was subtracted.
        scale: (F,) that x was divided by.
        share: (K,) mean of the targets.
        gram: (F, F) or, where there are fewer images than features, (N, N).
        groups: (N,) images of one group are left out together.
    """

    x: Tensor
    y: Tensor
    mean: Tensor
    scale: Tensor
    share: Tensor
    gram: Tensor
    groups: Tensor

    @property
    def dual(self) -> bool:
        """Whether the Gram matrix is that of the images."""
        return len(self.gram) == len(self.x)


def problem(x: Tensor, labels: Tensor, classes: int, groups: Tensor) -> Problem:
    """Set up the regression of one-hot labels on features.

    Columns are divided by their deviation and a tenth of the mean deviation, so that hardly any
    noise is blown up.
    """
    mean, deviation = x.mean(0), x.std(0)
    scale = deviation + 0.1 * deviation.mean() + torch.finfo(x.dtype).tiny
    centred = (x - mean) / scale
    y = F.one_hot(labels, classes).to(x.dtype)
    n, width = x.shape
    gram = centred @ centred.T if n <= width else centred.T @ centred
    return Problem(centred, y - y.mean(0), mean, scale, y.mean(0), gram, groups)


def fit_ridge(given: Problem, strength: float) -> Ridge:
    """Solve for one strength, and leave out each group in closed form.

    With H the matrix that maps targets to fitted values, the residuals of a group g that was left
    out are (I - H_gg)^-1 times its residuals; with one image this is the well-known
    (y - fitted) / (1 - h).

    Raises:
        ArithmeticError: If the strength is too small for the precision.
    """
    x, n = given.x, len(given.x)
    ridge = strength * given.gram.diagonal().mean() + torch.finfo(x.dtype).tiny
    root, failed = torch.linalg.cholesky_ex(given.gram + ridge * torch.eye(len(given.gram)).to(x))
    if int(failed):
        raise ArithmeticError(f"a strength of {strength:g} is too small for this precision")
    if given.dual:
        inverse = torch.cholesky_inverse(root)
        weight = x.T @ (inverse @ given.y)
        half = None
    else:
        weight = torch.cholesky_solve(x.T @ given.y, root)
        half = torch.cat(  # (N, F), whose rows' products are H
            [torch.linalg.solve_triangular(root, part.T, upper=False).T for part in x.split(4096)]
        )
    residual = given.y - x @ weight

    def hat(rows: Tensor) -> Tensor:
        """The part of H that belongs to some images: (m,) -> (m, m); the mean is fitted, too."""
        if half is not None:
            part = half[rows] @ half[rows].T
        else:
            inner = inverse[rows][:, rows]
            part = torch.eye(len(rows), dtype=x.dtype) - ridge * inner
        return part + 1 / n

    own = 1 - ridge * inverse.diagonal() if half is None else half.square().sum(1)
    gone = residual / (1 - own - 1 / n).clamp_min(1e-6)[:, None]
    for rows in several(given.groups):
        inside = torch.eye(len(rows), dtype=x.dtype) - hat(rows)
        gone[rows] = torch.linalg.lstsq(inside, residual[rows]).solution
    raw = weight / given.scale[:, None]
    left_out = given.y + given.share - gone
    return Ridge(raw, given.share - given.mean @ raw, left_out, strength)


def several(groups: Tensor) -> list[Tensor]:
    """Positions of the members of each group that has more than one."""
    order = torch.argsort(groups, stable=True)
    counts = torch.unique_consecutive(groups[order], return_counts=True)[1]
    return [part for part in order.split(counts.tolist()) if len(part) > 1]


def choose_ridge(given: Problem, labels: Tensor, start: float) -> Ridge:
    """The strength whose left-out predictions are right most often; of equals the largest.

    Args:
        given: From `problem`.
        labels: (N,).
        start: Where the search begins; it goes on in either direction while that helps.
    """
    tried: dict[int, tuple[float, Ridge]] = {}

    def score(place: int) -> float:
        if place not in tried:
            try:
                found = fit_ridge(given, STRENGTHS[place])
            except ArithmeticError:
                return -1.0
            right = (found.left_out.argmax(1) == labels).double().mean()
            tried[place] = float(right), found
        return tried[place][0]

    best = min(range(len(STRENGTHS)), key=lambda i: abs(STRENGTHS[i] / start - 1))
    for step in (1, -1):
        while 0 <= best + step < len(STRENGTHS) and score(best + step) > score(best):
            best += step
    return tried[best][1]


def shares_of(columns: int, filters: int) -> dict[float, Tensor]:
    """Which columns the first filters have, for each share of the filters."""
    number = torch.arange(columns) % filters
    return {share: torch.nonzero(number < round(share * filters)).flatten() for share in SHARES}


def part(given: Problem, columns: Tensor) -> Problem:
    """The regression on some of the features: a block of the same Gram matrix where there is one.

    Args:
        given: From `problem`.
        columns: Which of its features.
    """
    x = given.x[:, columns]
    if len(x) <= len(columns):
        gram = x @ x.T
    else:
        gram = x.T @ x if given.dual else given.gram[columns][:, columns]
    mean, scale = given.mean[columns], given.scale[columns]
    return Problem(x, given.y, mean, scale, given.share, gram, given.groups)


def temperature(scores: Tensor, labels: Tensor) -> float:
    """The factor that makes scores the most probable logits of labels: (N, K), (N,)."""
    factors = [2.0**k for k in torch.linspace(-1, 8, 37).tolist()]
    losses = [float(F.cross_entropy(factor * scores, labels)) for factor in factors]
    return factors[losses.index(min(losses))]
