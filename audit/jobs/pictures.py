"""Executor that picks example images and draws the null's evidence over them."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from audit.jobs.nulls import null_of, restore
from audit.jobs.outputs import needed
from audit.jobs.workshop import Tick, Workshop
from audit.store import Outcome
from audit.work import Job
from baselines.sibling import STRIDE, Sibling

PER_GROUP = 8
SIDE = 128  # of a picture, in pixels; two stand side by side
BLUE, RED = np.array([0, 114, 178]), np.array([213, 94, 0])  # colour-blind safe


def pictures(job: Job, shop: Workshop, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Examples of three groups: only the subject right, the null already right, both wrong.

    `after` is the subject's outputs, the null's `fit`, the null's outputs.

    Returns:
        Values `captions` and `groups`; array `pictures` (M, SIDE, 2 SIDE, 3) uint8: the image as
        the null sees it, and the evidence for the class that the null names.
    """
    subject, fitted, outputs = (results[j.key] for j in job.after)
    null, split = null_of(job, shop), shop.split("eval")
    network = restore(job.after[1], fitted, shop)
    assert isinstance(network, Sibling)
    labels = split.labels
    subject_says = subject.arrays["logits"].argmax(axis=1)
    null_says = outputs.arrays["logits"].argmax(axis=1)
    right, null_right = subject_says == labels, null_says == labels
    groups = {
        "Only the model is right": right & ~null_right,
        f"{null.title} is right already": null_right,
        "Both are wrong": ~right & ~null_right,
    }
    confidence = torch.from_numpy(outputs.arrays["logits"]).softmax(1).max(dim=1).values.numpy()
    scale = results[needed(job, "statistics").key]
    classes, images = shop.setup.classes, shop.evaluation(null, scale)
    found: list[NDArray[np.uint8]] = []
    captions, headings = [], []
    for heading, member in groups.items():
        for i in ranked(member, labels, confidence)[:PER_GROUP]:
            evidence = map_of(network, images.normalised(torch.tensor([i])), int(null_says[i]))
            found.append(side_by_side(images.pixels[i].numpy(), evidence))
            captions.append(
                f"{split.paths[i]}: labelled {classes[labels[i]]}, the model says "
                f"{classes[subject_says[i]]}, {null.title} says {classes[null_says[i]]}"
            )
            headings.append(heading)
    stacked = np.stack(found) if found else np.zeros((0, SIDE, 2 * SIDE, 3), dtype=np.uint8)
    return Outcome({"captions": captions, "groups": headings}, {"pictures": stacked})


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


def map_of(network: Sibling, x: torch.Tensor, target: int) -> NDArray[np.float32]:
    """Evidence for a class, per pixel: how far each patch's logit is above the mean of classes.

    Returns:
        (H, W): every pixel takes the mean over the patches that see it.
    """
    with torch.no_grad():
        logits = network.evidence(x)[0]  # (K, h, w)
    evidence = (logits[target] - logits.mean(dim=0))[None, None]
    kernel = torch.ones(1, 1, network.q, network.q)
    total = F.conv_transpose2d(evidence, kernel, stride=STRIDE)
    count = F.conv_transpose2d(torch.ones_like(evidence), kernel, stride=STRIDE)
    return (total / count.clamp_min(1))[0, 0].numpy()


def side_by_side(pixels: NDArray[np.uint8], evidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The image, and beside it the evidence over a pale grey copy: (SIDE, 2 SIDE, 3) uint8."""
    image = np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)
    left = Image.fromarray(np.ascontiguousarray(image)).resize(
        (SIDE, SIDE), Image.Resampling.NEAREST
    )
    limit = max(float(np.quantile(np.abs(evidence), 0.99)), 1e-6)
    strength = np.clip(evidence / limit, -1, 1)[..., None]
    colour = np.where(strength > 0, RED, BLUE)
    pale = 255 - (255 - image.mean(axis=2, keepdims=True)) * 0.5
    mixed = pale * (1 - 0.7 * np.abs(strength)) + colour * 0.7 * np.abs(strength)
    right = Image.fromarray(mixed.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return np.concatenate([np.asarray(left), np.asarray(right)], axis=1)
