"""What, on what, by which version."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audit.core.progress import duration
from audit.core.sizes import flag, in_words, shown
from audit.core.version import __version__
from audit.evidence import shared_jobs as requests
from audit.evidence.case import NotMeasured
from audit.inputs.call import Declared
from audit.inputs.data import described as others_described
from audit.inputs.model import described as preprocessing_words
from audit.inputs.null_fit_check import described
from audit.pipeline.audit import AuditResult, stage_seconds
from audit.pipeline.reference import digests
from audit.pipeline.run_folder import (
    environment,
)

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject


def about_subject(subject: "Subject", settings: Declared) -> dict[str, str]:
    """What was audited."""
    parameters = sum(p.numel() for p in subject.model.parameters())
    return {
        "file": subject.name,
        "architecture": subject.spec.architecture
        + (f" ({subject.spec.kwargs})" if subject.spec.kwargs else ""),
        "architecture known": subject.identified,
        "container": subject.container,
        "weights": "; ".join((subject.weights, *subject.beside)),
        "parameters": f"{parameters:,}",
        "input": preprocessing_words(subject, settings.preprocessing),
        "SHA-256 of the file": subject.file_digest,
        "SHA-256 of the weights": subject.weights_digest,
        "pre-trained on other data": pretrained(subject, settings),
    }


def pretrained(subject: "Subject", settings: Declared) -> str:
    """What is known of it: the user's word before the checkpoint's."""
    if settings.pretrained_on != "unknown":
        return "no" if settings.pretrained_on == "none" else settings.pretrained_on
    return {"yes": "yes, says the checkpoint", "no": "no, says the checkpoint"}.get(
        subject.pretrained, "unknown"
    )


def about_data(found: AuditResult, dataset: "Dataset", settings: Declared) -> dict[str, str]:
    """On what it was audited."""
    setup = found.setup
    classes = ", ".join(setup.classes[:12]) + (" …" if len(setup.classes) > 12 else "")
    return {
        "source": dataset.source,
        "images": f"{setup.n_train:,} training"
        + (" (not at hand)" if found.fitted else "")
        + f", {setup.n_eval:,} evaluation",
        "classes": f"{len(setup.classes)}: {classes}",
        "channels": "grey" if setup.channels == 1 else "colour",
        "left out": f"{len(dataset.skipped)} files" if dataset.skipped else "nothing",
        "nulls see": f"{setup.side} x {setup.side} pixels of {in_words(setup.frame)}"
        + (
            f" (the model sees {flag(setup.subject_size)}: finer texture was lost to the nulls)"
            if setup.side < setup.subject_sides[1]
            else ""
        ),
        "evaluation images were used to choose the model": settings.evaluation_chose_subject,
        **digests(dataset),
    }


def provenance(
    found: AuditResult, subject: "Subject", dataset: "Dataset", started: float
) -> dict[str, str]:
    """Versions, seeds and times."""
    environment_, seconds = environment(), max(0.0, time.time() - started)
    stages = ", ".join(f"{kind} {duration(s)}" for kind, s in stage_seconds(found).items())
    given = {} if found.fitted is None else {"nulls given": described(found.fitted, found.setup)}
    return {
        "tool": f"null-audit {__version__}",
        "date": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(started)),
        "seed": str(found.setup.seed),
        "profile": str(found.setup.profile.model_dump()),
        "device": found.device
        + (", but for what came from the cache" if found.done.reused else ""),
        "time": f"{duration(seconds)} ({seconds:.1f} s of wall time since the command began, "
        f"{found.seconds:.1f} s of it once model and data were loaded)",
        "peak memory": f"{peak_memory():.2f} GiB, of the largest process up to now",
        "time by stage": (stages or "everything was found in the cache")
        + (f"; networks side by side in up to {found.size} processes" if found.size > 1 else ""),
        "jobs": f"{len(found.jobs)}, of which {len(found.done.reused)} from the cache"
        + (" or the folder of nulls" if found.fitted else ""),
        **given,
        **others_described(found.setup),
        "networks of the nulls": sibling_words(found),
        "nulls": "; ".join(null_facts(found)),
        **{f"version of {name}": version for name, version in environment_.items()},
    }


def peak_memory() -> float:
    """Largest resident memory of this process or a child that ended so far, in GiB."""
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    processes = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(who).ru_maxrss for who in processes) * unit / 2**30


def sibling_words(found: AuditResult) -> str:
    """The rule by which the nulls' networks were made."""
    from audit.baselines.patch_net import STRIDE, width_and_depth

    width, blocks = width_and_depth(found.setup.n_train, found.setup.side)
    return (
        f"small siblings of BagNet: un-padded 3x3 convolutions to a stride of {STRIDE} and a "
        f"receptive field of q, then {blocks} residual blocks of 1x1 convolutions, {width} "
        "channels wide (128 and 4 from 20,000 training images on, else 64 and 3, or 4 above 48 "
        "pixels). When a blind one has learned, patches half as far apart vote where that is "
        "better on held-out training images. CoordConv and the circular twin see the image on a "
        "torus. The sighted twin has 3x3 blocks and as many parameters."
    )


