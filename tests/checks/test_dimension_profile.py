"""The ID profile: exact from matrices, the same with or without room, its shape in words."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.baselines.images import Images
from audit.baselines.patch_net import PatchNet
from audit.checks.dimension import profile as check
from audit.checks.dimension import run_profile as id_profile
from audit.checks.dimension.drawn import CurveOfDraws, joined
from audit.checks.dimension.outcomes import Profiled, ProfilePoint
from audit.checks.dimension.run_profile import INPUT, NO_CUTS, profile
from audit.evidence.columns import Columns, Room
from audit.jobs.store import Outcome
from audit.jobs.values import Failed
from audit.kernels.gram import gram, linear_dimension
from audit.kernels.pairwise import dimension
from audit.kernels.twonn import intrinsic_dimension
from audit.model.network.activations import at_cuts
from audit.model.network.null_cuts import sibling_cuts
from audit.stats.curve_shape import shape_of
from tests.samples.networks import SPECS, cuts_of, network


def normal(n, d, seed=0, wide=None):
    """A Gaussian of d dimensions, turned into `wide` coordinates."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator)
    return x if wide is None else x @ torch.randn(d, wide, generator=generator)


def found(x, width=300):
    sums = gram(x.split(width, 1), len(x))
    return dimension(sums.squared)


@pytest.mark.parametrize("d", [2, 7])
def test_distances_from_chunks_give_the_estimate_of_the_whole(d):
    x = normal(500, d, wide=700) + 100
    whole, parts = intrinsic_dimension(x, fractions=()), found(x)

    assert parts[:5] == pytest.approx(whole[:5], rel=1e-6)
    assert parts.reason == ""


def test_the_squared_distances_are_those_of_differences():
    x = normal(80, 5, wide=900) + 1000
    squared = gram(x.split(128, 1), 80).squared

    assert torch.allclose(squared.sqrt(), torch.cdist(x.double(), x.double(),
        compute_mode="donot_use_mm_for_euclid_dist"), rtol=1e-9)  # fmt: skip


def test_components_are_those_of_scaled_coordinates():
    x = normal(300, 30) * torch.linspace(1, 50, 30)
    x = torch.cat([x, torch.full((300, 5), 7.0)], 1)
    sums = gram(x.split(8, 1), 300)
    values = np.linalg.eigvalsh(np.corrcoef(x[:, :30].numpy().T))[::-1]
    wanted = int(np.argmax(values.cumsum() / 30 >= 0.9)) + 1

    assert linear_dimension(sums.products) == (wanted, 30)
    assert sums.coordinates == 30
    assert linear_dimension(torch.zeros(9, 9)) == (0, 0)


def test_copies_are_merged_as_elsewhere():
    x = normal(400, 4)
    x = torch.cat([x, x[:40] + 1e-7])
    whole, parts = intrinsic_dimension(x, fractions=()), found(x)

    assert (parts.n, parts.duplicates) == (whole.n, whole.duplicates) == (400, 40)
    assert parts.value == pytest.approx(whole.value, rel=1e-6)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (normal(40, 3), "40 distinct points"),
        (torch.ones(200, 3), "the features are constant"),
        (normal(100, 3).repeat(2, 1), "50% of the points"),
        (torch.eye(200), "equally far"),
    ],
)
def test_what_has_no_dimension_is_refused_with_a_reason(x, reason):
    refused = found(x)

    assert reason in refused.reason
    assert math.isnan(refused.value)
    assert np.isnan(refused.in_blocks).all()


@pytest.mark.parametrize("x", [
    torch.cat([normal(400, 5), 1e6 * normal(4, 5, seed=1)]),
    normal(10, 8).repeat_interleave(40, 0) + 1e-4 * normal(400, 8, seed=1),
    torch.linspace(0, 1, 400)[:, None] @ normal(1, 64),
    torch.arange(400.0)[:, None] + 0.01 * normal(400, 1),
    torch.full((200, 900), 0.1),
])  # fmt: skip
def test_outliers_clusters_lines_and_constants_are_judged_as_elsewhere(x):
    whole, parts = intrinsic_dimension(x, fractions=()), found(x)

    assert parts.reason == whole.reason
    assert parts[:5] == pytest.approx(whole[:5], rel=1e-6, nan_ok=True)


def test_clusters_too_tight_for_the_matrix_are_refused_for_that():
    """Their points are apart, which only the coordinates show."""
    x = normal(10, 8).double().repeat_interleave(40, 0) + 1e-6 * normal(400, 8, seed=1)

    assert math.isnan(found(x).value)
    assert "a millionth" in found(x).reason


def images(n, spec=SPECS["resnet"], seed=0):
    shape = (n, spec.in_chans, spec.img_size, spec.img_size)
    pixels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).byte()
    half = torch.full((spec.in_chans,), 0.5)
    return Images(pixels, torch.zeros(n, dtype=torch.int64), half, half)


def run(memory=None, n=60, net=None):
    net = network("resnet") if net is None else net
    return profile(net, cuts_of("resnet"), iter([images(n)]), n, lambda _: None, memory)


