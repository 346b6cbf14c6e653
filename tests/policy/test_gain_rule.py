"""The gain rule fails closed, spends fixed shares, and says what to do next."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from audit.policy.gain_plan import GainPlan, networks_for
from audit.policy.gain_rule import judge_states, look_at
from audit.stats.states import NullTerms, missing_record
from tests.samples.states import PLAN, both_claims, record


def stack_of(**more):
    kept = record("stack", **more)
    terms = kept.terms.model_copy(update={"kind": "stack", "claim": ""})
    return kept.model_copy(update={"terms": terms})


def with_terms(kept, **changes):
    return kept.model_copy(update={"terms": kept.terms.model_copy(update=changes)})


def test_a_good_subject_passes():
    nulls = [*both_claims(), stack_of(), record("prior", "untrained", curve=(0.9,) * 3)]
    found = judge_states(nulls, PLAN, 0.1)
    assert (found.verdict, found.reason, found.grow) == ("pass", "", ())
    assert max(found.p_pass.values()) < 1e-6
    assert found.explanation.startswith("The model makes 50.0% (95% CI ")


def test_a_bad_subject_fails_by_the_null_in_hand():
    found = judge_states(both_claims(subject=0.35), PLAN, 0.1)
    assert (found.verdict, found.reason) == ("fail", "CAUSE_UNKNOWN")
    failed = [with_terms(n, status="failed", below_floor=True) for n in both_claims(subject=0.35)]
    assert look_at(failed, PLAN, 0.1).verdict == "fail"


@pytest.mark.parametrize(
    ("control", "reason"),
    [("fail", "DATA_LOCAL"), ("pass", "SUBJECT_WEAK"), ("inconclusive", "SUBJECT_WEAK")],
)
def test_the_control_tells_the_cause_of_a_fail(control, reason):
    assert judge_states(both_claims(subject=0.35), PLAN, 0.1, control=control).reason == reason


def test_the_shares_of_fails_add_up_to_the_whole():
    plan = GainPlan(untrained=4, trained=5, budgets=3, looks=7)
    single = 4 * plan.fail_share(record("prior", "untrained"))
    trained = 4 * 3 * plan.fail_share(record())
    stack = 7 * plan.fail_share(stack_of())
    assert single + trained + stack + 7 * plan.solved_share == pytest.approx(0.025)


def test_shares_are_halved_with_balanced_accuracy_but_not_that_of_solved_data():
    both = PLAN.model_copy(update={"balanced": True})
    assert both.fail_share(record()) == PLAN.fail_share(record()) / 2
    assert both.solved_share == PLAN.solved_share


def test_a_pass_has_a_budget_over_states():
    assert PLAN.pass_share(record()) == 0.020 / 5
    assert PLAN.pass_share(record("prior", "untrained")) == 0.025
    assert PLAN.pass_share(with_terms(record(), kind="imported")) == 0.025
    longer = PLAN.model_copy(update={"looks": 9})
    assert longer.pass_share(stack_of()) == 0.020 / 9


def test_solved_data_fail_whatever_the_subject():
    clean = record("colour", "untrained", curve=(0.0,) * 3, n=800, subject=0, training_error=0.0)
    found = judge_states([clean, *both_claims(n=800, training_error=0.3)], PLAN, 0.1)
    assert (found.verdict, found.reason, found.null) == ("fail", "DATA_LOCAL", "colour")


def test_only_the_null_with_the_fewest_training_errors_can_solve_the_data():
    clean = record("colour", "untrained", curve=(0.0,) * 3, n=800, subject=0, training_error=0.4)
    found = judge_states([clean, *both_claims(n=800, training_error=0.3)], PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "NO_HEADROOM")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failed"}, "WEAK_NULL"),
        ({"below_floor": True}, "WEAK_NULL"),
        ({"full_scale": False}, "NULLS_REDUCED"),
        ({"kind": "imported"}, "WEAK_NULL"),
        ({"claim": "place"}, "WEAK_NULL"),
    ],
)
def test_what_a_pass_needs_of_a_trained_null(changes, reason):
    bag, place = both_claims(networks=9)
    found = judge_states([with_terms(bag, **changes), place], PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", reason)


def test_closed_form_alone_never_passes_a_model():
    closed = record("patches-9", "untrained", claim="bag", curve=(0.3, 0.3, 0.3))
    told = record("patches-cells-9", "untrained", claim="place", curve=(0.3, 0.3, 0.3))
    found = judge_states([closed, told], PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "WEAK_NULL")
    bad = record("patches-9", "untrained", claim="bag", subject=0.35)
    assert judge_states([bad], PLAN, 0.1).verdict == "fail"


def test_a_missing_null_prevents_a_pass_but_not_a_fail():
    gone = missing_record(NullTerms(null="stack", kind="stack", note="crashed"))
    found = judge_states([*both_claims(), gone], PLAN, 0.1)
    assert (found.verdict, found.reason, found.null) == ("inconclusive", "NOT_MEASURED", "stack")
    assert judge_states([*both_claims(subject=0.35), gone], PLAN, 0.1).verdict == "fail"


def test_without_nulls_there_is_no_verdict():
    assert judge_states([], PLAN, 0.1).reason == "NO_CLAIM_RUNG"


def test_a_pass_needs_200_groups_and_50_errors():
    assert judge_states(both_claims(n=199, curve=(0.9,) * 3), PLAN, 0.1).reason == "FEW_IMAGES"
    groups = np.arange(4000) % 199
    assert judge_states(both_claims(groups=groups), PLAN, 0.1).reason == "FEW_IMAGES"
    found = judge_states(both_claims(curve=(0.012,) * 3, subject=0.0), PLAN, 0.1)
    assert (found.reason, found.more_images) == ("NO_HEADROOM", 167)


def test_a_margin_that_reaches_the_limit_blocks_a_pass():
    found = judge_states(both_claims(curve=(0.30, 0.33, 0.39)), PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "WEAK_NULL")
    assert found.margins["bagnet-9"] == pytest.approx(0.18)
    assert found.grow == ("bagnet-9", "coordconv-9")


def test_a_curve_without_a_bound_blocks_a_pass_whatever_the_lead():
    nulls = both_claims(n=20_000, curve=(0.90, 0.96, 0.99), subject=0.01)
    found = judge_states(nulls, PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "WEAK_NULL")
    assert look_at(nulls, PLAN, 0.1).standings[0].contrast.p < 1e-6


def test_a_lead_within_noise_asks_for_images():
    found = judge_states(both_claims(n=1000, subject=0.24), PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "FEW_IMAGES")
    assert 500 < found.more_images < 5000


def test_a_lag_within_noise_asks_for_images_too():
    found = judge_states(both_claims(n=1000, subject=0.29), PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "FEW_IMAGES")
    assert found.more_images > 1000


def test_a_lead_within_the_spread_of_networks_asks_for_seeds():
    found = judge_states(both_claims(n=20_000, subject=0.22, spread=0.03), PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "FEW_SEEDS")


@pytest.mark.parametrize("networks", [1, 4])
def test_a_pass_needs_eight_degrees_of_freedom_of_networks(networks):
    found = judge_states(both_claims(networks=networks), PLAN, 0.1)
    assert (found.verdict, found.reason) == ("inconclusive", "FEW_SEEDS")
    assert "`--set seeds=5`" in found.explanation
    assert [networks_for(nulls) for nulls in (1, 2, 3, 4, 8)] == [9, 5, 4, 3, 3]


@pytest.mark.parametrize(("networks", "verdict"), [(2, "inconclusive"), (3, "pass")])
def test_a_pass_needs_three_networks_of_each_null(networks, verdict):
    plan = PLAN.model_copy(update={"trained": 9})
    nulls = [record(f"bagnet-{q}", networks=networks) for q in range(5, 21, 2)]
    nulls.append(record("coordconv-5", networks=networks))
    assert look_at(nulls, plan, 0.1).verdict == verdict
    bad = [null.model_copy(update={"means": (0.35, *null.means[1:])}) for null in nulls]
    assert look_at(bad, plan, 0.1).verdict == "fail"


def test_the_best_null_grows_alone_while_some_null_is_not_beaten():
    near = {"n": 1000, "subject": 0.29}
    nulls = [record("bagnet-9", training_error=0.3, **near)]
    nulls.append(record("coordconv-9", training_error=0.2, **near))
    assert look_at(nulls, PLAN, 0.1).grow == ("coordconv-9",)
    ripe = [nulls[0], with_terms(nulls[1], state=5)]
    assert look_at(ripe, PLAN, 0.1).grow == ("bagnet-9",)


def test_nulls_that_block_grow_together():
    nulls = [record("bagnet-9", n=1000, subject=0.24), record("coordconv-9", n=1000, subject=0.24)]
    assert look_at(nulls, PLAN, 0.1).grow == ("bagnet-9", "coordconv-9")
    easy = [nulls[0], record("coordconv-9", n=1000, subject=0.24, curve=(0.6,) * 3)]
    assert look_at(easy, PLAN, 0.1).grow == ("bagnet-9",)
    for unable in ({"state": 5}, {"status": "failed"}):
        assert look_at([with_terms(null, **unable) for null in nulls], PLAN, 0.1).grow == ()


def test_all_members_grow_if_the_stack_alone_blocks():
    stack = stack_of(subject=0.24, n=1000)
    nulls = [*both_claims(n=1000, subject=0.24, curve=(0.6,) * 3), stack]
    assert look_at(nulls, PLAN, 0.1).grow == ("bagnet-9", "coordconv-9")


def test_where_only_time_is_missing_that_is_the_reason():
    nulls = both_claims(n=1000, subject=0.24)
    assert judge_states(nulls, PLAN, 0.1, out_of_time=True).reason == "TIME"
    ripe = [with_terms(null, state=5) for null in nulls]
    assert judge_states(ripe, PLAN, 0.1, out_of_time=True).reason == "FEW_IMAGES"


def test_the_worse_of_plain_and_balanced_accuracy_holds():
    plan = PLAN.model_copy(update={"balanced": True})
    good, bad, unclear = (both_claims(subject=s) for s in (0.15, 0.35, 0.25))
    verdicts = [
        judge_states(plain, plan, 0.1, balanced=balanced).verdict
        for plain, balanced in ((good, good), (good, bad), (bad, good), (good, unclear))
    ]
    assert verdicts == ["pass", "fail", "fail", "inconclusive"]
    with pytest.raises(ValueError, match="balanced"):
        judge_states(good, plan, 0.1)
    with pytest.raises(ValueError, match="balanced"):
        judge_states(good, PLAN, 0.1, balanced=good)


def test_records_outside_the_plan_are_refused():
    with pytest.raises(ValueError, match="differ"):
        look_at([record(), record()], PLAN, 0.1)
    with pytest.raises(ValueError, match="more nulls"):
        look_at([record(f"bagnet-{q}") for q in (5, 9, 17, 33)], PLAN, 0.1)
    with pytest.raises(ValueError, match="more states"):
        look_at([with_terms(record(), state=6)], PLAN, 0.1)
    with pytest.raises(ValidationError):
        GainPlan(untrained=1, trained=1, budgets=6, looks=6)


def test_unknown_training_errors_test_no_solved_data():
    clean = record("colour", "untrained", curve=(0.0,) * 3, n=800, subject=0)
    assert math.isnan(clean.terms.training_error)
    assert look_at([clean, *both_claims(n=800)], PLAN, 0.1).verdict == "inconclusive"
