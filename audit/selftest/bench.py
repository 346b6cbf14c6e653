"""The data sets and models of one self-test, each made once and shared by the cases."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from audit.baselines.train import Recipe
from audit.data.dataset import Dataset
from audit.evidence.profile import Profile, profile
from audit.model.checkpoint import Subject
from audit.selftest.planted import (
    ARRANGED_CLASSES,
    CORNERS,
    GRAINS,
    TINTS,
    arranged,
    as_they_are,
    grained,
    placed,
    planted,
    tinted,
)
from audit.selftest.subjects import ARCHITECTURE, BAGNET, SIGHTED, as_images, saved, taught


@dataclass(frozen=True)
class Scale:
    """How large a self-test is. Numbers of images are training, then evaluation images.

    Attributes:
        tinted: Images of the set in which the colour of a mark is the class.
        placed: Images of the set in which its place is.
        shuffled: Images of the set with labels at random.
        arranged: Images of the honest set.
        grained: Images of the set in which the direction of a faint grating is the class.
        seeds: Fits of each null of the honest set.
        seen: Training images seen by each of them, at which their curves are flat.
        starved: Likewise, at which their curves have only begun to climb.
        seen_marked: Likewise, of the nulls of the set in which the place of a mark is the class.
        taught: Training images seen by the honest model.
        retrained: Training images seen by each network of the transfer curve.
    """

    tinted: tuple[int, int]
    placed: tuple[int, int]
    shuffled: tuple[int, int]
    arranged: tuple[int, int]
    grained: tuple[int, int]
    seeds: int
    seen: int
    starved: int
    seen_marked: int
    taught: int
    retrained: int


QUICK = Scale(
    tinted=(1200, 1500),
    placed=(1800, 1500),
    shuffled=(400, 1000),
    arranged=(3006, 3006),
    grained=(800, 800),
    seeds=1,
    seen=8_000,
    starved=1_500,
    seen_marked=5_000,
    taught=24_000,
    retrained=6_000,
)

WHOLE = Scale(
    tinted=(3000, 3000),
    placed=(3000, 3000),
    shuffled=(600, 2000),
    arranged=(4005, 4005),
    grained=(1200, 1000),
    seeds=2,
    seen=24_000,
    starved=1_500,
    seen_marked=12_000,
    taught=40_000,
    retrained=10_000,
)

FEW = 1_500  # training images seen, where the verdict does not rest on trained nulls
MEMORISED = 30  # times that each image with a random label is shown


@dataclass(frozen=True)
class Fixtures:
    """Data and models, made when first asked for.

    Attributes:
        scale: How large.
        seed: Of everything random.
        folder: Where models are saved.
    """

    scale: Scale
    seed: int
    folder: Path

    @cached_property
    def tinted(self) -> Dataset:
        """The colour of a mark is the class."""
        classes = tuple(f"tint {i}" for i in range(len(TINTS)))
        return planted(tinted, classes, *self.scale.tinted, self.seed)

    @cached_property
    def placed(self) -> Dataset:
        """The place of a mark is the class."""
        classes = tuple(f"corner {i}" for i in range(len(CORNERS)))
        return planted(placed, classes, *self.scale.placed, self.seed)

    @cached_property
    def shuffled(self) -> Dataset:
        """The labels mean nothing."""
        classes = tuple(f"label {i}" for i in range(10))
        return planted(as_they_are, classes, *self.scale.shuffled, self.seed)

    @cached_property
    def arranged(self) -> Dataset:
        """The arrangement of two objects is the class, within each kind of object."""
        return planted(arranged, ARRANGED_CLASSES, *self.scale.arranged, self.seed)

    @cached_property
    def grained(self) -> Dataset:
        """The direction of a faint grating is the class, on pictures of 130 pixels."""
        classes = tuple(f"grain {i}" for i in range(len(GRAINS)))
        return planted(grained, classes, *self.scale.grained, self.seed)

    @cached_property
    def sees_grains(self) -> nn.Module:
        """A model of the grained set."""
        return taught(ARCHITECTURE, self.grained, self.recipe(6_000), self.seed)

    @cached_property
    def sees_tints(self) -> nn.Module:
        """A model of the tinted set."""
        return taught(ARCHITECTURE, self.tinted, self.recipe(12_000), self.seed)

    @cached_property
    def sees_places(self) -> nn.Module:
        """A model of the placed set."""
        return taught(ARCHITECTURE, self.placed, self.recipe(6_000), self.seed)

    @cached_property
    def memorised(self) -> nn.Module:
        """A model of the shuffled set."""
        seen = MEMORISED * self.scale.shuffled[0]
        recipe = dataclasses.replace(self.recipe(seen), weight_decay=0.0)
        return taught(ARCHITECTURE, self.shuffled, recipe, self.seed)

    @cached_property
    def sees_arrangements(self) -> nn.Module:
        """A good model of the honest set."""
        recipe = dataclasses.replace(self.recipe(self.scale.taught), augment="mirror")
        return taught(ARCHITECTURE, self.arranged, recipe, self.seed)

    @cached_property
    def local(self) -> nn.Module:
        """A BagNet of the honest set."""
        recipe = Recipe(images_seen=self.scale.seen)
        return taught(BAGNET, self.arranged, recipe, self.seed)

    def recipe(self, seen: int) -> Recipe:
        """How models that see everything are taught."""
        return dataclasses.replace(SIGHTED, images_seen=seen)

    def subject(
        self, name: str, network: nn.Module, dataset: Dataset, architecture: str = ARCHITECTURE
    ) -> Subject:
        """A network, saved to a file and read back."""
        return saved(network, architecture, as_images(dataset), self.folder / f"{name}.pt")

    def profile(self, seen: int, **changes: int | bool) -> Profile:
        """The quick profile with a budget for the nulls; no look inside unless asked for."""
        left_out = {"cuts": 0, "id_images": 0, "probe_cuts": 0}
        return profile("quick", **({"images_seen": seen} | left_out | changes))

    @property
    def honest(self) -> Profile:
        """What is measured on the honest set; equal profiles share the trained nulls."""
        return self.profile(self.scale.seen, seeds=self.scale.seeds, stop_at_fail=False)
