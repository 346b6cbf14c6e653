"""Ridge regression in closed form: exact leave-one-out, by groups, and the choice of a strength."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

STRENGTHS = tuple(10 ** (k / 2) for k in range(-10, 5))  # of the ridge, relative to the Gram matrix
FIRST = {1: 3e-3, 2: 3e-2, 3: 3e-2}  # by cells a side: where the search for the strength starts
SHARES = (0.25, 0.5, 1.0)  # of the filters: the learning curve


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
    constant = deviation <= 1e-6 * mean.abs() + 1e-12  # up to rounding: no evidence
    scale = torch.where(constant, 1.0, deviation + 0.1 * deviation.mean())
    centred = torch.where(constant, 0.0, (x - mean) / scale)
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
    """A strength whose left-out predictions are right more often than at the next ones.

    Args:
        given: From `problem`.
        labels: (N,).
        start: Where the search begins; it goes on in either direction while that helps.

    Raises:
        ArithmeticError: If no strength can be solved.
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
    score(best)
    for step in (1, -1):
        while 0 <= best + step < len(STRENGTHS) and score(best + step) > score(best):
            best += step
    if best not in tried:
        raise ArithmeticError("no strength of the ridge can be solved in this precision")
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
