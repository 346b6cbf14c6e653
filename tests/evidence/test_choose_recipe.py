"""How a null's recipe is chosen when training goes wrong."""

from types import SimpleNamespace

import pytest
import torch

from audit.baselines.train import Diverged
from audit.evidence import choose_recipe as choosing
from audit.evidence import rehearsals
from audit.evidence.choose_recipe import RecipeSearch, choose_network
from audit.evidence.ladder import make_null
from audit.evidence.outcomes import NotTrained
from audit.jobs.resume import ResumeState
from audit.pipeline.facts import recipe_facts
from audit.pipeline.provenance import about_null
from tests.baselines.test_train import images
from tests.samples.kinds import job_of
from tests.samples.outcomes import trained

BUDGET = 800
GIVEN = {"images_seen": BUDGET, "seed": 0, "rehearsals": 2, "doublings": 1}
JOB = job_of("choose", label="x", params=GIVEN | {"rates": [0.05, 0.1, 0.2]})


shares = []  # of the choice that are done, as they were told


@pytest.fixture
def chosen(monkeypatch):
    """A choice where training a network takes no time: `outcome` says how often it is right."""

    def choose(outcome, climb=0.0):
        runs = []
        shares.clear()

        def train(network, data, recipe, *, progress, branches=None, **_):
            progress(recipe.images_seen * (1.4 if branches else 1))
            runs.append((recipe.images_seen, round(recipe.rate, 3)))
            right = outcome(*runs[-1])
            if right is None:
                raise Diverged
            for share in branches.shares if branches else ():
                branches.finished(share, right - climb * (1 - share))
            return right

        def predict(right, data):
            wrong = torch.arange(len(data)) >= right * len(data)
            return torch.eye(2)[torch.where(wrong, 1 - data.labels, data.labels)]

        monkeypatch.setattr(choosing, "train", train)
        monkeypatch.setattr(rehearsals, "predict", predict)
        monkeypatch.setattr(choosing, "accuracy", lambda right, data: right)
        setup = SimpleNamespace(
            n_train=100, classes=("a", "b"), channels=1, null_size=lambda null: (16, 16),
            learns_from_windows=lambda null: False,
        )  # fmt: skip
        context = SimpleNamespace(
            setup=setup, resume_state=ResumeState(), placed=lambda network: network
        )
        null = make_null("coordconv", 5, claim=True)
        bench = RecipeSearch(null, context, images(100), images(100), shares.append)
        return choose_network(bench, JOB).values, runs

    return choose


def test_what_diverges_in_rehearsal_is_rehearsed_at_a_tenth_of_the_rate(chosen):
    values, runs = chosen(lambda seen, rate: None if seen == BUDGET and rate > 0.005 else 0.9)
    assert (values.status, values.reason, values.diverged_at) == ("ok", "", 0.05)
    assert values.recipe.rate == pytest.approx(0.005)
    assert [run for run in runs if run[0] == BUDGET] == [
        (BUDGET, 0.05),
        (BUDGET, 0.005),
        (BUDGET, 0.005),
    ]
    facts = recipe_facts("BagNet-9", values, trained())
    assert ", rate 0.005 (a tenth of 0.05, at which it diverged)," in about_null(facts)


def test_a_null_that_diverges_again_has_failed(chosen):
    values, runs = chosen(lambda seen, rate: None if seen == BUDGET else 0.9)
    assert (values.status, values.reason) == ("failed", "its training diverged")
    assert len([run for run in runs if run[0] == BUDGET]) == 2
    assert isinstance(values, NotTrained)
    assert len(values.trials) == 3  # one per rate


def test_a_tenth_of_the_rate_that_learns_less_than_a_trial_is_a_failed_null(chosen):
    """Else a crippled null would flatter the model."""
    values, _ = chosen(lambda seen, rate: 0.8 if rate <= 0.005 else None if seen == BUDGET else 0.9)
    assert values.status == "failed"
    assert "learns less than it had before" in values.reason


def test_a_network_that_was_better_before_another_diverged_is_the_mark(chosen):
    """The second seed bursts; what the first reached was no short trial."""
    whole = iter([0.95, None])

    def outcome(seen, rate):
        if rate < 0.05:
            return 0.8
        return next(whole) if seen == BUDGET else 0.7

    values, _ = chosen(outcome)
    assert values.diverged_at > 0
    assert values.status == "failed"


def test_where_every_rate_diverges_no_other_is_guessed(chosen):
    values, runs = chosen(lambda seen, rate: None)
    assert (values.status, values.reason) == ("failed", "its training diverged")
    assert min(rate for _, rate in runs) == 0.05


def test_doublings_are_part_of_what_is_left(chosen):
    """Each takes as long as all before: a bar that says 100 % would be wrong for so long."""
    values, _ = chosen(lambda seen, rate: 0.9)
    assert values.doublings == 0
    assert shares[-1] == pytest.approx(1, abs=0.1)
    values, _ = chosen(lambda seen, rate: 0.7, climb=0.4)
    assert values.doublings == 1
    assert shares[-2] < 0.8
    assert shares[-1] == pytest.approx(1, abs=0.1)


def test_nothing_is_said_of_a_training_that_went_well(chosen):
    values, _ = chosen(lambda seen, rate: 0.9)
    assert (values.status, values.diverged_at, values.doublings) == ("ok", 0.0, 0)
    assert "diverged" not in about_null(recipe_facts("BagNet-9", values, trained()))
