"""Linear read-outs of features: logistic regression and a linear SVM, by a library's solver.

After DeCAF (Donahue et al. 2014, arXiv:1310.1531) and "CNN features off-the-shelf" (Razavian et al.
2014, arXiv:1403.6382): a layer's features are frozen, brought to length one, and a linear model
learns the classes from them; how strongly it is held down is chosen on images set aside.

Both read-outs minimise, with lambda = 1 / (1,000 C),

    mean over images of loss(W x + b) + lambda / 2 |W|^2

which is scikit-learn's objective with its C at 1,000 images; the same C means the same for any
number of images. The bias is free. The loss is smooth, so SciPy's L-BFGS-B finds the minimum; it
works in the features' principal directions, each divided by the root of its curvature, where the
problem is round and tens of steps are enough. That changes the path and not the minimum.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Loss = Literal["logistic", "hinge"]
Edge = Literal["", "least", "greatest"]
STRENGTHS = (1.0, 10.0, 100.0, 1000.0)  # C at 1,000 images, for features of length one, at first
FURTHER = 3  # factors of ten at most that the search goes beyond either of their ends

WORK = (
    4e10  # images x features x classes x steps that it may take there: of 50,000 x 2,048, 40 steps
)

TOO_FEW = 20  # steps that lead nowhere
CURVATURE: dict[Loss, float] = {"logistic": 0.1, "hinge": 2.0}  # of the loss, about
STEPS = 300  # of the solver, at most
ROTATED = 4096  # wider features are only scaled: their principal directions cost too much
ROWS = 4096  # images a block
CONSTANT = 1e-6  # standard deviation of features of length one that is rounding


class Basis(NamedTuple):
    """In what terms the solver works.

    Attributes:
        mean: (D,) of the features.
        directions: (D, D) principal directions in columns; None: the axes themselves.
        variance: (D,) along them.
    """

    mean: Tensor
    directions: Tensor | None
    variance: Tensor


class Readout(NamedTuple):
    """A linear model.

    Attributes:
        weight: (K, D).
        bias: (K,).
        strength: C at 1,000 images.
        steps: Of the solver.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    steps: int

    def predict(self, x: Tensor) -> Tensor:
        """The most likely class: (N, D) -> (N,)."""
        return (x @ self.weight.T + self.bias).argmax(1)


class ChosenReadout(NamedTuple):
    """A read-out whose strength was chosen.

    Attributes:
        readout: Learned from all images, at the strength that was best.
        strengths: That were tried, ascending.
        heldout: Share of the images set aside that were right at each strength, learned from the
            others.
        edge: Which end of the strengths is still the best, so that one beyond it may be better:
            "least", "greatest", or empty.
    """

    readout: Readout
    strengths: tuple[float, ...]
    heldout: tuple[float, ...]
    edge: Edge


def normalised(features: Tensor) -> Tensor:
    """Rows of length one: (N, D) -> (N, D), float32. Rows of zeros stay, and so does what is NaN.

    Multiplying all features by a positive number changes nothing.
    """
    x = features.to(torch.float32)
    largest = x.abs().amax(1, keepdim=True)
    x = x / torch.where(largest > 0, largest, 1)  # so that squares neither vanish nor overflow
    length = x.norm(dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1)


def unusable(x: Tensor) -> str:
    """Why nothing can be read from features (N, D), in words; empty if something can."""
    if not x.numel():
        return "there are no features"
    if not x.isfinite().all():
        return "the features are not all finite numbers"
    if float(x.std(0, correction=0).max()) <= CONSTANT:
        return "the features are the same for all images"
    return ""


def basis_of(x: Tensor) -> Basis:
    """Principal directions of features (N, D); of more than 4,096 only the axes' variances."""
    mean = x.mean(0)
    if x.shape[1] > ROTATED:
        return Basis(mean, None, x.var(0, correction=0))
    moments = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    for block in x.split(ROWS):
        centred = block - mean
        moments += centred.T @ centred
    variance, directions = torch.linalg.eigh(moments / len(x))
    return Basis(mean, directions.to(x.dtype), variance.clamp_min(0).to(x.dtype))


