"""The ID profile of any models on one data set: a table each, and one chart of all.

    python benchmarks/profiles.py resnet18.pt vit.pt convnext.pt --data cifar10 -o profiles.svg

Each model stands beside untrained networks (their mean), both at the input and at every cut
point, on the same evaluation images. The numbers come from the audit's own jobs and check.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from audit import checks
from audit.checks.dimension import profile as id_profile
from audit.checks.dimension import profile_report as id_words
from audit.checks.dimension.jobs import TWIN, profiles
from audit.core.progress import Progress
from audit.data.dataset import Dataset
from audit.data.load import load_dataset
from audit.evidence.case import Case
from audit.evidence.context import JobContext
from audit.evidence.examine import Experiment, examine, set_up
from audit.evidence.profile import profile
from audit.jobs.execute import execute
from audit.jobs.store import Store
from audit.model.checkpoint import load_subject
from audit.record import Measurement
from audit.reports.charts.svg import svg
from audit.reports.document import Chart
from audit.reports.files import write_atomic
from audit.reports.text import fixed


def measured(path: Path, dataset: Dataset, images: int) -> list[Measurement]:
    """Both curves of one model."""
    subject = load_subject(path)
    wanted = profile("default", id_images=images, id_nulls=False)
    examined = examine(subject, Experiment(dataset))
    setup, cuts = set_up(examined, wanted), examined.cuts
    context = JobContext(dataset, subject, setup, all_cuts=cuts)
    jobs = [job for each in profiles(setup).values() for job in each]
    done = execute(jobs, context, Store(None), Progress(quiet=True), checks.kinds())
    labels = dataset.eval.labels
    return id_profile.measure(
        Case(setup, labels, np.arange(len(labels)), done.outcomes, done.failures)
    )


def table(found: list[Measurement]) -> None:
    """Print a row a point, trained beside untrained, and what the shapes are."""
    print(
        "| point | relative depth | coordinates | dimension | components | untrained | components |"
    )
    print("|---|---|---|---|---|---|---|")
    for m in id_words.curve(found, "dimension", "subject"):
        cells = [m.layer, f"{m.at:.3f}", f"{m.detail['coordinates']:,.0f}"]
        for name in ("subject", TWIN):
            own, linear = (
                next(p for p in id_words.curve(found, kind, name) if p.layer == m.layer)
                for kind in ("dimension", "pca")
            )
            ends = f" ({own.low:.1f} to {own.high:.1f})" if own.value == own.value else ""
            cells += [fixed(own.value, 1) + ends, fixed(linear.value, 0)]
        print(f"| {' | '.join(cells)} |")
    print(f"\n{id_profile.section(found, []).summary}\n")


def together(charts: dict[str, Chart]) -> Chart:
    """All curves in one chart, each named after its model."""
    series = [
        s.model_copy(update={"name": name if s.role == "subject" else f"{name}, untrained"})
        for name, chart in charts.items()
        for s in chart.series
    ]
    return next(iter(charts.values())).model_copy(update={"series": tuple(series)})


def main() -> None:
    """Measure every model, print its table, write the chart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("-o", "--output", type=Path, default=Path("profiles.svg"))
    args = parser.parse_args()
    dataset, charts = load_dataset(args.data), {}
    for path in args.models:
        start = time.perf_counter()
        found = measured(path, dataset, args.images)
        seconds = time.perf_counter() - start
        spent = f"{seconds:.0f} s, {torch.get_num_threads()} threads"
        print(f"## {path.stem}, at most {args.images:,} images, {spent}\n")
        table(found)
        charts[path.stem] = id_profile.section(found, []).charts[0]
    drawn = svg(together(charts)).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    write_atomic(args.output, drawn.encode())
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
