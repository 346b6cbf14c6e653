"""The trivial rungs: a few numbers per image, and a linear model.

| rung | null hypothesis | blind to |
|---|---|---|
| prior | the class frequencies are enough | the image |
| colour | a joint colour histogram is enough | all arrangement |
| moments | where brightness lies is enough | all but mass, centroid, second moments per channel |
| statistics | how much pixels near each other differ is enough | all but contrast and grain |
| pixels | a fixed template per class is enough | invariance: the model is linear in the image |

The linear model is scikit-learn's logistic regression on standardised features; its strength of
regularisation is chosen on held-out training images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from audit.baselines.coordinates import coordinates

Floats = NDArray[np.float32]
COLOUR_BINS = {1: 64, 3: 8}  # per channel: 64 grey levels, or 8 x 8 x 8 colours
PIXEL_SIDE = 16
APART = (1, 2, 4, 8)  # pixels between those whose difference the local statistics take
AT_ONCE = 2**22  # pixels that are worked on at a time: 32 MB of 64-bit numbers
STRENGTHS = (3e-4, 3e-2, 0.3, 3.0)  # scikit-learn's C, per 1,000 images


def colour(pixels: NDArray[np.uint8]) -> Floats:
    """Square roots of a joint colour histogram: (N, C, H, W) uint8 -> (N, bins).

    The square root makes differences of rare colours count (Hellinger distance).
    """
    return np.sqrt(np.concatenate([histogram(part) for part in portions(pixels)]))


def portions(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Images (N, C, H, W), some at a time, also where they are mapped from a file."""
    step = max(1, AT_ONCE // pixels[0].size)
    for start in range(0, len(pixels), step):
        yield np.ascontiguousarray(pixels[start : start + step])


def histogram(pixels: NDArray[np.uint8]) -> Floats:
    """Shares of pixels per colour: (N, C, H, W) uint8 -> (N, bins)."""
    n, channels = pixels.shape[:2]
    bins = COLOUR_BINS.get(channels, 4)
    codes = np.zeros((n, pixels[0, 0].size), dtype=np.int64)
    for c in range(channels):
        codes = codes * bins + (pixels[:, c].reshape(n, -1).astype(np.int64) * bins) // 256
    size = bins**channels
    flat = (np.arange(n)[:, None] * size + codes).ravel()
    counts = np.bincount(flat, minlength=n * size).reshape(n, size)
    return (counts / codes.shape[1]).astype(np.float32)


def moments(pixels: NDArray[np.uint8]) -> Floats:
    """Mass, centroid and second moments of brightness, per channel: (N, C, H, W) -> (N, 11 C).

    Read-outs by fixed convolutions as large as the image (the coordinate functions), a ReLU and a
    sum, which is how the CoordConv critique solves that paper's task without learning: of an image
    with one bright pixel the centroid is its position exactly.

    Reference: Piekniewski (2018), "Autopsy of a deep learning paper"; arXiv:1807.03247.
    """
    n, channels, h, w = pixels.shape
    i, j = coordinates(h, w, torch.zeros(1))  # (H, W) each, in [-1, 1]
    readouts = torch.stack(
        [torch.ones_like(i), (1 + i) / 2, (1 + j) / 2, i * i, j * j, (1 + i * j) / 2]
    )  # (6, H, W), none negative
    kernel = readouts[:, None].repeat(channels, 1, 1, 1)  # (6 C, 1, H, W)
    some = map(torch.from_numpy, portions(pixels))
    parts = [F.conv2d(part.float() / 255, kernel, groups=channels).relu() for part in some]
    raw = torch.cat(parts).view(n, channels, 6).double() / (h * w)
    mass = raw[..., :1].clamp_min(1e-9)
    centred = raw[..., 1:] / mass  # (N, C, 5)
    row, col = 2 * centred[..., 0] - 1, 2 * centred[..., 1] - 1
    second = torch.stack(
        [
            centred[..., 2] - row**2,
            centred[..., 3] - col**2,
            2 * centred[..., 4] - 1 - row * col,
        ],
        dim=-1,
    )
    found = torch.cat([raw, row[..., None], col[..., None], second], dim=-1)  # (N, C, 11)
    return found.flatten(1).float().numpy()


def pixels(images: NDArray[np.uint8]) -> Floats:
    """The image at no more than 16 x 16 pixels: (N, C, H, W) uint8 -> (N, C * 256), in [0, 1]."""
    size = tuple(min(PIXEL_SIDE, side) for side in images.shape[2:])
    some = map(torch.from_numpy, portions(images))
    parts = [F.interpolate(part.float(), size=size, mode="area") for part in some]
    return (torch.cat(parts) / 255).flatten(1).numpy()


def statistics(images: NDArray[np.uint8]) -> Floats:
    """How much pixels near each other differ, by direction, distance and channel.

    Mean absolute differences of pixels 1, 2, 4 and 8 apart in four directions, and the mean and the
    deviation of each channel; as logarithms, since grain is a matter of ratios.

    Args:
        images: (N, C, H, W) uint8, both sides at least 9 pixels where distance 8 counts.

    Returns:
        (N, C (2 + 4 distances)) float32.
    """
    found = []
    for part in portions(images):
        x = torch.from_numpy(part).float()
        numbers = [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
        for d in APART:
            if min(x.shape[2:]) <= d:
                break
            pairs = (
                (x[..., d:, :], x[..., :-d, :]),
                (x[..., d:], x[..., :-d]),
                (x[..., d:, d:], x[..., :-d, :-d]),
                (x[..., d:, :-d], x[..., :-d, d:]),
            )
            numbers += [(a - b).abs().mean(dim=(2, 3)) for a, b in pairs]
        found.append((torch.cat(numbers, dim=1) + 0.1).log())  # 0.1 of 255: flat images are finite
    return torch.cat(found).numpy()


def nothing(images: NDArray[np.uint8]) -> Floats:
    """No number of an image, so that class frequencies are all there is: (N, C, H, W) -> (N, 0)."""
    return np.zeros((len(images), 0), dtype=np.float32)


@dataclass(frozen=True)
class Linear:
    """A fitted linear model on standardised features.

    Attributes:
        mean: (D,) of the training features.
        scale: (D,) standard deviations, 1 where constant.
        weight: (K, D).
        bias: (K,).
        strength: scikit-learn's C that was chosen.
    """

    mean: Floats
    scale: Floats
    weight: Floats
    bias: Floats
    strength: float

    def log_probabilities(self, features: Floats) -> Floats:
        """(N, D) -> (N, K), natural logarithm."""
        logits = (features - self.mean) / self.scale @ self.weight.T + self.bias
        return log_softmax(logits.astype(np.float32))


def log_softmax(logits: Floats) -> Floats:
    """Row-wise logarithm of the softmax: (N, K) -> (N, K)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def fit_prior(labels: NDArray[np.int64], num_classes: int) -> Linear:
    """Class frequencies with one pseudo-count a class, as a linear model without features."""
    counts = np.bincount(labels, minlength=num_classes) + 1.0
    empty = np.zeros(0, dtype=np.float32)
    bias = np.log(counts / counts.sum()).astype(np.float32)
    return Linear(empty, empty, np.zeros((num_classes, 0), dtype=np.float32), bias, 0.0)


def fit_linear(
    features: Floats,
    labels: NDArray[np.int64],
    num_classes: int,
    strength: float,
    max_iter: int = 200,
) -> Linear:
    """Multinomial logistic regression with L2 regularisation.

    Args:
        features: (N, D).
        labels: (N,) in 0..K-1; classes that do not occur get a bias of -30. Without features
            (D = 0) the model is that of the class frequencies.
        num_classes: K.
        strength: C for 1,000 images; scaled by 1,000 / N, it means the same for all N.
        max_iter: Of the solver; reaching it is no error, the model is used as it is.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    if features.shape[1] == 0:
        return fit_prior(labels, num_classes)
    if len(np.unique(labels)) < 2:
        flat = np.zeros((num_classes, features.shape[1]), dtype=np.float32)
        prior = fit_prior(labels, num_classes)
        zero, one = np.zeros(flat.shape[1], np.float32), np.ones(flat.shape[1], np.float32)
        return Linear(zero, one, flat, prior.bias, strength)
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    constant = scale <= 1e-6 * np.maximum(1, np.abs(mean))  # up to rounding: no evidence
    mean, scale = mean.astype(np.float32), np.where(constant, 1, scale).astype(np.float32)
    x = ((features - mean) / scale).astype(np.float32)
    model = LogisticRegression(C=strength * 1000 / len(labels), max_iter=max_iter, tol=1e-4)
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):  # ours wait for torch's
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels)
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    weight = np.zeros((num_classes, features.shape[1]), dtype=np.float32)
    bias = np.full(num_classes, -30.0, dtype=np.float32)
    weight[model.classes_], bias[model.classes_] = coefficients, intercept
    return Linear(mean, scale, weight, bias, strength)


def choose_strength(
    fit: tuple[Floats, NDArray[np.int64]], heldout: tuple[Floats, NDArray[np.int64]], classes: int
) -> tuple[Linear, float]:
    """Fit at each strength; return the best on the held-out images and its accuracy there."""
    strengths = STRENGTHS if fit[0].shape[1] else STRENGTHS[:1]  # there is nothing to regularise
    models = [fit_linear(*fit, classes, strength) for strength in strengths]
    scores = [
        float((m.log_probabilities(heldout[0]).argmax(axis=1) == heldout[1]).mean()) for m in models
    ]
    best = int(np.argmax(scores))
    return models[best], scores[best]
