"""What jobs of this check find: estimates of dimension."""

from pydantic import Field

from audit.reports.document import FrozenModel


class Dimension(FrozenModel):
    """One estimate of an intrinsic dimension.

    Attributes:
        value: In dimensions; NaN if refused.
        low: Lower end of the 95 % interval; NaN if refused.
        high: Upper end of the 95 % interval; NaN if refused.
        n: Number of distinct points.
        duplicates: Number of points that were merged into others.
        reason: Why it was refused; empty if it was not.
    """

    value: float
    low: float
    high: float
    n: int
    duplicates: int
    reason: str


class Estimate(Dimension):
    """One estimate at the last layer; see `audit.kernels.twonn.IdEstimate`.

    Attributes:
        second: Second estimator; NaN if refused.
        curve: Number of points, value, low and high of the estimates on fewer points.
    """

    second: float
    curve: tuple[tuple[int, float, float, float], ...]


class LastLayer(FrozenModel):
    """Values of the job `dimension`.

    Attributes:
        trained: Estimate of the trained model.
        untrained: Mean of the untrained networks, on the scale of logarithms.
        drawn: Dimension of each untrained network.
        log_ratio: Logarithm of the ratio of both, and the ends of its 95 % interval.
        n: Number of images.
        by_class: Estimate on the images of each class; empty for a baseline.
    """

    trained: Estimate
    untrained: Estimate
    drawn: tuple[float, ...]
    log_ratio: tuple[float, float, float]
    n: int
    by_class: tuple[Estimate, ...]


class ProfilePoint(Dimension):
    """One layer of a network; see `audit.kernels.pairwise.CloudId`.

    Attributes:
        name: Name of the layer.
        depth: Relative depth.
        pca: Principal components for 90 % of the variance; NaN if refused.
        width: Number of coordinates.
    """

    name: str
    depth: float
    pca: float
    width: int


class Profiled(FrozenModel):
    """Values of the job `id_profile`.

    Attributes:
        points: The input and every layer, in order.
        images: Number of images.
        on_disk: Bytes of activations that were kept on disk.
    """

    points: tuple[ProfilePoint, ...] = Field(min_length=1)
    images: int
    on_disk: int
