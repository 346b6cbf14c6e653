"""How large a closed-form patch null is, and what it costs."""

from typing import NamedTuple

from audit.evidence.setup import Null, Setup

MANY = 20_000  # images from which on there are fewer filters, for memory
GRID = 32  # patches a side, about: neighbours overlap, and large images take no longer for it
CLOSEST = 5  # pixels between patches of 9, at most, so that a mark of 5 pixels is whole in one
ROWS = 5  # means that each response goes into: of the image, and of 2 x 2 cells
SPEED = 1.5e7  # operations in the time of one unit of cost, measured with 512 filters of 9 x 9


class RidgePlan(NamedTuple):
    """How large a closed form is.

    Attributes:
        filters: How many patches serve as filters.
        stride: Pixels between neighbouring patches.
        patches: How many an image has.
    """

    filters: int
    stride: int
    patches: int


def plan_of(setup: Setup, null: Null) -> RidgePlan:
    """The size of a closed form, by the size of the images and their number."""
    height, width = setup.null_size(null)
    q = null.q or 0
    apart = max(1, -(-min(height, width) // GRID))
    stride = min(apart, CLOSEST if q <= 9 else q // 2)
    down, across = (-(-(side - q) // stride) + 1 for side in (height, width))
    large = max(height, width) > 64
    filters = 256 if large else 384 if setup.n_train > MANY else 512
    return RidgePlan(filters, stride, down * across)


def cost_of(setup: Setup, null: Null) -> float:
    """Cost of the features of one image."""
    plan = plan_of(setup, null)
    inner = setup.channels * (null.q or 0) ** 2 + 2 * ROWS
    return 2 * plan.patches * plan.filters * inner / SPEED
