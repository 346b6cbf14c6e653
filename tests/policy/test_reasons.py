"""Why a verdict is open: every reason can be reached, is right, and says what to do."""

import math

import numpy as np
import pytest

from audit.policy.gain_verdict import judge_gain
from audit.policy.reasons import removes, rounded
from audit.stats.paired import missing_pair
from tests.samples.pairs import bet, independent, pair_of, wrong


def open_because(*pairs, g=0.10):
    found = judge_gain(pairs, g)
    assert found.verdict == "inconclusive"
    assert found.explanation.endswith(".")
    return found


def test_few_images_at_all():
    found = open_because(bet(0.5, 0.1, n=199))
    assert (found.reason, found.more_images) == ("FEW_IMAGES", 1)
    grouped = bet(0.5, 0.1, n=1000, groups=np.arange(1000) // 10)
    assert open_because(grouped).more_images == 1000
    assert open_because(bet(0.1, 0.0, n=100)).more_images == 400  # for 50 errors, not 200 images


def test_few_images_for_a_close_gain():
    found = open_because(bet(0.3, 0.24, n=500))
    assert found.reason == "FEW_IMAGES"
    assert f"evaluate on about {rounded(found.more_images)} more images" in found.explanation


@pytest.mark.parametrize(("subject", "decided"), [(0.24, "pass"), (0.285, "fail")])
def test_the_advised_number_of_images_decides(subject, decided):
    n = 500 + open_because(bet(0.3, subject, n=500)).more_images
    assert judge_gain([bet(0.3, subject, n=int(1.05 * n))], 0.10).verdict == decided
    assert judge_gain([bet(0.3, subject, n=int(0.75 * n))], 0.10).verdict == "inconclusive"


def test_a_gain_at_the_limit_needs_no_number_of_images():
    found = open_because(bet(0.3, 0.27, n=1000))
    assert (found.reason, found.more_images) == ("FEW_IMAGES", None)
    assert "any practical number of images" in found.explanation


def test_no_headroom():
    found = open_because(bet(0.02, 0.0, n=1000))
    assert (found.reason, found.more_images) == ("NO_HEADROOM", 1500)  # 20 errors; 50 at 2,500
    assert "Evaluate on harder images, or on about 1,500 more." in found.explanation
    perfect = open_because(bet(0.0, 0.0, n=300))
    assert (perfect.reason, perfect.more_images) == ("NO_HEADROOM", None)
    assert "makes no errors" in perfect.explanation


def test_copied_errors_are_no_headroom():
    """60 wrong images are only 15 errors where each stands there four times."""
    groups = np.arange(250).repeat(4)
    subject, null = wrong(0.0, 250).repeat(4), wrong(0.06, 250).repeat(4)
    copied = pair_of("bagnet-9", subject, null, groups, claim=True, allowance=0, seed_variance=0)
    assert open_because(copied).reason == "NO_HEADROOM"


def test_few_seeds():
    subject = independent(0.20, 10_000, 9)
    nulls = np.stack([independent(p, 10_000, i) for i, p in enumerate((0.26, 0.3, 0.34))])
    found = open_because(pair_of("bagnet-9", subject, nulls, claim=True, allowance=0))
    assert found.reason == "FEW_SEEDS"
    assert "was trained 3 times" in found.explanation
    seeds = int(found.explanation.rsplit("seeds=", 1)[1].split(")")[0])

    many = np.stack([independent(0.26 + 0.04 * (i % 3), 10_000, i) for i in range(2 * seeds)])
    one = pair_of("bagnet-9", subject, many, claim=True, allowance=0)
    assert judge_gain([one], 0.10).verdict == "pass"


def test_noisy_images_are_not_blamed_on_the_seeds():
    """A spread of 0.05 points over seeds is nothing beside the noise of 300 images."""
    close = bet(0.3, 0.25, n=300, seed_variance=0.0005**2)
    assert open_because(close).reason == "FEW_IMAGES"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"failed": True, "note": "it diverged"}, "failed its checks (it diverged)"),
        ({"allowance": math.inf}, "still climbs as steeply as before"),
        ({"allowance": 0.25}, "by up to 25.0 points"),
    ],
)
def test_weak_null(more, words):
    found = open_because(bet(0.3, 0.1, **more))
    assert found.reason == "WEAK_NULL"
    assert words in found.explanation
    assert "larger budget" in found.explanation


def test_an_adequate_null_is_not_called_weak():
    """Half a point is in the way, and more images get past it."""
    found = open_because(bet(0.3, 0.25, n=1000, allowance=0.005))
    assert found.reason == "FEW_IMAGES"
    assert "with the 0.5 points that training might add" in found.explanation
    n = 1000 + found.more_images
    assert judge_gain([bet(0.3, 0.25, n=int(1.05 * n), allowance=0.005)], 0.1).verdict == "pass"


def test_what_was_not_measured_says_why():
    gone = missing_pair("stack", claim=True, note="out of memory")
    found = open_because(bet(0.3, 0.1), gone)
    assert (found.reason, found.null) == ("NOT_MEASURED", "stack")
    assert "(out of memory)" in found.explanation


def test_images_too_small_for_any_null():
    found = open_because(bet(0.3, 0.1, claim=False))
    assert found.reason == "NO_CLAIM_RUNG"
    assert "15 pixels" in found.explanation


def test_advice_is_rounded_upwards():
    assert [rounded(n) for n in (7, 99, 101, 12_345)] == ["7", "99", "110", "13,000"]


def test_a_model_worse_than_a_null_makes_more_errors():
    assert removes(bet(0.2, 0.1, n=1000)).startswith("It removes 50% (")
    assert removes(bet(0.2, 0.3, n=1000)).startswith("It makes 50% (")


@pytest.mark.parametrize("change", [{"allowance": np.inf}, {"status": "failed"}])
def test_a_null_that_is_not_beaten_comes_before_nulls_that_may_be_too_weak(change):
    weak = bet(0.5, 0.3, n=1000).model_copy(update={"null": "bagnet-9"} | change)
    ahead, behind = (
        bet(0.3, e, n=1000).model_copy(update={"null": "coordconv-9"}) for e in (0.2, 0.28)
    )
    assert open_because(weak, ahead).reason == "WEAK_NULL"
    found = open_because(weak, behind)
    assert (found.reason, found.null) == ("FEW_IMAGES", "coordconv-9")
    assert "too close to the limit of 10%" in found.explanation
