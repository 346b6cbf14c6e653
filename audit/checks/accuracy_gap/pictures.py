"""Executor that picks example images, and draws what null and subject go by over them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from audit.baselines.device import PROCESSOR
from audit.baselines.patch_net import PatchNet
from audit.checks.accuracy_gap.occlusion import occlusions, patch_side
from audit.checks.accuracy_gap.outcomes import Drawn
from audit.core.sizes import Size, height_width
from audit.evidence.context import JobContext
from audit.evidence.fit_null import null_of, restore
from audit.evidence.outputs import needed
from audit.evidence.setup import Null
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome

PER_GROUP = 8
SIDE, GAP = 128, 4  # longer side of a panel, and between two, in pixels
PALE = 0.3  # share of its contrast that an image keeps under colours
BLUE, RED = np.array([0, 114, 178]), np.array([213, 94, 0])  # colour-blind safe
SMALL = 0.01  # of the lead: losing less than that is drawn pale


def pictures(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Examples of three groups: only the subject right, the null already right, both wrong.

    `after` is the subject's outputs, the null's `fit`, the null's outputs.

    Returns:
        Values `captions` and `groups`; a picture (H, W, 3) uint8 for each, by its position "00",
        "01"..., in panels of the shape of what the subject sees: the image as the null sees it, the
        evidence for the class that the null names, and where there was time, what the subject loses
        where a patch is hidden.
    """
    subject, fitted, outputs = (results[j.key] for j in job.after)
    null, split = null_of(job, context), context.split("eval")
    network = restore(job.after[1], fitted, context)
    assert isinstance(network, PatchNet)
    labels, theirs = split.labels, outputs.arrays["logits"]
    says, null_says = subject.arrays["logits"].argmax(axis=1), theirs.argmax(axis=1)
    confidence = torch.from_numpy(theirs).softmax(1).max(dim=1).values.numpy()
    right, null_right = says == labels, null_says == labels
    groups = {
        "Only the model is right": right & ~null_right,
        f"{null.title} is right already": null_right,
        "Both are wrong": ~right & ~null_right,
    }
    chosen = {
        i: heading
        for heading, member in groups.items()
        for i in ranked(member, labels, confidence)[:PER_GROUP]
    }
    losses = lost_by_subject(context, in_turns(chosen), subject.arrays["logits"], null, tick)
    images = context.evaluation(null, results[needed(job, "statistics").key])
    found: dict[str, NDArray[np.uint8]] = {}
    captions, sides = [], panel_sides(context.subject.preprocessing.img_size)
    for i in chosen:
        evidence = map_of(network, images.normalised(torch.tensor([i])), int(null_says[i]))
        image = upright(images.pixels[i].numpy())
        panels = (resized(image, sides), overlay(image, evidence, sides), *losses[i].panel)
        found[f"{len(found):02d}"] = side_by_side(panels)
        name, own, other = (context.setup.classes[k[i]] for k in (labels, says, null_says))
        place = "middle" if losses[i].panel else "right"
        captions.append(
            f"{split.paths[i]}: labelled {name}; {null.title} says {other} ({place}), the model "
            f"says {own} ({losses[i].words})"
        )
    return Outcome(Drawn(captions=tuple(captions), groups=tuple(chosen.values())), found)


class OcclusionLoss(NamedTuple):
    """What the subject loses in an image where a patch is hidden.

    Attributes:
        words: For the caption: how much, or why that is not known.
        panel: (H, W, 3) uint8; none where it is not known.
    """

    words: str
    panel: tuple[NDArray[np.uint8], ...] = ()


def lost_by_subject(
    context: JobContext, chosen: list[int], logits: NDArray[np.float32], null: Null, tick: Tick
) -> dict[int, OcclusionLoss]:
    """What the subject loses, by image.

    Args:
        context: Has the subject.
        chosen: Positions of evaluation images, the most wanted first.
        logits: (N, K) of the subject, in the order of the data's classes.
        null: A patch is as large as what it sees at a time.
        tick: Told the share that is done.
    """
    from audit.model.network.split import outputs

    model, view = context.placed(context.subject.model.eval()), context.subject.preprocessing
    order = list(context.setup.order) or slice(None)
    images = context.subject_images("eval", np.array(chosen, dtype=np.int64))
    sides = height_width(view.img_size)
    reduced = max(sides) / max(height_width(context.setup.input.size))
    height, width = (patch_side(reduced * null.extent, side) for side in sides)
    panel = panel_sides(view.img_size)
    maps = occlusions(
        lambda x: outputs(model, x.to(context.device))[1][:, order].to(PROCESSOR),
        images.normalised(torch.arange(len(images))),
        logits[chosen].argmax(axis=1),
        (height, width),
        tick,
    )
    found = {}
    for i, pixels, lost in zip(chosen, images.pixels.numpy(), maps, strict=True):
        lead = float(logits[i].max() - logits[i].mean())
        found[i] = (
            OcclusionLoss(lost) if isinstance(lost, str) else drawn(pixels, lost, lead, panel)
        )
    return found


