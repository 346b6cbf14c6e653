"""Jobs and kinds of jobs for tests: some with another executor."""

from dataclasses import replace

from audit import checks
from audit.jobs.values import NoValues
from tests.samples.outcomes import Noted


def job_of(kind, label, params=None, after=(), **more):
    """A job of a kind, by its name."""
    return checks.kinds()[kind].job(label, params, after, **more)


def kinds_with(**executors):
    """All kinds, some of which are done by these functions, which may give values of tests."""
    known = checks.kinds()
    return known | {
        name: replace(
            known[name],
            executor=lambda run=run: run,
            values=(*known[name].values, Noted, NoValues),
        )
        for name, run in executors.items()
    }


def patch(monkeypatch, **executors):
    """Let some kinds be done by these functions, in every audit of this process."""
    changed = kinds_with(**executors)
    monkeypatch.setattr(checks, "kinds", lambda: changed)
