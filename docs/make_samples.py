"""Make the sample reports of `docs/samples`: one that passes, one that fails, one undecided.

    python docs/make_samples.py [pass fail inconclusive] [--work DIR]

Real runs of the command line, in minutes each on two cores. `pass`: two small objects whose
arrangement is the class, so that no patch gives it away. `fail`: the colour of a small mark is the
class, so that a histogram of colours is as good as any model. `inconclusive`: the data of `audit
demo`, where a blind model is as good, but by too little to tell with one seed of it. The first two
are the data sets of `audit selftest`, written as image folders. Existing samples of the same name
are replaced.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from audit.data.dataset import Dataset
from audit.data.embedded import write_embedded_folder
from audit.selftest.planted import ARRANGED_CLASSES, SIDE, TINTS, arranged, planted, tinted

SAMPLES = Path(__file__).with_name("samples")
TRAIN = Path(__file__).parents[1] / "examples" / "train_subject.py"
KEPT = ("report.html", "report.md", "report.yaml", "config.yaml", "junit.xml")
TINT_CLASSES = tuple(f"tint {i}" for i in range(len(TINTS)))


def write_folder(dataset: Dataset, root: Path) -> None:
    """An image folder with train/ and val/, as PNG files."""
    for name, split in (("train", dataset.train), ("val", dataset.eval)):
        assert split is not None
        for i, label in enumerate(split.labels):
            folder = root / name / dataset.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            split.open_image(i).save(folder / f"{i:05}.png")


def prepare(sample: str, root: Path) -> tuple[list[str], list[str]]:
    """Write the data of a sample.

    Returns:
        Further arguments of the training script, and of the audit.
    """
    if sample == "inconclusive":
        write_embedded_folder(root)
        return ["--img-size", "28", "--epochs", "8"], []
    side = ["--img-size", str(SIDE)]
    if sample == "fail":
        write_folder(planted(tinted, TINT_CLASSES, 1200, 1500, 0), root)
        return [*side, "--epochs", "8"], ["--set", "images_seen=6000"]
    write_folder(planted(arranged, ARRANGED_CLASSES, 3006, 3006, 0), root)
    return [*side, "--epochs", "12"], ["--set", "images_seen=12000"]


def make(sample: str, work: Path) -> None:
    """Train a model, audit it, and keep the report."""
    work.mkdir(parents=True, exist_ok=True)
    data, model, run = work / "data", work / "model.pt", work / "run"
    training, auditing = prepare(sample, data)
    learn = ["--opt", "adamw", "--lr", "0.002", "--weight-decay", "0.01", "--batch-size", "64"]
    shape = ["--model", "resnet10t"]
    subprocess.run(
        [sys.executable, TRAIN, "--data-dir", data, *shape, *learn, *training, "-o", model],
        check=True,
    )
    (work / "audit.yaml").write_text('evaluation_chose_subject: "no"\npretrained_on: none\n')
    audit = [sys.executable, "-m", "audit", model.name, "--data", data.name, "--quick", *auditing]
    done = subprocess.run([*audit, "--out", run.name, "--cache", "cache"], cwd=work, check=False)
    if done.returncode == 2:
        sys.exit(f"the audit of '{sample}' judged nothing")
    shutil.rmtree(SAMPLES / sample, ignore_errors=True)
    (SAMPLES / sample).mkdir(parents=True)
    for name in KEPT:
        shutil.copy(run / name, SAMPLES / sample / name)
    print(f"{sample}: exit code {done.returncode}")


def main() -> None:
    """Make the samples that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("samples", nargs="*", default=["pass", "fail", "inconclusive"])
    parser.add_argument("--work", type=Path, help="folder for data, models and runs [temporary]")
    options = parser.parse_args()
    for sample in options.samples:
        if options.work:
            make(sample, options.work.absolute() / sample)
        else:
            with tempfile.TemporaryDirectory() as name:
                make(sample, Path(name))


if __name__ == "__main__":
    main()