def drawn(
    pixels: NDArray[np.uint8], lost: NDArray[np.float32], lead: float, sides: tuple[int, int]
) -> OcclusionLoss:
    """A panel of these sides, and how much of its lead the subject loses at most."""
    share = max(0.0, float(lost.max())) / lead if lead > 0 else 0.0
    much = f"up to {100 * share:.0f}" if share >= SMALL else f"less than {100 * SMALL:.0f}"
    panel = overlay(upright(pixels), lost, sides, SMALL * lead)
    return OcclusionLoss(f"right: hiding a patch costs {much} % of its lead", (panel,))


def in_turns(chosen: Mapping[int, str]) -> list[int]:
    """The groups taking turns, each in its own order."""
    seen: dict[str, int] = {}
    turns: list[tuple[int, int, int]] = []
    for i, heading in chosen.items():
        seen[heading] = seen.get(heading, 0) + 1
        turns.append((seen[heading], len(turns), i))
    return [i for _, _, i in sorted(turns)]


def ranked(
    member: NDArray[np.bool_], labels: NDArray[np.int64], confidence: NDArray[np.float32]
) -> list[int]:
    """Members with the null's confidence falling, the classes taking turns."""
    positions = np.flatnonzero(member)
    positions = positions[np.argsort(-confidence[positions], kind="stable")]
    turn: dict[int, int] = {}
    keyed = []
    for rank, i in enumerate(positions):
        label = int(labels[i])
        turn[label] = turn.get(label, 0) + 1
        keyed.append((turn[label], rank, int(i)))
    return [i for _, _, i in sorted(keyed)]


def map_of(network: PatchNet, x: torch.Tensor, target: int) -> NDArray[np.float32]:
    """Evidence for a class, per pixel: how far each patch's logit is above the mean of classes.

    Returns:
        (H, W): every pixel takes the mean over the patches that see it.
    """
    with torch.no_grad():
        logits = network.evidence(x)[0]  # (K, h, w)
    evidence = (logits[target] - logits.mean(dim=0))[None, None]
    kernel = torch.ones(1, 1, network.q, network.q)
    total = F.conv_transpose2d(evidence, kernel, stride=network.vote.spacing)
    count = F.conv_transpose2d(torch.ones_like(evidence), kernel, stride=network.vote.spacing)
    height, width = x.shape[2:]  # the network may have extended the image
    return (total / count.clamp_min(1))[0, 0, :height, :width].numpy()


def panel_sides(size: Size) -> tuple[int, int]:
    """Height and width of a panel that shows what a model sees at this size."""
    height, width = height_width(size)
    longer = max(height, width)
    return max(1, round(SIDE * height / longer)), max(1, round(SIDE * width / longer))


def side_by_side(panels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Panels of the same height in a row, with white between them."""
    gap = np.full((len(panels[0]), GAP, 3), 255, dtype=np.uint8)
    row = [part for panel in panels for part in (gap, panel)]
    return np.concatenate(row[1:], axis=1)


def upright(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As pictures are kept, in colour: (C, H, W) -> (H, W, 3)."""
    return np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)


def overlay(
    image: NDArray[np.uint8],
    evidence: NDArray[np.float32],
    sides: tuple[int, int],
    least: float = 0.0,
) -> NDArray[np.uint8]:
    """Evidence over a pale grey copy of an image: (*sides, 3) uint8.

    Args:
        image: (H, W, 3).
        evidence: (H, W); what is above zero becomes orange, what is below blue.
        sides: Height and width of the result.
        least: Evidence that gets the full colour, where there is none stronger.
    """
    limit = max(float(np.quantile(np.abs(evidence), 0.99)), least, 1e-6)
    strength = np.clip(evidence / limit, -1, 1)[..., None]
    colour = np.where(strength > 0, RED, BLUE)
    pale = 255 - (255 - image.mean(axis=2, keepdims=True)) * PALE
    mixed = pale * (1 - 0.7 * np.abs(strength)) + colour * 0.7 * np.abs(strength)
    return resized(mixed.astype(np.uint8), sides)


def resized(image: NDArray[np.uint8], sides: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) -> (*sides, 3): enlarged pixels stay sharp, large images are averaged."""
    small = max(image.shape[:2]) <= max(sides)
    way = Image.Resampling.NEAREST if small else Image.Resampling.BOX
    picture = Image.fromarray(np.ascontiguousarray(image)).resize(sides[::-1], way)
    return np.asarray(picture)
