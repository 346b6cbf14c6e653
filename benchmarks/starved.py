"""Does a null with a tenth of its budget, or a crippled one, let a model pass? On real images.

    AUDIT_DATA=cifar10 python benchmarks/starved.py resnet18.pt vit.pt convnext.pt

AUDIT_DATA names an image folder; the models are checkpoints that belong to it. The nulls are
trained once, on a tenth of the images that the default profile gives them, without doublings. Then
nulls are trained on fewer images still, and CoordConv with all layers but its classifier left as
they were drawn, as a faulty null would be: the nesting check must say so, for it must not lose to
the circular twin, which is not told where patches are. Only what the gate on the gain rests on is
measured. `--part` does one of both.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from audit import checks
from audit.baselines.patch_net import PatchNet
from audit.core.threads import set_threads
from audit.data.dataset import Dataset
from audit.data.load import load_dataset
from audit.evidence import choose_recipe as choosing
from audit.evidence import fit_null as nulls
from audit.evidence.context import JobContext, PixelCache
from audit.evidence.examine import Experiment, examine
from audit.evidence.null_errors import read_ladder
from audit.evidence.profile import PROFILES, Profile, profile
from audit.evidence.setup import Null
from audit.jobs.store import Store
from audit.model.checkpoint import Subject, load_subject
from audit.pipeline.audit import AuditEvidence, audit
from audit.pipeline.workspace import Workspace
from audit.policy.limits import default_policy
from audit.record import GAIN, GAP, by_quantity, title_of
from audit.reports.text import interval, number

WHOLE = PROFILES["default"].images_seen
STARVED, FEWER = 10, 40  # of the default budget, one in so many
PARTS = ("starved", "crippled")
LEFT_OUT: dict[str, int | bool] = {
    "cuts": 0,
    "id_images": 0,
    "probe_cuts": 0,
    "doublings": 0,
    "seeds": 1,
}
QUANTITIES = ("accuracy", "allowance")  # the stack has none of its own
HEAD = "| nulls | model | accuracy | strongest null | gain over it | allowance | gain | why |"


def main() -> None:
    """Audit every model beside starved nulls, then beside a crippled one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    set_threads(options.threads)
    started, dataset = time.monotonic(), load_dataset(Path(os.environ["AUDIT_DATA"]))
    subjects = [load_subject(path) for path in options.models]
    print(HEAD + "\n|" + "---|" * (HEAD.count("|") - 1), flush=True)
    decoded: PixelCache = {}
    if "starved" in options.part:
        starved = profile("quick", images_seen=WHOLE // STARVED, **LEFT_OUT)
        words = f"{starved.images_seen:,} images seen, of {WHOLE:,}"
        show(words, audits(subjects, dataset, starved, decoded))
    if "crippled" in options.part:
        cripple("coordconv")
        fewer = profile("quick", images_seen=WHOLE // FEWER, **(LEFT_OUT | {"circular": True}))
        found = audits(subjects[:1], dataset, fewer, decoded)
        show(f"{fewer.images_seen:,}, CoordConv crippled", found)
        for name, why in read_ladder(found[0].case).unusable.items():
            print(f"\n{title_of(name)}: {why}")
    print(f"\n{time.monotonic() - started:.0f} s")


def audits(
    subjects: Sequence[Subject], dataset: Dataset, chosen: Profile, decoded: PixelCache
) -> list[AuditEvidence]:
    """One audit a model, with the nulls trained once."""
    workspace = Workspace(Store(None), decoded=decoded)
    policy = default_policy(checks.vocabulary())
    asked = [examine(subject, Experiment(dataset)) for subject in subjects]
    return [audit(one, chosen, policy, workspace) for one in asked]


def show(kind: str, found: Sequence[AuditEvidence]) -> None:
    """A line a model."""
    for one in found:
        known = by_quantity(one.measurements[GAP], GAP)
        own = known["accuracy", "subject"]
        gains = {of: m for (kind, of), m in known.items() if kind == GAIN and m.detail["claim"]}
        null = max(gains, key=lambda name: known["accuracy", name].value)
        theirs, allowance = (known.get((q, null)) for q in QUANTITIES)
        assert theirs is not None
        (finding,) = (f for f in one.findings if f.limit == "gain")
        cells = (
            *(kind, one.setup.architecture, number(own.value, "fraction")),
            f"{title_of(null)}, {number(theirs.value, 'fraction')}",
            f"{number(gains[null].value, 'gain')} "
            f"({interval(gains[null].low, gains[null].high, 'gain')})",
            "" if allowance is None else number(allowance.value, "points"),
            *(finding.verdict, finding.reason),
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def cripple(kind: str) -> None:
    """Let networks of one kind learn their classifier alone."""
    whole = nulls.build

    def build(null: Null, context: JobContext, seed: int) -> PatchNet:
        network = whole(null, context, seed)
        if null.kind == kind:
            network.requires_grad_(False)
            network.fc.requires_grad_(True)
        return network

    nulls.build = choosing.build = build  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
