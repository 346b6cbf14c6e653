"""What an audit knows of itself, as fields: model, data, versions, seeds, times."""

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.core.sizes import height_width
from audit.core.version import __version__
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.evidence.outcomes import ChosenNetwork, TrainedNetwork
from audit.evidence.setup import Null, Setup
from audit.inputs.call import Declared
from audit.inputs.data import USES
from audit.inputs.fitted_nulls import TrainedNulls
from audit.inputs.model import described
from audit.pipeline.audit import AuditEvidence, stage_seconds
from audit.pipeline.run_folder import environment
from audit.record.facts import (
    AuditFacts,
    DataFacts,
    ExtraFacts,
    Facts,
    FolderFacts,
    ModelFacts,
    NullFacts,
    ProofFacts,
)

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject

ROUNDING = 1e-6  # of the largest logit


def model_facts(subject: "Subject", said: Declared, case: Case) -> ModelFacts:
    """What was audited; what the user says of pre-training goes before the checkpoint's word."""
    facts = ModelFacts(
        file=subject.name,
        architecture=subject.spec.architecture,
        arguments={key: repr(value) for key, value in subject.spec.kwargs.items()},
        architecture_from=subject.identified,
        container=subject.container,
        weights=subject.weights,
        other_weights=subject.beside,
        parameters=sum(p.numel() for p in subject.model.parameters()),
        input=described(subject, said.preprocessing),
        file_digest=subject.file_digest,
        weights_digest=subject.weights_digest,
        same_outputs=constant(case),
    )
    return facts.model_copy(update=pretrained(subject, said))


def pretrained(subject: "Subject", said: Declared) -> dict[str, str]:
    """The fields on what the model learned before."""
    named = said.pretrained_on
    if named == "none":
        return {"pretrained": "no", "pretrained_by": "user"}
    if named != "unknown":
        return {"pretrained": "yes", "pretrained_on": named, "pretrained_by": "user"}
    if subject.pretrained == "unknown":
        return {}
    return {"pretrained": subject.pretrained, "pretrained_by": "checkpoint"}


def constant(case: Case) -> bool | None:
    """Whether the model gives the same outputs for all images; None if it could not be run."""
    try:
        logits = case.result(requests.subject_outputs(case.setup)).arrays["logits"]
    except NotMeasured:
        return None
    return same_for_all(logits)


def same_for_all(logits: NDArray[np.float32]) -> bool:
    """Whether every image got the same logits, up to rounding: (n, K)."""
    spread = float(np.ptp(logits, axis=0).max())
    return spread <= ROUNDING * float(np.abs(logits).max())


def data_facts(found: AuditEvidence, dataset: "Dataset", said: Declared) -> DataFacts:
    """On what it was audited."""
    setup = found.setup
    extra = {USES["probe"]: setup.probe, USES["transfer"]: setup.transfer}
    return DataFacts(
        source=dataset.source,
        digest=dataset.digest,
        eval_digest=dataset.eval_digest,
        classes=setup.classes,
        n_train=setup.n_train,
        n_eval=setup.n_eval,
        training_images=not found.fitted,
        grey=setup.channels == 1,
        left_out=len(dataset.skipped),
        null_side=max(height_width(setup.input.size)),
        null_size=height_width(setup.input.size),
        frame=setup.input.frame,
        model_size=height_width(setup.subject_size),
        nulls_reduced=max(height_width(setup.input.size)) < setup.subject_sides[1],
        chose_model=said.evaluation_chose_subject,
        extra={
            option: ExtraFacts.model_validate(data.model_dump())
            for option, data in extra.items()
            if data is not None
        },
    )


def audit_facts(found: AuditEvidence, left_out: str, started: float) -> AuditFacts:
    """Versions, seeds and times.

    Args:
        found: The audit.
        left_out: What a limit of time left out, in words.
        started: When the command began, in seconds since the epoch.
    """
    from audit.baselines.patch_net import STRIDE, width_and_depth
    from audit.evidence.fit_null import FULL_SIDE

    side = min(found.setup.input.side, FULL_SIDE)
    return AuditFacts(
        tool_version=__version__,
        date=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(started)),
        seed=found.setup.seed,
        profile=found.setup.profile.model_dump(mode="json"),  # as it is read back
        left_out=left_out,
        device=found.device,
        workers=found.size,
        jobs=len(found.jobs),
        reused=len(found.done.reused),
        seconds=max(0.0, time.time() - started),
        audit_seconds=found.seconds,
        stage_seconds=dict(stage_seconds(found)),
        peak_memory=peak_memory(),
        nulls_folder=folder_facts(found.fitted),
        network=(STRIDE, *width_and_depth(found.setup.n_train, side)),
        nulls=tuple(null_facts(found)),
        reference=found.reference,
        versions=environment(),
    )


def folder_facts(fitted: TrainedNulls | None) -> FolderFacts | None:
    """Which folder the nulls came from, if they did."""
    if fitted is None:
        return None
    manifest = fitted.manifest
    return FolderFacts(
        name=fitted.name,
        digest=fitted.digest,
        fitted=manifest.fitted,
        tool_version=manifest.tool_version,
        profile=manifest.profile.name,
        seed=manifest.seed,
        side_from=manifest.side_from,
    )


def peak_memory() -> float:
    """Largest resident memory of this process or a child that ended so far, in GiB."""
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    processes = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(who).ru_maxrss for who in processes) * unit / 2**30


def null_facts(found: AuditEvidence) -> list[NullFacts]:
    """Recipe, size and proof of every trained null."""
    return [trained(found.case, found.setup, null) for null in found.setup.nulls if null.trained]


def trained(case: Case, setup: Setup, null: Null) -> NullFacts:
    """How one null was trained, or why it was not."""
    try:
        chosen = case.values(requests.choose(setup, null), ChosenNetwork)
        fitted = case.values(requests.fit(setup, null), TrainedNetwork)
    except NotMeasured as missing:
        return NullFacts(title=null.title, reason=str(missing))
    return recipe_facts(null.title, chosen, fitted)


def recipe_facts(title: str, chosen: ChosenNetwork, fitted: TrainedNetwork) -> NullFacts:
    """How a null was trained, from the outcomes of its two jobs."""
    recipe, (spacing, mirrored) = chosen.recipe, chosen.vote
    return NullFacts(
        title=title,
        parameters=fitted.parameters,
        images_seen=recipe.images_seen,
        device=fitted.device,
        rate=recipe.rate,
        diverged_at=chosen.diverged_at or None,
        augment=recipe.augment,
        precision=recipe.precision,
        crop=recipe.crop,
        window=recipe.window,
        trials=chosen.rehearsals,
        heldout_accuracy=chosen.heldout_accuracy,
        spacing=spacing,
        mirrored=mirrored,
        doublings=chosen.doublings,
        proofs={
            name: ProofFacts(holds=proof.holds, checked=proof.checked, largest=proof.largest)
            for name, proof in fitted.proofs.items()
        },
    )


def facts_of(found: AuditEvidence, said: Declared) -> Facts:
    """What an audit knows of model and data; `audit_facts` adds how it was made."""
    subject, dataset = found.examined.subject, found.examined.experiment.dataset
    assert subject is not None, "an audit has a model"
    return Facts(
        model=model_facts(subject, said, found.case), data=data_facts(found, dataset, said)
    )
