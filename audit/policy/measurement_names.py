"""The names of all measurements that the checks make: what a limit can ask for.

A limit on any other name is a slip of the pen and is refused, so a check that measures something
new names it here. `<…>` stands for one of several words, see `PLACES`.
"""

from functools import cache

from audit import record
from audit.baselines import QS, TITLES
from audit.policy.location import nearest

REFERENCE = f"{record.REFERENCE}."  # in patterns over names, before what it is a difference of

TRAINED = tuple(f"{kind}-{q}" for kind, title in TITLES.items() if "{q}" in title for q in QS)

NULLS = (*(kind for kind, title in TITLES.items() if "{q}" not in title), *TRAINED)

PLACES = {
    "<null>": NULLS,
    "<trained>": TRAINED,
    "<model>": ("subject", *NULLS),
    "<network>": ("subject", *TRAINED),
    "<profiled>": ("subject", "untrained", *TRAINED),
    "<point>": tuple(f"{name}.*" for name in ("subject", "untrained", *TRAINED)),
    "<class>": ("*",),
    "<cut>": ("*",),
    "<view>": ("*",),
    "<kind>": ("*",),
    "<size>": ("smallest", "median", "largest"),
}

NAMES = {
    "accuracy_gap.accuracy.<model>": "share of the evaluation images that a model gets right",
    "accuracy_gap.gap.<null>": "accuracy of the subject minus that of a null, on the same images",
    "accuracy_gap.gain.<null>": "share of a null's errors that the subject removes",
    "accuracy_gap.balanced_gain.<null>": "the same in balanced accuracy, for uneven classes",
    "accuracy_gap.twin_gain.<null>": "the same of the sighted twin in the subject's place",
    "accuracy_gap.twin_minus_null": "accuracy of the sighted twin minus that of the best null",
    "accuracy_gap.kappa.<null>": "error consistency of the subject and a null",
    "accuracy_gap.mcnemar.<null>": "exact p of McNemar's test against a null",
    "accuracy_gap.allowance.<trained>": "accuracy that more training might add to a null",
    "accuracy_gap.heldout.<trained>": "accuracy of a null on held-out images, by budget",
    "accuracy_gap.both_right.<null>": "share of images that both it and the best null get right",
    "accuracy_gap.only_subject_right.<null>": "share of images that only the subject gets right",
    "accuracy_gap.only_null_right.<null>": "share of images that only the best null gets right",
    "accuracy_gap.both_wrong.<null>": "share of images that neither gets right",
    "accuracy_gap.null_wrong.subject": "accuracy of the subject where the best null is wrong",
    "accuracy_gap.null_right.subject": "accuracy of the subject where the best null is right",
    "accuracy_gap.class_accuracy.<class>": "accuracy of the subject on one class",
    "accuracy_gap.class_gap.<class>": "gap over the best null on one class",
    "position.effect": "what knowing the position adds to a blind model",
    "position.relocation.<model>": "what relocating every image costs a model",
    "position.claimed": "1 if position was shown to explain more than 1 point, else 0",
    "intrinsic_dimension.last_layer.<network>": "dimension of the last hidden layer",
    "intrinsic_dimension.untrained.<network>": "the same of the untrained twin",
    "intrinsic_dimension.scale.<network>": "the same of fewer images",
    "intrinsic_dimension.class.<class>": "dimension of the subject's last layer within one class",
    "intrinsic_dimension.log_ratio.<network>": "log ratio of the two dimensions",
    "id_profile.dimension.<point>": "dimension at one depth of a network, or of its untrained twin",
    "id_profile.pca.<point>": "components for 90 % of the variance there",
    "id_profile.peak_depth.<profiled>": "relative depth at which the dimension is largest",
    "id_profile.first_over_peak.<profiled>": "dimension of the input over the largest",
    "id_profile.last_over_peak.<profiled>": "dimension of the last layer over the largest",
    "id_profile.hunchback.<profiled>": "1 if it was shown to rise and fall with depth, else 0",
    "id_profile.flat.<profiled>": "1 if it was shown to stay nearly the same, else 0",
    "transfer.base": "accuracy of the subject as it is",
    "transfer.frozen.<cut>": "accuracy with the layers before a cut frozen",
    "transfer.tuned.<cut>": "accuracy with all layers learning",
    "transfer.untrained.<cut>": "accuracy with a frozen prefix of fresh weights",
    "transfer.coadaptation.<cut>": "what freezing the layers before a cut costs",
    "split_transfer.base": "accuracy on B of a network that learned B from scratch",
    "split_transfer.bnb.<cut>": "the same behind frozen layers of such a network",
    "split_transfer.bnb_plus.<cut>": "the same where those layers learn on",
    "split_transfer.anb.<cut>": "the same behind frozen layers of a network that learned A",
    "split_transfer.anb_plus.<cut>": "the same where those layers learn on",
    "split_transfer.untrained.<cut>": "the same behind a frozen prefix of fresh weights",
    "split_transfer.coadaptation.<cut>": "what freezing B's own layers costs B",
    "split_transfer.specialisation.<cut>": "what layers of A cost B, beside its own",
    "split_transfer.gain.<cut>": "what B gains by beginning with layers of A",
    "labels.accuracy_permuted": "accuracy with the outputs in the order that fits best",
    "labels.permutation_claimed": "1 if another order of the outputs was shown to fit, else 0",
    "labels.moved.<class>": "share of the images called <class> that are of another one",
    "probes.linear.<cut>": "accuracy of a linear model that reads a cut off",
    "probes.svm.<cut>": "the same of a linear SVM",
    "probes.untrained.<cut>": "the same of a linear model, of the untrained twin",
    "probes.gain.<cut>": "linear read-out of a cut minus that of the untrained twin",
    "probes.pixels": "accuracy of a linear model of the pixels",
    "probes.last_minus_middle": "linear read-out of the last cut minus that of the middle ones",
    "probes.other_linear.<cut>": "the same on other data (--probe-data)",
    "probes.other_svm.<cut>": "likewise",
    "probes.other_untrained.<cut>": "likewise",
    "probes.other_gain.<cut>": "likewise",
    "probes.other_pixels": "likewise",
    "probes.other_last_minus_middle": "likewise",
    "preprocessing.better": "alternatives of preprocessing that are clearly better",
    "preprocessing.accuracy.<view>": "accuracy on training images under an alternative",
    "preprocessing.gain.<view>": "what an alternative gains there",
    "data.exact_leaks": "evaluation images that are training images",
    "data.near_leaks": "share of evaluation images with a copy or near duplicate in training",
    "data.label_conflicts": "pairs of equal or nearly equal images under two labels",
    "data.unreadable": "images that cannot be read",
    "data.skipped": "files that are no images and were left out",
    "data.eval_copies": "evaluation images that repeat another one exactly",
    "data.train_copies": "training images that repeat another one exactly",
    "data.eval_duplicates": "share of evaluation images that repeat another one or nearly",
    "data.train_duplicates": "share of training images that repeat another one or nearly",
    "data.groups": "evaluation images, near duplicates counted as one",
    "data.smallest_class": "evaluation images of the smallest class",
    "data.largest_class": "evaluation images of the largest class",
    "data.eval_images.<class>": "evaluation images of one class",
    "data.train_images.<class>": "training images of one class",
    "data.eval_width.<size>": "width of the evaluation images in pixels",
    "data.eval_height.<size>": "height of the evaluation images in pixels",
    "data.train_width.<size>": "width of the training images in pixels",
    "data.train_height.<size>": "height of the training images in pixels",
    "data.file.<kind>": "one for each file that is named",
}

