"""Run folders made by hand: no image, no network, every error known."""

import gzip
import math

import numpy as np

from audit.jobs.folders import dumped
from audit.record import Finding, Report
from audit.record.facts import AuditFacts, DataFacts, Facts, ModelFacts
from audit.reports.document import Document
from audit.reports.files import write_atomic
from tests.samples.measurements import measurement
from tests.samples.pairs import pair_of

N = 400
NAN = math.nan
GAP = "accuracy_gap"


def wrong(count, start=0, n=N):
    """Errors: `count` images from `start` on are wrong."""
    errors = np.zeros(n)
    errors[start : start + count] = 1
    return errors


def measurements(subject, null, dimension=12.0, seed_variance=0.0):
    """The accuracies, the gap, the gain and the last-layer dimensions of a subject and bagnet-9."""
    n = len(subject)
    both = pair_of(
        "bagnet-9", subject, null, claim=True, allowance=0.0, seed_variance=seed_variance
    )
    gain = 1 - subject.mean() / null.mean()
    rows = [
        ("accuracy.subject", 1 - subject.mean(), "fraction", {}),
        ("accuracy.bagnet-9", 1 - null.mean(), "fraction", {}),
        ("gap.bagnet-9", null.mean() - subject.mean(), "points", {}),
        ("gain.bagnet-9", gain, "gain", both.to_detail()),
        ("class_accuracy.even", 1 - subject[::2].mean(), "fraction", {}),
        ("class_accuracy.odd", 1 - subject[1::2].mean(), "fraction", {}),
    ]
    found = [
        measurement(f"{GAP}.{name}", float(value), unit, low=float(value) - 0.03,
                    high=float(value) + 0.04, n=n, detail=detail)
        for name, value, unit, detail in rows
    ]  # fmt: skip
    found += [
        measurement(f"intrinsic_dimension.last_layer.{model}", value, "dimensions",
                    low=value - 0.3, high=value + 0.4, n=n)
        for model, value in (("subject", dimension), ("bagnet-9", 13.0))
    ]  # fmt: skip
    return (*found, measurement("data.exact_leaks", 0.0, "count", n=n))


def report(subject, null, *, title="net", data="d" * 64, classes="ab", verdict="pass",
           dimension=12.0, seed_variance=0.0):  # fmt: skip
    finding = Finding(limit="gain", statement="a gain", measurements=(), verdict=verdict,
                      severity="gate")  # fmt: skip
    document = Document(
        title=title,
        verdict=verdict,
        headline="so it is",
        exit_code=0,
    )
    return Report(
        facts=Facts(
            model=ModelFacts(architecture=title, weights_digest=title * 3),
            data=DataFacts(classes=tuple(classes), digest=data),
            audit=AuditFacts(tool_version="1", profile={"name": "quick", "seeds": 1}),
        ),
        document=document,
        measurements=measurements(subject, null, dimension, seed_variance),
        findings=(finding,),
        policy={"version": 1, "limits": {"gain": {"at_least": 0.1}}},
    )


def table(subject, null, order=None, names=None):
    """predictions.csv.gz of two classes, which alternate; an error is the other class."""
    names = names or [f"val/{i:04d}.png" for i in range(len(subject))]
    lines = [f"{name},{i},{i % 2},{(i + int(s)) % 2},{(i + int(k)) % 2}"
             for i, (name, s, k) in enumerate(zip(names, subject, null, strict=True))]  # fmt: skip
    if order is not None:
        lines = [lines[i] for i in order]
    return gzip.compress("\n".join(["path,group,label,subject,bagnet-9.0", *lines, ""]).encode())


def make_run(folder, subject, null, *, predictions=True, order=None, names=None, **words):
    """Write a run folder and return it."""
    folder.mkdir(parents=True)
    write_atomic(
        folder / "report.yaml", dumped(report(subject, null, **words).model_dump(mode="python"))
    )
    if predictions:
        write_atomic(folder / "predictions.csv.gz", table(subject, null, order, names))
    return folder
