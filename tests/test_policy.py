"""Policies are read strictly and judged so that nothing unmeasured ever passes."""

import math

import numpy as np
import pytest

from audit.limits import DEFAULT
from audit.policy import headline, judge, load_policy, parse_policy, resolved, verdict
from audit.record import AuditError, Finding, Measurement
from audit.stats import gain_interval, pair
from reports import yaml

NAN = math.nan
GAIN = "accuracy_gap.gain.bagnet-9"


def write(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def one_limit(measure="x", severity="gate", **more):
    return parse_policy(
        {"limits": {"it": {"measure": measure, "severity": severity, **more}}}, base=None
    )


def measured(name="x", value=0.5, low=NAN, high=NAN, unit="points", **more):
    return Measurement(name=name, value=value, unit=unit, low=low, high=high, n=100, **more)


def bet(null_error, subject_error, n=10_000, name=GAIN, **more):
    """The measurement of a gain, as a check emits it."""
    wrong = np.random.default_rng(1).permutation(np.arange(n) < round(subject_error * n))
    null = np.arange(n) < round(null_error * n)
    more = {"claim": True, "allowance": 0.0, "seed_variance": 0.0, **more}
    one = pair(name.rsplit(".", 1)[1], wrong, null, **more)
    value, low, high = gain_interval(one)
    return measured(name, value, low, high, "gain", detail=one.to_detail())


def gain_finding(*measurements, g=0.1):
    (found,) = judge(measurements, one_limit("accuracy_gap.gain.*", at_least=g))
    return found


# Reading


def test_the_default_policy_is_the_designed_one():
    limits = {limit.name: limit for limit in load_policy().limits}
    gates = {name for name, limit in limits.items() if limit.severity == "gate"}

    assert gates == {"gain", "prior_gap", "exact_leaks", "near_leaks"}
    assert (limits["gain"].comparator, limits["gain"].bound) == ("at_least", 0.10)
    assert (limits["near_leaks"].comparator, limits["near_leaks"].bound) == ("at_most", 0.001)
    assert limits["coadaptation"].bound == 0.05


def test_a_resolved_policy_reads_back():
    policy = load_policy()
    assert parse_policy(yaml.load(yaml.dump(resolved(policy))), base=None) == policy


def test_a_file_changes_single_limits(tmp_path):
    changed = load_policy(
        write(tmp_path, "limits:\n  gain: {above: 2e-1}\n  twin: {severity: info}")
    )
    limits = {limit.name: limit for limit in changed.limits}

    assert (limits["gain"].comparator, limits["gain"].bound) == ("above", 0.2)
    assert limits["gain"].measure == "accuracy_gap.gain.*"
    assert limits["twin"].severity == "info"
    assert len(limits) == len(load_policy().limits)


def test_an_empty_file_is_the_default_policy(tmp_path):
    assert load_policy(write(tmp_path, "# nothing\n")) == load_policy()


REFUSED = {  # text: what the message must say
    "limit: {}": "line 1, has the unknown key `limit`; the nearest known key is `limits`",
    "limits:\n  gain: {at_leest: 0.2}": "line 2, has the unknown key `at_leest`.*`at_least`",
    "limits:\n  gian: {at_least: 0.2}": "line 2, needs `measure`.*did you mean the limit `gain`",
    "limits:\n  gain: {at_least: .nan}": "needs a finite number for `gain.at_least`",
    "limits:\n  gain:\n    at_least: .inf": "line 3, needs a finite number",
    "limits:\n  gain: {at_least: true}": "finite number",
    "limits:\n  gain: {at_least: '0.1'}": "finite number",
    "limits:\n  gain: {at_least: 1}": "below 1 for the gain",
    "limits:\n  gain: {at_most: 0.5}": "`at_least`",
    "limits:\n  gain: {above: 0, below: 1}": "both `above` and `below`",
    "limits:\n  gain: {severity: gates}": "one of gate, warn, info",
    "limits:\n  gain: {optional: 1}": "true or false",
    "limits:\n  gain: {measure: 3}": "some text",
    "limits:\n  gain: 0.2": "line 2, needs a mapping for the limit `gain`",
    "limits: [1]": "a mapping of names",
    "limits:\n  new: {measure: x, severity: warn}": "one of `at_least`, `at_most`",
    "version: 2": "`version` other than 1",
    "limits: {a: 1, a: 2}": "second time",
    "limits: &a {}": "not allowed",
    "- 1": "mapping",
    "limits: {": "line 2: not valid YAML",
}


@pytest.mark.parametrize("text", REFUSED)
def test_bad_policies_are_refused_with_file_and_line(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(AuditError, match=REFUSED[text]) as caught:
        load_policy(path)
    assert caught.value.reason == "POLICY_INVALID"
    assert "policy.yaml" in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00limits")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(AuditError, match="POLICY_INVALID"):
            load_policy(path)


def test_hidden_characters_of_a_name_are_shown(tmp_path):
    with pytest.raises(AuditError, match=r"u202e"):
        load_policy(write(tmp_path, 'limits:\n  "a\\u202eb": {at_least: 1}'))


def test_every_default_limit_says_what_it_asks_for():
    for limit in load_policy().limits:
        assert limit.statement
    assert DEFAULT.read_text(encoding="utf-8").isascii()


# Intervals


@pytest.mark.parametrize(
    ("side", "low", "high", "expected"),
    [
        ("at_least", 0.1, 0.3, "pass"),
        ("at_least", 0.05, 0.0999, "fail"),
        ("at_least", 0.05, 0.1, "inconclusive"),
        ("above", 0.1, 0.3, "inconclusive"),
        ("above", 0.05, 0.1, "fail"),
        ("at_most", 0.05, 0.1, "pass"),
        ("at_most", 0.05, 0.3, "inconclusive"),
        ("at_most", 0.11, 0.3, "fail"),
        ("below", 0.05, 0.1, "inconclusive"),
        ("below", 0.1, 0.3, "fail"),
        ("at_least", NAN, NAN, "inconclusive"),
        ("at_least", 0.2, NAN, "inconclusive"),
        ("at_least", 0.9, 0.2, "inconclusive"),
    ],
)
def test_the_whole_interval_has_to_meet_or_miss_the_limit(side, low, high, expected):
    policy = one_limit(**{side: 0.1})
    (found,) = judge([measured(value=0.2, low=low, high=high)], policy)
    assert found.verdict == expected


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["at_least", "at_most", "above", "below"])
@pytest.mark.parametrize("unit", ["points", "count"])
def test_what_is_no_number_never_passes_and_never_fails(value, side, unit):
    (found,) = judge([measured(value=value, unit=unit, low=0, high=0)], one_limit(**{side: 0}))
    assert (found.verdict, found.reason) == ("inconclusive", "NOT_MEASURED")


@pytest.mark.parametrize(("count", "expected"), [(0, "pass"), (1, "fail")])
def test_counts_need_no_interval(count, expected):
    (found,) = judge(
        [measured("data.exact_leaks", count, unit="count")], one_limit("data.*", at_most=0)
    )
    assert (found.verdict, found.low, found.high) == (expected, count, count)


def test_shares_of_the_data_need_no_interval_but_estimates_do():
    policy = one_limit("*", at_most=0.9)
    assert judge([measured("data.near_leaks", 0.1, unit="fraction")], policy)[0].verdict == "pass"
    (found,) = judge([measured("position.effect", 0.1)], policy)
    assert (found.verdict, found.reason) == ("inconclusive", "NO_INTERVAL")


def test_the_worst_point_of_a_curve_decides():
    cuts = [
        measured(f"t.{i}", v, v - 0.01, v + 0.01, at=i / 4) for i, v in enumerate((0.01, 0.2, 0.3))
    ]
    (found,) = judge(cuts, one_limit("t.*", at_most=0.05))

    assert (found.verdict, found.value) == ("fail", 0.3)
    assert found.measurements == ("t.2", "t.0", "t.1")
    assert "at 0.50" in found.explanation


def test_one_unmeasured_point_of_a_curve_prevents_a_pass():
    (found,) = judge([measured("t.0", 0, 0, 0), measured("t.1", NAN)], one_limit("t.*", at_most=1))
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize("severity", ["gate", "warn", "info"])
def test_limits_without_a_measurement_are_inconclusive(severity):
    (found,) = judge([measured("y")], one_limit(severity=severity, at_most=1))
    assert (found.verdict, found.reason, found.severity) == (
        "inconclusive",
        "NOT_MEASURED",
        severity,
    )


def test_optional_limits_without_a_measurement_do_not_gate():
    (found,) = judge([], one_limit(at_most=1, optional=True))
    assert (found.verdict, found.severity) == ("inconclusive", "warn")


# The gain


def test_the_gain_is_judged_by_its_own_rules():
    assert gain_finding(bet(0.3, 0.1)).verdict == "pass"
    starved = gain_finding(bet(0.3, 0.1, allowance=0.3))  # its interval is the same
    assert (starved.verdict, starved.reason) == ("inconclusive", "WEAK_NULL")


def test_a_pattern_of_stars_does_not_escape_the_rules_of_the_gain():
    (found,) = judge([bet(0.3, 0.1, allowance=0.3)], one_limit("*", at_least=0.1))
    assert found.verdict == "inconclusive"


def test_the_finding_names_the_deciding_null_first():
    found = gain_finding(bet(0.5, 0.1, name="accuracy_gap.gain.prior"), bet(0.3, 0.1))
    assert found.measurements == (GAIN, "accuracy_gap.gain.prior")
    assert found.value == pytest.approx(2 / 3)
    assert found.low < found.value < found.high


def test_only_claims_are_judged():
    other = bet(0.1, 0.1, claim=False, name="accuracy_gap.gain.bagnet-33")
    assert gain_finding(bet(0.3, 0.1), other).verdict == "pass"
    assert gain_finding(other).reason == "NO_CLAIM_RUNG"


@pytest.mark.parametrize("detail", [{}, {"claim": 1.0, "error_null": 0.4}])
def test_a_gain_without_its_statistics_is_not_measured(detail):
    gone = measured("accuracy_gap.gain.stack", 0.9, 0.8, 1.0, "gain", detail=detail)
    assert gain_finding(bet(0.3, 0.1), gone).reason == "NOT_MEASURED"


def test_a_gain_that_is_nan_is_not_measured_whatever_its_detail_says():
    good = bet(0.3, 0.1)
    assert gain_finding(good.model_copy(update={"value": NAN})).reason == "NOT_MEASURED"


def test_the_worse_of_plain_and_balanced_holds():
    good, name = bet(0.3, 0.1), "accuracy_gap.balanced_gain.bagnet-9"
    assert gain_finding(good, bet(0.3, 0.1, name=name)).verdict == "pass"
    found = gain_finding(good, bet(0.3, 0.35, name=name))
    assert (found.verdict, found.measurements) == ("fail", (name,))
    assert gain_finding(bet(0.3, 0.35), bet(0.3, 0.1, name=name)).verdict == "fail"


def test_a_null_without_a_balanced_gain_prevents_a_pass():
    balanced = bet(0.3, 0.1, name="accuracy_gap.balanced_gain.bagnet-9")
    prior = bet(0.5, 0.1, name="accuracy_gap.gain.prior")
    found = gain_finding(bet(0.3, 0.1), prior, balanced)
    assert (found.verdict, found.reason) == ("inconclusive", "NOT_MEASURED")


def test_a_fail_lies_with_the_data_where_the_twin_fails():
    twin = bet(0.3, 0.32, name="accuracy_gap.twin_gain.bagnet-9")
    assert gain_finding(bet(0.3, 0.3), twin).reason == "DATA_LOCAL"
    assert gain_finding(bet(0.3, 0.3)).reason == "SUBJECT_WEAK"


# The verdict


def finding(decided, severity="gate"):
    return Finding(limit="x", statement="", measurements=(), verdict=decided, severity=severity)


@pytest.mark.parametrize(
    ("gates", "crashed", "expected"),
    [
        (["pass", "pass"], [], ("pass", 0)),
        (["pass", "fail", "inconclusive"], ["transfer"], ("fail", 1)),
        (["pass", "inconclusive"], [], ("inconclusive", 3)),
        (["pass"], ["transfer"], ("inconclusive", 3)),
        ([], [], ("inconclusive", 3)),
    ],
)
def test_exit_codes(gates, crashed, expected):
    assert verdict([finding(gate) for gate in gates], crashed) == expected


def test_only_gates_decide():
    others = [finding("fail", "warn"), finding("inconclusive", "info")]
    assert verdict([finding("pass"), *others]) == ("pass", 0)
    assert verdict(others) == ("inconclusive", 3)


# The headline


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


def test_an_undecided_headline_gives_the_reason():
    assert head(bet(0.3, 0.1, allowance=0.5)).startswith("Undecided: ")
    assert "no gate" in headline((), ())


def test_leaks_come_first():
    policy = load_policy()
    found = judge([bet(0.3, 0.3), measured("data.exact_leaks", 7, unit="count")], policy)
    assert headline(found, [bet(0.3, 0.3)]).startswith(
        "Training images stand in the evaluation set"
    )


def test_headlines_never_speak_of_texture():
    for null in ("prior", "colour", "moments", "pixels", "bagnet-9", "coordconv-9", "stack", "odd"):
        for subject in (0.0, 0.1, 0.28, 0.3, 0.4):
            text = head(bet(0.3, subject, name=f"accuracy_gap.gain.{null}"))
            assert "texture" not in text.lower()
            assert text.endswith(".")