def test_a_tiny_ceiling_changes_no_bit():
    roomy, tight = run(), run(memory=1)

    assert (roomy.values.on_disk, tight.values.on_disk > 0) == (0, True)
    assert repr(tight.values.points) == repr(roomy.values.points)  # NaN too
    assert np.array_equal(tight.arrays["in_blocks"], roomy.arrays["in_blocks"], equal_nan=True)


def test_every_cut_is_measured_on_its_own_values_in_one_pass():
    points = {p.name: p for p in run().values.points}
    sample = images(60)
    (values,) = at_cuts(network("resnet"), cuts_of("resnet"), [sample.normalised(torch.arange(60))])

    assert list(points) == [INPUT, *(cut.name for cut in cuts_of("resnet"))]
    for cut in cuts_of("resnet"):
        alone = intrinsic_dimension(values[cut.name].flatten(1), fractions=())
        assert points[cut.name].width == values[cut.name][0].numel()
        assert points[cut.name].depth == cut.depth
        assert points[cut.name].value == pytest.approx(alone.value, rel=1e-4, nan_ok=True)


def test_wide_values_come_back_in_their_columns(monkeypatch):
    monkeypatch.setattr("audit.evidence.columns.WIDTH", 4)
    x = normal(7, 10)
    for free in (0, 10**6):
        columns = Columns.within(Room(free), 7, 10)
        columns.add(x[:3])
        columns.add(x[3:])
        assert torch.equal(torch.cat([*columns.chunks()], 1), x)
        columns.close()


def test_values_that_overflow_are_refused_and_the_others_measured():
    columns = Columns.within(Room(0), 60, 3)
    columns.add((normal(60, 3) * 1e30).half())
    refused, components = id_profile.measured(columns)

    assert "half precision" in refused.reason
    assert math.isnan(refused.value + components)
    assert found(normal(60, 3)).reason == ""


def test_a_layer_that_was_given_up_takes_no_room():
    """As many distances as ten million images have would need a petabyte."""
    refused, _ = id_profile.measured(Columns(10_000_000, 5, "too wide"))
    assert (refused.reason, refused.n, refused.duplicates) == ("too wide", 10_000_000, 0)
    assert np.isnan(refused.in_blocks).all()


def test_a_full_disk_is_a_reason_and_no_crash():
    columns = Columns.within(Room(0), 60, 3)
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    columns._file.close()
    columns._file = full
    columns.add(normal(60, 3))

    assert "temporary disk" in columns.reason
    assert full.closed


def test_a_model_without_stages_has_no_profile():
    outcome = profile(network("resnet"), (), iter([]), 60, lambda _: None)

    assert outcome.values == Failed(reason=NO_CUTS)


def test_nulls_have_cuts_of_their_own():
    net = PatchNet("bagnet", q=9, num_classes=3, in_chans=1, width=16, blocks=2).eval()
    cuts = sibling_cuts(net, (1, 17, 17))
    (values,) = at_cuts(net, cuts, [torch.randn(2, 1, 17, 17)])

    assert [cut.name for cut in cuts] == [
        "stem.2", "stem.5", "stem.8", "blocks.0", "blocks.1", "head",
    ]  # fmt: skip
    depths = [cut.depth for cut in cuts]
    assert depths == sorted(depths)
    assert 0 < depths[0] < depths[-1] < 1
    assert values["head"].shape == (2, 16)
    assert values["stem.2"].min() == 0  # after its ReLU


def curve(*values, noise=0.02):
    rng = np.random.default_rng(0)
    blocks = np.log(values)[:, None] + rng.normal(0, noise, (len(values), 20))
    return shape_of(values, blocks, np.linspace(0, 1, len(values)).tolist())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((20, 40, 30, 8), "hunchback"),
        ((20, 22, 21, 19), "flat"),
        ((40, 30, 20, 8), "falling"),
        ((8, 10, 20, 40), "rising"),
    ],
)
def test_the_shape_has_a_name(values, kind):
    assert curve(*values).kind == kind


def test_a_peak_within_the_noise_is_no_hunchback():
    assert curve(20, 40, 30, 18, noise=2.0).kind == "neither"
    assert curve(20, 40, 39.9, 8).depths == pytest.approx((1 / 3, 2 / 3))


def test_the_last_point_over_the_peak_has_an_interval():
    shape = curve(20, 40, 30, 10)

    assert shape.last.value == pytest.approx(0.25)
    assert shape.last.low < 0.25 < shape.last.high < 0.3
    assert curve(8, 10, 40).last == (1.0, pytest.approx(math.nan, nan_ok=True),
                                     pytest.approx(math.nan, nan_ok=True))  # fmt: skip


def point(name, depth, value, reason="", pca=5.0):
    return ProfilePoint(
        name=name, depth=depth, value=value, low=value * 0.9, high=value * 1.1, n=900,
        duplicates=0, reason=reason, pca=pca, width=64,
    )  # fmt: skip


