"""The jobs of the check `probes`: read-outs of every cut on a data set, one job a data set."""

from audit.checks.probes.outcomes import ReadOut
from audit.evidence.setup import CutPoint, ExtraDataset, Setup
from audit.evidence.shared_jobs import draws, norms, train_facts
from audit.jobs.job import Job, Plain
from audit.jobs.kind import Executor, Kind


def _executor() -> Executor:
    from audit.checks.probes.run import probes

    return probes


PROBES = Kind("probes", 4, _executor, values=(ReadOut,))
AUDITED = "audited"
FORWARD = 2.0  # cost of one image through the model
SOLVING = 0.6  # cost of one image in one read-out of up to ten classes


def cuts_read(setup: Setup) -> tuple[CutPoint, ...]:
    """As many cuts as the profile asks for, spread evenly by order, the last one among them."""
    cuts, wanted = setup.all_cuts, setup.profile.probe_cuts
    if len(cuts) <= wanted:
        return cuts
    last = len(cuts) - 1
    places = {round(last * (1 - k / max(wanted, 1))) for k in range(wanted)}
    return tuple(cuts[i] for i in sorted(places))


def probes(setup: Setup, other: ExtraDataset | None = None) -> Job:
    """Read-outs of the model, of untrained networks of its kind and of the pixels.

    Args:
        setup: What is measured.
        other: The data set beside the audited one; None: the audited one.
    """
    profile, cuts = setup.profile, cuts_read(setup)
    n_train = min(profile.probe_images, other.n_train if other else setup.n_train)
    n_eval = min(profile.probe_images, other.n_eval if other else setup.n_eval)
    params: dict[str, Plain] = {
        "data": other.train_digest if other else setup.train_digest,
        "evaluation": other.eval_digest if other else setup.eval_digest,
        "of": "probe" if other else AUDITED,
        "subject": setup.subject_digest,
        "view": setup.view,
        "cuts": [cut.name for cut in cuts],
        "images": profile.probe_images,
        "svm": profile.probe_svm,
        "seed": setup.seed,
        "draws": len(draws(setup)),
        "norms": norms(setup),
    }
    readouts = len(cuts) * ((2 if profile.probe_svm else 1) + len(draws(setup))) + 1
    classes = len(other.classes if other else setup.classes)
    fixed = SOLVING * max(1.0, classes / 10) * n_train * readouts + (
        1.5 * (n_train + n_eval) if other else 0.0
    )
    return PROBES.job(
        label="reading out the layers" + (" on other data" if other else ""),
        params=params,
        after=() if other else (train_facts(setup),),
        cost=(1 + len(draws(setup))) * FORWARD * (n_train + n_eval) + fixed,
        fixed=fixed,
    )
