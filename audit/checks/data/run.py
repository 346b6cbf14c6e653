"""Executor that names files: what leaks, repeats or contradicts, what was left out; and sizes.

Names are no part of what identifies the data, so this job has a key of its own; it looks up at most
20 of each kind.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audit.checks.data.outcomes import Extent, Listed
from audit.data.dataset import Dataset, Split
from audit.evidence.context import JobContext
from audit.evidence.outcomes import FoundInData, Pair
from audit.evidence.outputs import NAMED, needed
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome


def listing(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Names by kind, and the smallest, median and largest width and height of each split.

    Returns:
        Values `files` (kind to at most 20 lines) and `sizes` (split to [smallest, median, largest]
        of the width, then of the height; a split whose sizes are not known is absent).
    """
    facts, data = results[needed(job, "facts").key].read(FoundInData), context.dataset
    left_out = others(data)
    files = {
        "leak": pairs(facts.exact_leaks, "eval", "train", data),
        "near_leak": pairs(facts.near_leaks, "eval", "train", data),
        "conflict": tuple(
            f"{name(a, i, data)} and {name(b, j, data)}" for a, i, b, j in facts.conflicts
        ),
        "eval_copy": pairs(facts.eval_copies, "eval", "eval", data),
        "train_copy": pairs(facts.train_copies, "train", "train", data),
        "unreadable": tuple(f"{path} {why}" for path, why in data.broken[:NAMED]),
        "skipped": tuple(left_out[:NAMED]),
    }
    sizes = {
        split.name: extent(split)
        for split in (data.train, data.eval)
        if split is not None and split.sizes is not None
    }
    return Outcome(Listed(files=files, sizes=sizes, skipped=len(left_out)))


def pairs(found: Sequence[Pair], first: str, second: str, data: Dataset) -> tuple[str, ...]:
    """At most 20 pairs of images that are alike."""
    return tuple(f"{name(first, i, data)} and {name(second, j, data)}" for i, j in found[:NAMED])


def name(split: str, index: int, data: Dataset) -> str:
    """The file of an image, and its class."""
    images = data.eval if split == "eval" else data.train
    if images is None:
        return f"{split} image {index:,} (not at hand)"
    return f"{split}/{images.paths[index]}"


def others(data: Dataset) -> list[str]:
    """Files that were left out and are no unreadable images."""
    unreadable = {path for path, _ in data.broken}
    return [path for path in data.skipped if path not in unreadable]


def extent(split: Split) -> tuple[Extent, Extent]:
    """Smallest, median and largest width, then height, in pixels."""
    assert split.sizes is not None
    width, height = np.quantile(split.sizes, [0, 0.5, 1], axis=0).T.tolist()
    return (width[0], width[1], width[2]), (height[0], height[1], height[2])
