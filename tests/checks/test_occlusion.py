"""What a model loses where a patch is hidden: the map, its bounds, and its panel."""

import numpy as np
import pytest
import torch

from audit.checks.accuracy_gap import occlusion as attribution
from audit.checks.accuracy_gap.occlusion import (
    NOT_FINITE,
    SLOW,
    grid,
    occlusion,
    occlusions,
    patch_side,
    places,
)
from audit.checks.accuracy_gap.pictures import (
    BLUE,
    SIDE,
    drawn,
    in_turns,
    overlay,
    panel_sides,
    resized,
    side_by_side,
)
from audit.runs.report import load_report

GREY = np.full((1, 16, 16), 200, dtype=np.uint8)
SQUARE = (SIDE, SIDE)


def corner(x):
    """Two classes; the first is the mean of the 4 x 4 patch whose corner is at (8, 4)."""
    evidence = x[:, :, 8:12, 4:8].mean(dim=(1, 2, 3))
    return torch.stack([evidence, torch.zeros_like(evidence)], dim=1)


def maps(run, n=3, **more):
    return occlusions(
        run, torch.ones(n, 1, 16, 16), np.zeros(n, int), (4, 4), lambda _: None, **more
    )


def test_a_model_of_one_patch_loses_exactly_there():
    """Patches side by side: the lead is half the mean, and all of it goes with the patch."""
    x, expected = 3 * torch.ones(1, 1, 32, 32), np.zeros((32, 32))
    expected[8:12, 4:8] = 1.5
    np.testing.assert_allclose(occlusion(corner, x, 0, (4, 4)), expected, atol=1e-6)
    np.testing.assert_allclose(occlusion(corner, x, 1, (4, 4)), -expected, atol=1e-6)


def test_patches_that_overlap_are_averaged():
    """A linear model: each pixel takes the mean of the sums that its patches hide."""
    weights = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    lost = occlusion(lambda x: torch.stack([(x * weights).sum((1, 2, 3))] * 2, 1)
                     * torch.tensor([1.0, -1.0]), torch.ones(1, 1, 9, 9), 0, (3, 3))  # fmt: skip
    sums = weights[0, 0].unfold(0, 3, 1).unfold(1, 3, 1).sum((2, 3))
    assert lost[0, 0] == pytest.approx(sums[0, 0].item(), abs=1e-5)
    assert lost[4, 4] == pytest.approx(sums[2:5, 2:5].mean().item(), abs=1e-5)


def test_what_is_added_to_all_logits_changes_nothing():
    x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    moved = occlusion(lambda x: corner(x) + 7 * x.mean((1, 2, 3))[:, None] ** 2 + 5, x, 0, (4, 4))
    np.testing.assert_allclose(moved, occlusion(corner, x, 0, (4, 4)), atol=1e-5)


def test_a_rectangle_is_covered_by_rectangles():
    x, expected = 3 * torch.ones(1, 1, 32, 16), np.zeros((32, 16))
    expected[8:12, 4:8] = 0.75  # either half of the evidence is half of the lead
    np.testing.assert_allclose(occlusion(corner, x, 0, (4, 2)), expected, atol=1e-6)


def test_a_mirrored_image_has_a_mirrored_map():
    """Where the last patch reaches over the border, so does the first."""
    x = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    plain = occlusion(corner, x, 0, (9, 9))
    turned = occlusion(lambda x: corner(x.flip(2, 3)), x.flip(2, 3), 0, (9, 9))
    assert grid(28, 9) == (3, 2)
    np.testing.assert_allclose(turned[::-1, ::-1], plain, atol=1e-5)


@pytest.mark.parametrize("side", [1, 5, 16, 28, 29, 32, 64, 224])
@pytest.mark.parametrize("wanted", [0.3, 4, 8.7, 31.1, 300])
def test_patches_cover_the_image_at_8_places_a_side_or_fewer(side, wanted):
    patch = patch_side(wanted, side)
    stride, excess = grid(side, patch)
    count = (side + excess - patch) // stride + 1
    assert stride <= patch <= side
    assert (count - 1) * stride + patch == side + excess
    assert 0 <= excess < stride
    assert places(side, patch) == count <= 8


def test_a_constant_model_loses_nothing_and_is_drawn():
    found = maps(lambda x: torch.ones(len(x), 3))
    assert all((lost == 0).all() for lost in found)
    loss = drawn(GREY, found[0], 0.0, SQUARE)
    assert "less than 1 %" in loss.words
    assert np.ptp(loss.panel[0]) == 0


def test_one_pass_counts_as_many_places_as_there_are():
    seen = []
    occlusion(lambda x: seen.append(len(x)) or corner(x), torch.ones(1, 1, 16, 24), 0, (4, 3))
    assert sum(seen) == 1 + places(16, 4) * places(24, 3)


def test_a_slow_model_gets_the_first_maps_only(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(attribution.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(attribution, "rehearsed", lambda *_: 0.0)
    found = maps(corner, limit=4.0)  # a look at the clock takes a second
    assert [isinstance(lost, str) for lost in found] == [False, False, True]
    assert found[2] == SLOW
    assert maps(corner, limit=-1.0) == [SLOW] * 3


def test_a_model_that_fails_or_gives_no_numbers_has_no_map():
    assert maps(lambda x: corner(x) * torch.nan) == [NOT_FINITE] * 3

    def refusing(x):
        raise RuntimeError("as planted")

    assert all("RuntimeError" in lost for lost in maps(refusing))


def test_losses_below_a_hundredth_of_the_lead_stay_pale():
    weak = np.zeros((16, 16), dtype=np.float32)
    weak[4:8, 4:8] = 1e-4
    assert np.ptp(overlay(np.full((16, 16, 3), 200, np.uint8), weak, SQUARE, least=0.1)) <= 2
    strong = drawn(GREY, -1000 * weak, 0.1, SQUARE)
    assert (np.abs(strong.panel[0][SIDE * 5 // 16, SIDE * 5 // 16] - BLUE.astype(int)) < 80).all()
    words = drawn(GREY, weak, 2.35e-4, SQUARE).words
    assert "right: hiding a patch costs up to 43 % of its lead" in words


def test_groups_take_turns_and_panels_stand_in_a_row():
    assert in_turns({9: "a", 4: "a", 7: "b", 1: "c", 2: "c"}) == [9, 7, 1, 4, 2]
    panels = [np.zeros((SIDE, SIDE, 3), dtype=np.uint8)] * 3
    assert side_by_side(panels).shape == (SIDE, 3 * SIDE + 8, 3)


@pytest.mark.parametrize(
    ("size", "sides"), [(32, (128, 128)), ((64, 32), (128, 64)), ((9, 72), (16, 128))]
)
def test_panels_have_the_shape_of_what_the_model_sees(size, sides):
    assert panel_sides(size) == sides
    assert resized(np.zeros((33, 33, 3), np.uint8), sides).shape == (*sides, 3)


def test_a_report_shows_both_and_says_what_it_does_not_establish(finished):
    from PIL import Image

    section = next(s for s in load_report(finished[0]).document.sections if s.pictures)
    for shown in section.pictures:
        assert "(middle)" in shown.caption
        assert "% of its lead" in shown.caption
        with Image.open(finished[0] / shown.file) as image:
            assert image.size == (3 * SIDE + 8, SIDE)
    assert any("does not show what was learned" in caveat for caveat in section.caveats)
