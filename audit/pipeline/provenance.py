"""The words of a report on what was audited, on what, by which version: made of its facts."""

from audit.core.progress import duration
from audit.core.sizes import flag, in_words, shown, size_of
from audit.record.facts import (
    AuditFacts,
    DataFacts,
    ExtraFacts,
    Facts,
    FolderFacts,
    ModelFacts,
    NullFacts,
)

SHOWN = 12  # classes that are named


def about_model(facts: ModelFacts) -> dict[str, str]:
    """What was audited."""
    return {
        "file": facts.file,
        "architecture": architecture(facts),
        "architecture known": facts.architecture_from,
        "container": facts.container,
        "weights": "; ".join((facts.weights, *facts.other_weights)),
        "parameters": f"{facts.parameters:,}",
        "input": facts.input,
        "SHA-256 of the file": facts.file_digest,
        "SHA-256 of the weights": facts.weights_digest,
        "pre-trained on other data": pretrained(facts),
    }


def architecture(facts: ModelFacts) -> str:
    """Timm's name, and what else was said of it."""
    arguments = ", ".join(f"{key!r}: {value}" for key, value in facts.arguments.items())
    return facts.architecture + (f" ({{{arguments}}})" if arguments else "")


def pretrained(facts: ModelFacts) -> str:
    """What is known of it."""
    known = facts.pretrained_on or facts.pretrained
    return f"{known}, says the checkpoint" if facts.pretrained_by == "checkpoint" else known


def about_data(facts: DataFacts) -> dict[str, str]:
    """On what it was audited."""
    return {
        "source": facts.source,
        "images": images(facts),
        "classes": classes(facts),
        "channels": "grey" if facts.grey else "colour",
        "left out": f"{facts.left_out} files" if facts.left_out else "nothing",
        "nulls see": seen(facts),
        "evaluation images were used to choose the model": facts.chose_model,
        "SHA-256 of the data": facts.digest,
        "SHA-256 of the evaluation data": facts.eval_digest,
    }


def images(facts: DataFacts) -> str:
    """How many there are."""
    away = "" if facts.training_images else " (not at hand)"
    return f"{facts.n_train:,} training{away}, {facts.n_eval:,} evaluation"


def classes(facts: DataFacts) -> str:
    """How many there are, and the names of the first."""
    count = len(facts.classes)
    return f"{count}: {', '.join(facts.classes[:SHOWN])}" + (" …" if count > SHOWN else "")


def seen(facts: DataFacts) -> str:
    """What the nulls see of an image."""
    height, width = facts.null_size or (facts.null_side, facts.null_side)
    text = f"{height} x {width} pixels of {in_words(facts.frame)}"
    if not facts.nulls_reduced:
        return text
    size = flag(size_of(*facts.model_size)) if facts.model_size else "more"
    return f"{text} (the model sees {size}: finer texture was lost to the nulls)"


def provenance(facts: Facts) -> dict[str, str]:
    """Versions, seeds and times."""
    made, stages = facts.audit, facts.audit.stage_seconds
    folder, seconds = made.nulls_folder, made.seconds or 0.0
    given = {} if folder is None else {"nulls given": about_folder(folder, facts.data)}
    return {
        "tool": tool(made),
        "date": made.date,
        "seed": str(made.seed),
        "profile": str(made.profile),
        "device": made.device + (", but for what came from the cache" if made.reused else ""),
        "time": f"{duration(seconds)} ({seconds:.1f} s of wall time since the command began, "
        f"{made.audit_seconds:.1f} s of it once model and data were loaded)",
        "peak memory": f"{made.peak_memory:.2f} GiB, of the largest process up to now",
        "time by stage": (
            ", ".join(f"{kind} {duration(s)}" for kind, s in stages.items())
            or "everything was found in the cache"
        )
        + beside(made),
        "jobs": f"{made.jobs}, of which {made.reused} from the cache"
        + (" or the folder of nulls" if folder else ""),
        **given,
        **{option: about_extra(data) for option, data in facts.data.extra.items()},
        "networks of the nulls": networks(made),
        "nulls": "; ".join(map(about_null, made.nulls)),
        **{f"version of {name}": version for name, version in made.versions.items()},
    }


def tool(facts: AuditFacts) -> str:
    """Which version of this package made it."""
    return f"null-audit {facts.tool_version}"