def measurements(*values, name="subject", reasons=None, kinds=()):
    depths = np.linspace(0, 1, len(values)).tolist()
    rows = [point(f"layer.{i}", d, v) for i, (d, v) in enumerate(zip(depths, values, strict=True))]
    for i, reason in (reasons or {}).items():
        rows[i] = point(rows[i].name, rows[i].depth, math.nan, reason, math.nan)
    blocks = np.log(values)[:, None] + np.random.default_rng(0).normal(0, 0.02, (len(values), 20))
    curve = CurveOfDraws(tuple(rows), blocks, np.log([values]), kinds)
    return [*check.of_points(name, rows), *check.of_shape(name, curve)]


def value(found, name):
    return next(m for m in found if m.name == f"id_profile.{name}")


def test_the_section_says_what_the_curve_does():
    twin = measurements(20, 21, 22, 21, name="untrained")
    found = check.section([*measurements(20, 44, 30, 8), *twin], [])

    assert "This model: hunchback (20.0 at the input, 8.0" in found.summary
    assert "at most 44.0 at relative depth 0.33" in found.summary
    assert "The untrained twin: flat" in found.summary
    assert [s.role for s in found.charts[0].series] == ["subject", "untrained"]
    assert [len(chart.series[0].x) for chart in found.charts] == [4, 4]


def test_a_shape_that_the_twin_has_too_says_nothing():
    twin = measurements(20, 44, 30, 8, name="untrained")
    found = check.section([*measurements(20, 44, 30, 8), *twin], [])

    assert "says nothing about training" in found.summary


def test_a_shape_that_one_untrained_network_has_is_a_warning():
    """The mean of three is flat, but the networks are not alike."""
    kinds = ("hunchback", "flat", "flat")
    twin = measurements(20, 21, 22, 21, name="untrained", kinds=kinds)
    found = check.section([*measurements(20, 44, 30, 8), *twin], [])

    assert "Of 3 untrained networks 1 by itself has the model's shape" in found.summary


def test_a_refused_point_has_its_reason_and_leaves_the_shape():
    found = measurements(20, 44, 30, 8, reasons={2: "equally far"})

    assert value(found, "dimension.subject.layer.2").note == "not measured: equally far"
    assert value(found, "hunchback.subject").value == 1
    assert "layer.2: not measured: equally far" in check.section(found, []).rows[0]["note"]


def test_a_high_dimension_says_how_low_it_may_be():
    found = measurements(20, 44, 30, 8)

    assert "Gaussian cloud of 100" in value(found, "dimension.subject.layer.1").note
    assert "a lower bound" not in value(found, "dimension.subject.layer.3").note


def test_without_an_end_there_is_no_shape():
    found = measurements(20, 44, 30, 8, reasons={3: "too few points"})

    assert math.isnan(value(found, "last_over_peak.subject").value)
    assert "layer.3 has no dimension: too few" in check.section(found, []).summary


def test_nothing_measured_is_said():
    empty = check.section([], [])
    reason = check.section(check.unshaped("subject", NO_CUTS), [])

    assert "leaves it out" in empty.summary
    assert f"This model has no profile: {NO_CUTS}." in reason.summary
    assert reason.charts == ()


def profiled(*values, noise=0.02, seed=0):
    """The outcome of one network's job."""
    depths = np.linspace(0, 1, len(values)).tolist()
    points = [
        point(f"layer.{i}", d, v) for i, (d, v) in enumerate(zip(depths, values, strict=True))
    ]
    blocks = np.random.default_rng(seed).normal(0, noise, (len(values), 20))
    blocks += np.log(values)[:, None]
    return Outcome(Profiled(points=tuple(points), images=900, on_disk=0), {"in_blocks": blocks})


def test_the_curve_of_several_networks_is_their_mean_with_their_spread():
    alike = joined([profiled(20, 40, 19, 10, seed=i) for i in range(3)])
    apart = joined([profiled(20, v, 19, 10, seed=i) for i, v in enumerate((20, 40, 80))])

    assert [p.value for p in apart.points] == pytest.approx([20, 40, 19, 10])
    widths = [c.points[1].high / c.points[1].low for c in (alike, apart)]
    assert widths[0] < 1.05
    assert widths[1] > 10
    assert (alike.kinds, apart.kinds[2]) == (("hunchback",) * 3, "hunchback")
    shapes = [value(check.of_shape("untrained", c), "hunchback.untrained") for c in (alike, apart)]
    assert [m.value for m in shapes] == [1, 0]
    assert "hunchback in 3 of 3 networks" in shapes[0].note
    assert shapes[1].detail["hunchback"] >= 1


def test_a_point_that_one_network_lacks_is_refused():
    lacking = profiled(20, 40, 30, 10)
    points = list(lacking.values.points)
    points[1] = point("layer.1", 1 / 3, math.nan, "equally far", math.nan)
    lacking = Outcome(lacking.values.model_copy(update={"points": tuple(points)}), lacking.arrays)

    assert joined([lacking, profiled(20, 40, 30, 10)]).points[1].reason == "equally far"
