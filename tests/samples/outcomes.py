"""Values of jobs for tests: whole records, of which a test names what matters to it."""

from audit.checks.transfer.outcomes import Retrained, TrainedBase
from audit.evidence.outcomes import (
    ChosenNetwork,
    FoundInData,
    LearningPoint,
    RecipeValues,
    TrainedNetwork,
)
from audit.reports.document import FrozenModel


class Noted(FrozenModel):
    """Values of a job whose executor is a test's."""

    number: int = 0


def curve_of(*accuracies, budget=1000):
    """A learning curve of a quarter, half and the whole of a budget."""
    seen = (budget // 4, budget // 2, budget)
    return tuple(
        LearningPoint(images_seen=n, accuracy=a) for n, a in zip(seen, accuracies, strict=True)
    )


def chosen(**changes):
    """The choice of a recipe that went well."""
    recipe = RecipeValues(images_seen=1000, rate=0.1, weight_decay=0.01, augment="none", batch=128,
                          optimizer="muon", crop=0, window=0, wraps=False,
                          precision="float32")  # fmt: skip
    given = {"status": "ok", "recipe": recipe, "trials": (), "diverged_at": 0.0,
             "vote": (4, False), "curve": curve_of(0.69, 0.699, 0.70), "rehearsals": 1,
             "doublings": 0, "discordance": 0.05, "heldout_accuracy": 0.70, "seconds": 1.0,
             }  # fmt: skip
    return ChosenNetwork(**given | changes)


def trained(**changes):
    """A training that went well."""
    given = {"status": "ok", "proofs": {}, "parameters": 1, "vote": (4, False),
             "train_accuracy": 0.7, "images_per_second": 1000.0, "seconds": 1.0, "device": "cpu",
             }  # fmt: skip
    return TrainedNetwork(**given | changes)


def found_in_data(**changes):
    """Data without duplicates, leaks and conflicts."""
    given = {"exact_leaks": (), "near_leaks": (), "label_conflicts": 0, "conflicts": (),
             "train_copies": (), "eval_copies": (), "train_groups": 0, "train_counts": (),
             "eval_counts": ()}  # fmt: skip
    return FoundInData(**given | changes)


def retrained(**changes):
    """A network of the transfer experiments; with `chance` it is a base."""
    given = {"status": "ok", "rate": 2e-3, "trials": {}, "images": 60, "seen": 256, "seconds": 1.0}
    return (TrainedBase if "chance" in changes else Retrained)(**given | changes)
