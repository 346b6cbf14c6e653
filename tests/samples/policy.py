"""Measurements and policies for tests: numbers as checks would state them."""

import math

import numpy as np

from audit import checks
from audit.policy.judge import judge
from audit.policy.limits import Limit, Policy, load_policy
from audit.record import Finding
from audit.stats.gain import gain_interval
from tests.samples.measurements import measurement
from tests.samples.pairs import pair_of

NAN = math.nan
GAIN = "accuracy_gap.gain.bagnet-9"
COMPARATORS = ("at_least", "at_most", "above", "below")


def write(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path, text, **more):
    return load_policy(write(tmp_path, text), vocabulary=checks.vocabulary(), **more)


def one_limit(measure="x", severity="gate", **more):
    """A policy with one limit, on any name: what a file may ask for is tested elsewhere."""
    side = next(key for key in COMPARATORS if key in more)
    limit = Limit(name="it", measure=measure, severity=severity, comparator=side,
                  bound=more.pop(side), by_class=checks.vocabulary().by_class, **more)  # fmt: skip
    return Policy(limits=(limit,))


def measured(name="x", value=0.5, low=NAN, high=NAN, unit="points", **more):
    return measurement(name, value, unit, low=low, high=high, n=100, **more)


def bet(null_error, subject_error, n=10_000, name=GAIN, sides=(32, 32), **more):
    """The measurement of a gain, as a check emits it: the sides are the null's and the model's."""
    sides = dict(zip(("side", "subject_side"), sides, strict=False))
    wrong = np.random.default_rng(1).permutation(np.arange(n) < round(subject_error * n))
    null = np.arange(n) < round(null_error * n)
    more = {"claim": True, "allowance": 0.0, "seed_variance": 0.0, **more}
    one = pair_of(name.rsplit(".", 1)[1], wrong, null, **more)
    value, low, high = gain_interval(one)
    return measured(name, value, low, high, "gain", detail=one.to_detail() | sides)


def gain_finding(*measurements, g=0.1):
    (found,) = judge(measurements, one_limit("accuracy_gap.gain.*", at_least=g))
    return found


def finding(decided, severity="gate", **more):
    return Finding(
        limit="x", statement="", measurements=(), verdict=decided, severity=severity, **more
    )
