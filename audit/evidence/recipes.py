"""Recipes that are tried for one null: learning rates, crops, and milder ones."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from audit.baselines.patch_net import STRIDE
from audit.baselines.train import Recipe
from audit.evidence.outcomes import RecipeTrial
from audit.evidence.setup import Null

AUGMENTED = ("bagnet", "sighted")  # coordinates are of the image as it is: no geometry on a torus
EXTENSIONS = 2  # rates tried beyond the grid while the best lies at its edge


def milder(recipe: Recipe, null: Null) -> list[Recipe]:
    """Recipes that overfit less: more weight decay, or augmentation where the null allows it."""
    found = [dataclasses.replace(recipe, weight_decay=10 * recipe.weight_decay)]
    if null.kind in AUGMENTED and not recipe.window:  # a window is a crop already
        found.append(dataclasses.replace(recipe, augment="mirror-crop"))
    return found


def trial(recipe: Recipe, reached: float) -> RecipeTrial:
    """What was tried and what it reached."""
    return RecipeTrial(**dataclasses.asdict(recipe), heldout_accuracy=reached)


def made(start: Recipe, images_seen: int, rate: float, crop: int, augment: str) -> Recipe:
    """The recipe that all nulls begin with, but for what is chosen."""
    return dataclasses.replace(
        start, images_seen=images_seen, rate=rate, crop=crop, augment=augment
    )


def crop_side(q: int, side: int) -> int:
    """The largest crop of at most two thirds of the side that patches of q pixels cover exactly.

    0 if that leaves less than two patches a side.
    """
    largest = 2 * side // 3
    crop = largest - (largest - q) % STRIDE
    return crop if crop > q else 0


def search_grid(
    attempt: Callable[[float], float], rates: Sequence[float], n: int
) -> tuple[dict[float, float], bool]:
    """Try every rate, and further ones while the best lies at the edge.

    Args:
        attempt: Accuracy on `n` held-out images at a rate.
        rates: To begin with.
        n: Held-out images.

    Returns:
        Accuracies by rate, and whether the best still lies at the edge and beats the next.
    """
    scores = {rate: attempt(rate) for rate in rates}
    for _ in range(EXTENSIONS):
        best, grid = max(scores, key=scores.__getitem__), sorted(scores)
        if best not in (grid[0], grid[-1]) or not beats_next(scores, best, n):
            break
        beyond = best / 2 if best == grid[0] else best * 2
        scores[beyond] = attempt(beyond)
    best, grid = max(scores, key=scores.__getitem__), sorted(scores)
    return scores, best in (grid[0], grid[-1]) and beats_next(scores, best, n)


def beats_next(scores: dict[float, float], best: float, n: int) -> bool:
    """Whether the best rate beats its neighbour by more than the 95 % interval of the difference.

    The interval is that of two independent sets of `n` images; on the same images it is narrower.
    """
    grid = sorted(scores)
    place = grid.index(best)
    p, q = scores[best], scores[grid[1] if place == 0 else grid[place - 1]]
    return p - q > 1.96 * math.sqrt((p * (1 - p) + q * (1 - q)) / n)
