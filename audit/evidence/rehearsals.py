"""Finished networks of one recipe on held-out images: what votes, and the learning curve."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from audit.baselines.images import Images, Mirrored
from audit.baselines.patch_net import SPACINGS, STRIDE, PatchNet, PatchSampling
from audit.baselines.train import Recipe, predict
from audit.evidence.outcomes import LearningPoint
from audit.stats.adequacy import Adequacy, adequacy

WHILE_TRAINING = 0.004**2  # seed variance assumed when deciding on a larger budget


@dataclass
class Rehearsals:
    """Networks of one recipe, finished at several budgets, on the held-out images.

    Attributes:
        labels: (m,) of the held-out images.
        votes: (m, K) each, by what votes, then by training images seen, then by seed.
    """

    labels: Tensor
    votes: dict[PatchSampling, dict[int, list[Tensor]]] = field(default_factory=dict)

    def add(self, images_seen: int, votes: Mapping[PatchSampling, Tensor]) -> float:
        """Keep one finished network's outputs by what votes, and return its accuracy."""
        for vote, logits in votes.items():
            self.votes.setdefault(vote, {}).setdefault(images_seen, []).append(logits)
        return self.accuracy(votes[self.best])

    def accuracy(self, logits: Tensor) -> float:
        """Of (m, K) logits."""
        return float((logits.argmax(1) == self.labels).double().mean())

    @property
    def best(self) -> PatchSampling:
        """What votes best at the largest budget; of equals the fewest patches."""

        def rank(vote: PatchSampling) -> tuple[float, int, bool]:
            last = self.votes[vote][max(self.votes[vote])]
            return sum(map(self.accuracy, last)) / len(last), vote.spacing, not vote.mirrored

        return max(self.votes, key=rank)

    @property
    def logits(self) -> dict[int, list[Tensor]]:
        """(m, K) each, by training images seen, then by seed, of the best vote."""
        return self.votes[self.best]

    def right(self, images_seen: int) -> Tensor:
        """(S, m) whether each network is right."""
        return torch.stack([g.argmax(1) == self.labels for g in self.logits[images_seen]]).double()

    @property
    def curve(self) -> tuple[LearningPoint, ...]:
        """Mean accuracy over seeds by budget, in ascending order."""
        budgets = sorted(self.logits)
        return tuple(
            LearningPoint(images_seen=b, accuracy=float(self.right(b).mean())) for b in budgets
        )

    @property
    def discordance(self) -> float:
        """Mean square of what the last doubling changed, an image (a share for one seed)."""
        *_, half, whole = sorted(self.logits)
        return float((self.right(whole).mean(0) - self.right(half).mean(0)).square().mean())

    @property
    def adequacy(self) -> Adequacy:
        """Whether the budget was enough, by what is known while training."""
        quarter, half, whole = (point.accuracy for point in self.curve[-3:])
        seeds = len(self.logits[max(self.logits)])
        n = len(self.labels)
        return adequacy(quarter, half, whole, self.discordance, n, WHILE_TRAINING, seeds)


def patch_sampling(
    network: nn.Module, images: Images, recipe: Recipe
) -> dict[PatchSampling, Tensor]:
    """Logits (m, K) by what votes: closer patches in blind networks, mirrored ones if known.

    Args:
        network: Just trained: patches `STRIDE` apart vote, before and afterwards.
        images: m of them.
        recipe: By which it was trained; without mirror images it knows none.
    """
    if not isinstance(network, PatchNet):
        return {PatchSampling(): predict(network, images)}
    found: dict[PatchSampling, Tensor] = {}
    flipped = Mirrored(images)
    closer = network.kind != "sighted" and not recipe.window  # whole images take too long for it
    for spacing in SPACINGS if closer else (STRIDE,):
        network.sampling(PatchSampling(spacing))
        found[PatchSampling(spacing)] = plain = predict(network, images)
        if recipe.augment != "none":
            found[PatchSampling(spacing, mirrored=True)] = (plain + predict(network, flipped)) / 2
    network.sampling(PatchSampling())
    return found
