"""What jobs of this check find: retrained networks."""

from audit.jobs.values import Status

UNTRAINED = "untrained"  # the kind of network whose frozen layers learned nothing


class Retrained(Status):
    """Values of the jobs `transfer` and `split_network`: how a network was trained.

    Attributes:
        rate: Learning rate that was chosen.
        trials: Accuracy on held-out training images by rate.
        images: Number of training images.
        seen: Number of training images seen.
        seconds: Duration of the training.
    """

    rate: float
    trials: dict[str, float]
    images: int
    seen: int
    seconds: float


class TrainedBase(Retrained):
    """Values of the job `split_base`.

    Attributes:
        chance: Share of the largest class among the evaluation images.
    """

    chance: float