def logistic(logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """Cross-entropy summed over images, and its slope: (B, K), (B,) -> value, (B, K)."""
    log_p = logits.log_softmax(1)
    value = -float(log_p.gather(1, labels[:, None]).double().sum())
    slope = log_p.exp()
    slope.scatter_add_(1, labels[:, None], slope.new_full((len(labels), 1), -1))
    return value, slope


def hinge(logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """Squared hinge loss of one class against the rest, summed over images and classes: likewise.

    Squared, as in scikit-learn's LinearSVC, so that it has a slope everywhere.
    """
    sign = torch.full_like(logits, -1).scatter_(1, labels[:, None], 1)
    short = (1 - sign * logits).clamp_min(0)
    return float(short.square().double().sum()), -2 * sign * short


LOSSES: dict[Loss, Callable[[Tensor, Tensor], tuple[float, Tensor]]] = {
    "logistic": logistic,
    "hinge": hinge,
}


class Solver(NamedTuple):
    """How the minimum of a read-out's loss is looked for.

    Attributes:
        basis: That of the features, or of features like them: it decides how fast it is found.
        start: Where to start, as from the minimum at another strength; None: at zero.
        most: Largest number of steps.
    """

    basis: Basis
    start: Readout | None = None
    most: int = STEPS


def fit(
    x: Tensor,
    labels: Tensor,
    classes: int,
    loss: Loss,
    strength: float,
    solver: Solver | None = None,
) -> Readout:
    """Learn a read-out.

    Args:
        x: (N, D) finite features, usually of length one.
        labels: (N,) in 0..K-1.
        classes: K.
        loss: "logistic" (one model of all classes), or "hinge" (each class against the rest).
        strength: C at 1,000 images.
        solver: How the minimum is looked for.

    Returns:
        The minimum, or where the solver stood after its last step.
    """
    from scipy.optimize import minimize

    solver = solver or Solver(basis_of(x))
    basis = solver.basis
    penalty = 1 / (1000 * strength)
    scale = (CURVATURE[loss] * basis.variance + penalty).rsqrt()
    width = x.shape[1]

    def unpacked(flat: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        both = torch.from_numpy(flat).to(x).view(classes, width + 1)
        return both[:, :width] * scale, both[:, width]

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        inner, bias = unpacked(flat)  # bias of the centred features
        weight = inner if basis.directions is None else inner @ basis.directions.T
        offset, value = bias - weight @ basis.mean, 0.0
        slope, total = torch.zeros_like(weight), torch.zeros_like(bias)
        for rows, truth in zip(x.split(ROWS), labels.split(ROWS), strict=True):
            part, slopes = LOSSES[loss](rows @ weight.T + offset, truth)
            value += part / len(x)
            slope += slopes.T @ rows / len(x)
            total += slopes.sum(0) / len(x)
        slope -= total[:, None] * basis.mean
        slope = slope if basis.directions is None else slope @ basis.directions
        slope = (slope + penalty * inner) * scale
        value += penalty / 2 * float(inner.square().double().sum())
        return value, torch.cat([slope, total[:, None]], 1).double().cpu().numpy().ravel()

    first = (
        np.zeros(classes * (width + 1))
        if solver.start is None
        else packed(solver.start, basis, scale)
    )
    options: Any = {"maxiter": solver.most, "maxcor": 10, "ftol": 1e-8, "gtol": 1e-6}
    found: Any = minimize(objective, first, jac=True, method="L-BFGS-B", options=options)
    inner, bias = unpacked(found.x)
    weight = inner if basis.directions is None else inner @ basis.directions.T
    return Readout(weight, bias - weight @ basis.mean, strength, int(found.nit))


def packed(start: Readout, basis: Basis, scale: Tensor) -> NDArray[np.float64]:
    """A read-out in the solver's terms."""
    inner = start.weight if basis.directions is None else start.weight @ basis.directions
    bias = start.bias + start.weight @ basis.mean
    both = torch.cat([inner / scale, bias[:, None]], 1)
    return both.double().cpu().numpy().ravel()


def choose(
    x: Tensor,
    labels: Tensor,
    kept: int,
    classes: int,
    loss: Loss,
    strengths: Sequence[float] = STRENGTHS,
    basis: Basis | None = None,
) -> ChosenReadout:
    """Choose the strength on images set aside, and learn from all images at it.

    While the weakest or the strongest strength is the best one, another beyond it is tried, ten
    times weaker or stronger: at most `FURTHER` at either end, and within `WORK`, so that a large
    problem does not take several times as long.

    Args:
        x: (N, D) features.
        labels: (N,).
        kept: The first so many images are learned from, the others are set aside.
        classes: K.
        loss: Of the read-out.
        strengths: C at 1,000 images to begin with, ascending; of equally good ones the first is
            taken.
        basis: Of `x`.
    """
    basis = basis_of(x) if basis is None else basis
    tried: dict[float, Readout] = {}
    scores: dict[float, float] = {}

    def attempt(strength: float, start: Readout | None, most: int) -> None:
        tried[strength] = fit(
            x[:kept], labels[:kept], classes, loss, strength, Solver(basis, start, most)
        )
        right = tried[strength].predict(x[kept:]) == labels[kept:]
        scores[strength] = float(right.double().mean())

    for strength in strengths:
        attempt(strength, next(reversed(tried.values()), None), STEPS)
    room = int(WORK / (max(1, x[:kept].numel()) * classes))  # steps
    last = min(STEPS, room)
    for _ in range(FURTHER):
        edge, end = edge_of(scores)
        if not edge or room < TOO_FEW:
            break
        beyond = end / 10 if edge == "least" else end * 10
        attempt(beyond, tried[end], min(STEPS, room))
        room -= tried[beyond].steps
    edge, _ = edge_of(scores)
    ordered = sorted(scores)
    best = max(ordered, key=scores.__getitem__)  # of equals the first
    most = STEPS if best in strengths else last
    found = fit(x, labels, classes, loss, best, Solver(basis, tried[best], most))
    return ChosenReadout(found, tuple(ordered), tuple(scores[c] for c in ordered), edge)


def edge_of(scores: Mapping[float, float]) -> tuple[Edge, float]:
    """Which end of the strengths is better than all others, and that strength.

    Args:
        scores: Shares right on the images set aside, by strength.
    """
    ends: tuple[tuple[Edge, float], ...] = (("least", min(scores)), ("greatest", max(scores)))
    for edge, end in ends:
        if all(scores[end] > score for c, score in scores.items() if c != end):
            return edge, end
    return "", math.nan
