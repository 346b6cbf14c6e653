"""Values of the outcomes of the jobs that several checks share, one record per kind of outcome."""

from pydantic import Field

from audit.jobs.values import Failed, Status
from audit.reports.document import FrozenModel

Pair = tuple[int, int]

Vote = tuple[int, bool]  # the fields of `audit.baselines.patch_net.PatchSampling`


class FoundInData(FrozenModel):
    """Values of the job `facts`: what is in the images.

    Attributes:
        exact_leaks: Positions (evaluation, training) of images with equal pixels.
        near_leaks: Positions (evaluation, training) of near duplicates.
        label_conflicts: Number of pairs of equal or nearly equal images under two labels.
        conflicts: Split and position of both images of a conflict, for the first of them.
        train_copies: Positions in training of an image and of one that repeats it exactly.
        eval_copies: Positions in evaluation of an image and of one that repeats it exactly.
        train_groups: Number of training images, near duplicates counted as one.
        train_counts: Number of training images per class.
        eval_counts: Number of evaluation images per class.
    """

    exact_leaks: tuple[Pair, ...]
    near_leaks: tuple[Pair, ...]
    label_conflicts: int
    conflicts: tuple[tuple[str, int, str, int], ...]
    train_copies: tuple[Pair, ...]
    eval_copies: tuple[Pair, ...]
    train_groups: int
    train_counts: tuple[int, ...]
    eval_counts: tuple[int, ...]

    @property
    def leaked(self) -> frozenset[int]:
        """Positions of evaluation images that are exact copies of training images."""
        return frozenset(i for i, _ in self.exact_leaks)

    @property
    def near_copies(self) -> frozenset[int]:
        """Positions of evaluation images that are near but not exact copies of training images."""
        return frozenset(i for i, _ in self.near_leaks) - self.leaked

    @property
    def left_out(self) -> frozenset[int]:
        """Positions of evaluation images that do not count.

        These are the copies of training images, and the exact copies of an earlier evaluation
        image, whatever their label.
        """
        repeats = frozenset(i for _, i in self.eval_copies)
        return self.leaked | self.near_copies | repeats


class RecipeValues(FrozenModel):
    """The fields of `audit.baselines.train.Recipe`, which cannot be imported without torch."""

    images_seen: int
    rate: float
    weight_decay: float
    augment: str
    batch: int
    optimizer: str
    crop: int
    window: int
    wraps: bool
    precision: str


class RecipeTrial(RecipeValues):
    """One recipe that was tried.

    Attributes:
        heldout_accuracy: Accuracy that it reached on held-out training images.
    """

    heldout_accuracy: float


class LearningPoint(FrozenModel):
    """One point of a learning curve.

    Attributes:
        images_seen: Training images seen.
        accuracy: Mean accuracy over seeds on held-out training images.
    """

    images_seen: int
    accuracy: float


class NotTrained(Failed):
    """Values of the jobs of a baseline that could not be trained.

    Attributes:
        trials: What was tried, if anything was.
    """

    trials: tuple[RecipeTrial, ...] = ()


class ChosenNetwork(Status):
    """Values of the job `choose` of a network.

    Attributes:
        recipe: Recipe that was chosen.
        trials: What was tried.
        diverged_at: Rate at which the training diverged before a tenth of it was taken; 0 if none.
        vote: Patches that vote.
        curve: Learning curve by budget, ascending; the last three are a quarter, half and whole.
        rehearsals: Number of trial fits, which differ in their seeds.
        doublings: How often the budget was doubled.
        discordance: Mean square of what the last doubling changed per image.
        heldout_accuracy: Accuracy on held-out training images at the whole budget.
        seconds: Duration.
    """

    recipe: RecipeValues
    trials: tuple[RecipeTrial, ...]
    diverged_at: float
    vote: Vote
    curve: tuple[LearningPoint, ...] = Field(min_length=3)
    rehearsals: int
    doublings: int
    discordance: float
    heldout_accuracy: float
    seconds: float


class ChosenLinear(Status):
    """Values of the job `choose` of a linear model.

    Attributes:
        strength: Regularisation that was chosen.
        heldout_accuracy: Accuracy on held-out training images.
    """

    strength: float
    heldout_accuracy: float


class ProofValues(FrozenModel):
    """The fields of `audit.baselines.receptive_field.Proof`."""

    holds: bool
    largest: float
    checked: int


class TrainedNetwork(Status):
    """Values of the job `fit` of a network.

    Attributes:
        proofs: Proofs of its blindness by name.
        parameters: Number of parameters.
        vote: Patches that vote.
        train_accuracy: Accuracy on a sample of the training images.
        images_per_second: Speed of the training.
        seconds: Duration of the training.
        device: Device that it was trained on.
    """

    proofs: dict[str, ProofValues]
    parameters: int
    vote: Vote
    train_accuracy: float
    images_per_second: float
    seconds: float
    device: str


class RidgeReading(FrozenModel):
    """What a closed-form patch model reached with one way of pooling.

    Attributes:
        cells: Cells a side; 1 for a bag of patches.
        strength: Of the ridge, chosen by leave-one-out.
        curve: Number of filters, and accuracy on training images that were left out.
        temperature: Factor from scores to logits.
    """

    cells: int
    strength: float
    curve: tuple[tuple[int, float], ...]
    temperature: float


class SolvedRidge(Status):
    """Values of the job `ridge`.

    Attributes:
        readings: By kind of null ("patches", "cells").
        filters: How many patches serve as filters.
        stride: Pixels between neighbouring patches.
        images: Training images that it was solved on.
        proofs: Proofs of its blindness by name.
        seconds: Duration.
    """

    readings: dict[str, RidgeReading]
    filters: int
    stride: int
    images: int
    proofs: dict[str, ProofValues]
    seconds: float


class TrainedLinear(Status):
    """Values of the job `fit` of a linear model or a closed form.

    Attributes:
        strength: Regularisation.
        proofs: Of a closed form; a linear model sees a few numbers per image and owes none.
    """

    strength: float
    proofs: dict[str, ProofValues]


class Stacked(Status):
    """Values of the job `stack`.

    Attributes:
        heldout_accuracy: Accuracy on half of the held-out training images.
        n_heldout: Number of held-out training images.
    """

    heldout_accuracy: float
    n_heldout: int