def beside(facts: AuditFacts) -> str:
    """How many processes did jobs side by side, if several."""
    many = facts.workers is not None and facts.workers > 1
    return f"; networks side by side in up to {facts.workers} processes" if many else ""


def about_folder(facts: FolderFacts, data: DataFacts) -> str:
    """Which folder the nulls came from."""
    return (
        f"from the folder {facts.name}, manifest SHA-256 {facts.digest}, fitted {facts.fitted} by "
        f"null-audit {facts.tool_version}, profile {facts.profile}, seed {facts.seed}, side "
        f"{data.null_side} ({facts.side_from})"
    )


def about_extra(facts: ExtraFacts) -> str:
    """Name, counts and digests of a data set beside the audited one."""
    seen = f", of which {facts.seen:,} are training images of the audited data"
    return (
        f"{facts.name}: {facts.n_train:,} training and {facts.n_eval:,} evaluation images"
        f"{seen if facts.seen else ''} of {len(facts.classes)} classes; SHA-256 of the training "
        f"images {facts.train_digest}, of the evaluation images {facts.eval_digest}"
    )


def networks(facts: AuditFacts) -> str:
    """The rule by which the nulls' networks were made."""
    stride, width, blocks = facts.network or ("?",) * 3
    return (
        f"small siblings of BagNet: un-padded 3x3 convolutions to a stride of {stride} and a "
        f"receptive field of q, then {blocks} residual blocks of 1x1 convolutions, {width} "
        "channels wide (128 and 4 from 20,000 training images on, else 64 and 3, or 4 above 48 "
        "pixels). When a blind one has learned, patches half as far apart vote where that is "
        "better on held-out training images. CoordConv and the circular twin see the image on a "
        "torus. The sighted twin has 3x3 blocks and as many parameters."
    )


def about_null(facts: NullFacts) -> str:
    """Recipe, size and proof of a trained null."""
    if facts.reason:
        return f"{facts.title}: {facts.reason}"
    proofs = ", ".join(
        f"{name.replace('_', ' ')} {'proved' if proof.holds else 'REFUTED'} "
        f"({proof.checked} tries, largest change {proof.largest:.0e})"
        for name, proof in facts.proofs.items()
    )
    return (
        f"{facts.title}: {facts.parameters:,} parameters, {facts.images_seen:,} images seen"
        + ("" if facts.device == "cpu" else f" on {facts.device}")
        + f", rate {facts.rate:g}{after_diverging(facts)}, augmentation {facts.augment}, "
        + ("" if facts.precision == "float32" else f"learned in {facts.precision}, ")
        + (f"crops of {facts.crop} pixels first, " if facts.crop else "")
        + (f"windows of {facts.window} pixels, " if facts.window else "")
        + f"{facts.trials} rehearsed, held-out accuracy {facts.heldout_accuracy:.3f}, "
        f"{voters(facts)} vote, budget doubled {facts.doublings} times; "
        f"{proofs or 'control, no proof needed'}"
    )


def voters(facts: NullFacts) -> str:
    """Which patches vote in a null."""
    mirrored = " and their mirror images" if facts.mirrored else ""
    return f"patches {facts.spacing} pixels apart{mirrored}"


def after_diverging(facts: NullFacts) -> str:
    """Why a null's rate is not the one that was chosen for it."""
    rate = facts.diverged_at
    return f" (a tenth of {rate:g}, at which it diverged)" if rate else ""


def caveats(facts: Facts, gating: bool) -> list[str]:
    """What this audit in particular does not establish.

    Args:
        facts: What it knows of itself.
        gating: Whether any patch null is small enough to gate.
    """
    said, data = [], facts.data
    if data.chose_model != "no":
        answer = "were" if data.chose_model == "yes" else "may have been"
        said.append(
            f"How the model does on fresh data: the evaluation images {answer} used to choose it, "
            "which flatters it."
        )
    if facts.model.pretrained != "no":
        said.append(
            "That the gap needs arrangement: the model was, or may have been, trained on other "
            "data before, and the nulls were not. It beats a local model trained on these data, "
            "no more."
        )
    if data.nulls_reduced and data.model_size:
        said.append(
            f"That finer texture than the nulls saw is not enough: they saw the images at "
            f"{data.null_side} x {data.null_side} pixels, the model at "
            f"{shown(size_of(*data.model_size))}."
        )
    if not gating:
        said.append(
            "Anything about patches: the images are too small for a gating receptive field."
        )
    return said