def null_facts(found: AuditResult) -> list[str]:
    """Recipe, size and proof of every trained null."""
    setup, facts = found.setup, []
    for null in (n for n in setup.nulls if n.trained):
        try:
            chosen = found.case.result(requests.choose(setup, null)).values
            fitted = found.case.result(requests.fit(setup, null)).values
        except NotMeasured as missing:
            facts.append(f"{null.title}: {missing}")
            continue
        if "recipe" not in chosen or "proofs" not in fitted:
            facts.append(f"{null.title}: {fitted.get('reason') or chosen.get('reason')}")
            continue
        recipe = chosen["recipe"]
        proofs = ", ".join(
            f"{name.replace('_', ' ')} {'proved' if proof['holds'] else 'REFUTED'} "
            f"({proof['checked']} tries, largest change {proof['largest']:.0e})"
            for name, proof in fitted["proofs"].items()
        )
        facts.append(
            f"{null.title}: {fitted['parameters']:,} parameters, {recipe['images_seen']:,} images "
            f"seen{on_another(fitted)}, rate {recipe['rate']:g}{after_diverging(chosen)}, "
            f"augmentation {recipe['augment']}, {rounded(recipe)}"
            + (f"crops of {recipe['crop']} pixels first, " if recipe["crop"] else "")
            + f"{chosen['rehearsals']} rehearsed, held-out accuracy "
            f"{chosen['heldout_accuracy']:.3f}, {voters(*chosen['vote'])} vote, "
            f"budget doubled {chosen['doublings']} times; "
            f"{proofs or 'control, no proof needed'}"
        )
    return facts


def voters(spacing: int, mirrored: bool) -> str:
    """Which patches vote in a null."""
    return f"patches {spacing} pixels apart" + (" and their mirror images" if mirrored else "")


def on_another(fitted: Mapping[str, Any]) -> str:
    """The device on which a null was trained, if that was not the processor."""
    device = fitted.get("device", "cpu")
    return "" if device == "cpu" else f" on {device}"


def rounded(recipe: Mapping[str, Any]) -> str:
    """In what a null learned, if that was not 32 bits."""
    precision = recipe.get("precision", "float32")
    return "" if precision == "float32" else f"learned in {precision}, "


def after_diverging(chosen: Mapping[str, Any]) -> str:
    """Why a null's rate is not the one that was chosen for it."""
    rate = chosen.get("diverged_at")
    return f" (a tenth of {rate:g}, at which it diverged)" if rate else ""


def caveats(found: AuditResult, subject: "Subject", settings: Declared) -> list[str]:
    """What this audit in particular does not establish."""
    said = []
    if settings.evaluation_chose_subject != "no":
        answer = "were" if settings.evaluation_chose_subject == "yes" else "may have been"
        said.append(
            f"How the model does on fresh data: the evaluation images {answer} used to choose it, "
            "which flatters it."
        )
    if not pretrained(subject, settings).startswith("no"):
        said.append(
            "That the gap needs arrangement: the model was, or may have been, trained on other "
            "data before, and the nulls were not. It beats a local model trained on these data, "
            "no more."
        )
    setup = found.setup
    if setup.side < setup.subject_sides[1]:
        said.append(
            f"That finer texture than the nulls saw is not enough: they saw the images at "
            f"{setup.side} x {setup.side} pixels, the model at {shown(setup.subject_size)}."
        )
    if setup.gating_q is None:
        said.append(
            "Anything about patches: the images are too small for a gating receptive field."
        )
    return said
