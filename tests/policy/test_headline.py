"""The headline says what a blind model can do, and no more than was shown."""

import re

import pytest

from audit.api import load_policy
from audit.policy.headline import headline
from audit.policy.judge import judge
from tests.samples.policy import bet, measured, one_limit


def head(*measurements):
    policy = one_limit("accuracy_gap.gain.*", at_least=0.1)
    return headline(judge(measurements, policy), measurements)


def test_headlines_say_what_a_blind_model_can_do():
    blind = "A model that sees only 9×9-pixel patches makes as few errors as this one."
    assert head(bet(0.3, 0.3)) == blind
    assert head(bet(0.3, 0.29)).startswith("This model makes only 3% fewer errors than one that")
    solved = head(bet(0.001, 0.0))
    assert solved.startswith("A model that sees only 9×9-pixel patches gets 99.9 % of these")


def test_a_pass_says_no_more_than_was_shown():
    good = bet(0.3, 0.1)
    assert "beats a local model trained on these data" in head(good)
    unclear = measured("accuracy_gap.twin_minus_null", 0.01, -0.01, 0.03)
    assert "beats a local model trained on these data" in head(good, unclear)
    clear = measured("accuracy_gap.twin_minus_null", 0.05, 0.03, 0.07)
    assert head(good, clear).startswith("This model makes 67% fewer errors than one that sees only")
    assert "beats a local" not in head(good, clear)


def test_a_pass_names_the_null_that_comes_closest_not_the_one_that_was_least_sure():
    closest = bet(0.3, 0.1, name="accuracy_gap.gain.bagnet-9")
    unripe = bet(0.4, 0.1, allowance=0.2, name="accuracy_gap.gain.coordconv-9")
    said = head(unripe, closest)
    assert said.startswith("This model makes 67% fewer errors than one that sees only 9×9-pixel")
    assert "told where" not in said


def test_an_undecided_headline_gives_the_reason():
    assert head(bet(0.3, 0.1, allowance=0.5)).startswith("Undecided: ")
    assert "no gate" in headline((), ())


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ("It makes 4% more errors.", "Undecided: this model makes 4% more errors."),
        ("More training might help.", "Undecided: more training might help."),
        ("CoordConv-9 has failed.", "Undecided: CoordConv-9 has failed."),
    ],
)
def test_the_reason_is_the_rest_of_a_sentence(why, text):
    finding = judge([bet(0.3, 0.1, allowance=0.5)], load_policy())[0]
    undecided = finding.model_copy(update={"explanation": why, "verdict": "inconclusive"})
    assert headline([undecided], []) == text


def test_leaks_come_first():
    policy = load_policy()
    found = judge([bet(0.3, 0.3), measured("data.exact_leaks", 7, unit="count")], policy)
    assert headline(found, [bet(0.3, 0.3)]).startswith(
        "Training images stand in the evaluation set"
    )


def test_headlines_say_what_a_blind_model_does_and_never_how_the_subject_works():
    for null in ("prior", "colour", "moments", "pixels", "bagnet-9", "coordconv-9", "stack", "odd"):
        for subject in (0.0, 0.1, 0.28, 0.3, 0.4):
            text = head(bet(0.3, subject, name=f"accuracy_gap.gain.{null}"))
            assert text.startswith(("A model that ", "This model makes ", "Undecided: "))
            assert not re.search(r"texture|shape|uses|looks at", text.lower())
            assert text.endswith(".")