CURVES = (  # several values under one name, or data that another run need not share
    "accuracy_gap.heldout.",
    "intrinsic_dimension.scale.",
    "data.file.",
    "probes.other_",
)

BY_CLASS = (
    "accuracy_gap.class_accuracy.",
    "accuracy_gap.class_gap.",
    "intrinsic_dimension.class.",
)


@cache
def expanded() -> tuple[str, ...]:
    """Every name; where a word comes from the user (a class) or the model (a cut), it ends in *."""
    names = []
    for name in NAMES:
        place = next((place for place in PLACES if name.endswith(place)), "")
        words = PLACES.get(place, ("",))
        names += [name.removesuffix(place) + word for word in words]
    return tuple(names)


def fits(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern, in which * stands for anything and nothing else does."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    start, stop = len(first), len(name) - len(last)
    if stop < start or not (name.startswith(first) and name.endswith(last)):
        return False
    for piece in middle:
        at = name.find(piece, start, stop)
        if at < 0:
            return False
        start = at + len(piece)
    return True


def is_made(pattern: str) -> bool:
    """Whether a check can make a measurement that matches a pattern (a name is one, too)."""
    bare = pattern.removeprefix(REFERENCE)
    return any(_overlap(bare, name) for name in _comparable(pattern))


def nearest_name(pattern: str) -> str:
    """The name most like one that no check makes; empty where none is like it."""
    prefix = REFERENCE if pattern.startswith(REFERENCE) else ""
    general = [name.partition("<")[0] + "*" for name in NAMES if "<" in name]
    names = [*_comparable(pattern), *(n for n in general if not prefix or n[:-1] not in CURVES)]
    near = nearest(pattern.removeprefix(prefix), names)
    return near and prefix + near


def _comparable(pattern: str) -> list[str]:
    """All names; of those relative to a reference run, the ones with a single value."""
    relative = pattern.startswith(REFERENCE)
    return [name for name in expanded() if not (relative and name.startswith(CURVES))]


def _overlap(pattern: str, known: str) -> bool:
    """Whether one name can match both; `known` has no * except at its end."""
    if not known.endswith("*"):
        return fits(pattern, known)
    head, star, _ = pattern.partition("*")
    begin = known[:-1]
    if star:
        return head.startswith(begin) or begin.startswith(head)
    return head.startswith(begin) and head != begin
