"""The scripts whose tables stand in `benchmarks/` still run, at the smallest size."""

import os
import re
import subprocess
import sys

import pytest

from tests.samples.audits import ROOT, make_folder

pytestmark = pytest.mark.slow
COMMANDS = {
    "containers": "containers.py test_resnet",
    "coverage": "coverage.py test_vit",
    "data_speed": "data_speed.py --links 200",
    "id_against_accuracy": (
        "id_against_accuracy.py -o {tmp} --share 0.02 --null-images 1000 --networks 2 --threads 1"
    ),
    "id_bias": "id_bias.py --draws 1 --sizes 200 --manifolds gaussian",
    "id_coverage": "id_coverage.py --draws 2 --large 1",
    "muon": "muon.py bagnet-5 --seen 500 --seeds 2",
    "neighbours": "neighbours.py --n 500 --d 32 --data gaussian --peers ours --threads 1",
    "null_recipes": (
        "null_recipes.py --search --confirm bagnet-9 --seconds 1 --images 100 "
        "--votes coordconv-5 --seen 500"
    ),
    "precision": "precision.py bagnet-5 --seen 500 --seeds 2",
    "probes": "probes.py --images 400 --width 16 --svm-images 200 --threads 1",
    "profiles": "profiles.py {model} --data {data} --images 100 -o {tmp}/chart.svg",
    "random_labels": "random_labels.py --epochs 1 --images 200",
    "selftest_misses": "selftest_misses.py --seeds 1 --only c --threads 1",
    "side_by_side": "side_by_side.py --models {model} --data {data} --images-seen 100 --threads 2",
    "start_up": "start_up.py --repeats 1",
    "throughput": "throughput.py --only bagnet-5 --width 16 --blocks 1 --threads 1",
    "transfer": "transfer.py --speed-only --images 150 --speed-seen 300 --seeds 1 --threads 1",
    "gain_rule_simulation": "gain_rule_simulation.py --quick --table power",
    "verdict_simulation": "verdict_simulation.py --quick --table extremes",
}


@pytest.fixture(scope="module")
def four_classes(tmp_path_factory):
    root = tmp_path_factory.mktemp("four") / "set"
    return make_folder(root, {"train": 60, "test": 60}, classes=("a", "b", "c", "d"))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_benchmark_prints_figures(command, data, model, four_classes, tmp_path):
    words = command.format(data=data, model=model, tmp=tmp_path).split()
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / words[0], *words[1:]],
        cwd=tmp_path,
        env=os.environ | {"AUDIT_DATA": str(four_classes)},
        capture_output=True,
        text=True,
        check=False,
    )
    missed_goal = words[0] == "start_up.py" and "Traceback" not in done.stderr
    assert done.returncode == 0 or missed_goal, done.stderr[-2000:]
    assert re.search(r"\d", done.stdout)
