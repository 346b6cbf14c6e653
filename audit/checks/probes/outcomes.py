"""What jobs of this check find: linear probes."""

from audit.reports.document import FrozenModel


def twin_name(draw: int) -> str:
    """What an untrained network is called among the networks, by its number from 0."""
    return f"untrained-{draw}" if draw else "untrained"


class ReadOut(FrozenModel):
    """Values of the job `probes`; the first five have one item per read-out.

    Attributes:
        rows: Network ("subject", or the name of an untrained one), layer and loss.
        strengths: Strength of the regularisation that was chosen.
        edges: Which end of the strengths that were tried it is: "least", "greatest" or empty.
        heldout: Accuracy on held-out training images.
        widths: Number of features.
        reasons: Why a layer has no read-out, by "network.layer".
        images: Number of training images.
        asked: Number of training images that were to be taken.
        heldout_images: Number of training images that choose the strength.
        seconds: Duration.
    """

    rows: tuple[tuple[str, str, str], ...]
    strengths: tuple[float, ...]
    edges: tuple[str, ...]
    heldout: tuple[float, ...]
    widths: tuple[int, ...]
    reasons: dict[str, str]
    images: int
    asked: int
    heldout_images: int
    seconds: float
