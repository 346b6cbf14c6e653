"""Policies and configurations that must be refused."""

import os
from pathlib import Path

from tests.samples.hostile_tools import Case, written

LIMIT = "limits:\n  gain:\n    at_least: {}\n"
REASONS = ("POLICY_INVALID",)
NAME = "policy.yaml"
TEXTS = {
    "alias": "a: &a [1]\nlimits: *a\n",
    "billion laughs": "a: &a [x, x]\nb: &b [*a, *a]\nlimits: {c: [*b, *b]}\n",
    "tag that runs code": "limits: !!python/object/apply:os.system ['touch canary']\n",
    "duplicate key": LIMIT.format("0.1") + "    at_least: 0.2\n",
    "second document": LIMIT.format("0.1") + "---\nlimits: {}\n",
    "NaN": LIMIT.format(".nan"),
    "infinite": LIMIT.format("-.inf"),
    "a word for a number": LIMIT.format("no"),
    "unknown key": "limit:\n  gain: {at_least: 0.1}\n",
    "a list": "- limits\n",
    "deep nesting": "limits: " + "[" * 100_000,
    "tabs": "limits:\n\tgain: 1\n",
    "control characters": "limits: {\x1b[31m: 1}\n",
    "escape as a name": 'limits: {"\\e[31m": 1}\n',  # the raw byte is no YAML
    "number without end": LIMIT.format("9" * 100_000),
}


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / NAME)
    return folder / NAME


CASES: dict[str, Case] = {
    **{k: Case("policy", written(v.encode(), NAME), REASONS) for k, v in TEXTS.items()},
    "not UTF-8": Case("policy", written(b"limits: \xff\n", NAME), REASONS),
    "pipe": Case("policy", pipe, REASONS),
    "device": Case("policy", lambda _: Path("/dev/zero"), REASONS),
    "folder": Case("policy", lambda folder: folder, REASONS),
    "65 MB": Case("policy", written(b"#" * (65 * 2**20), NAME), REASONS),
}
