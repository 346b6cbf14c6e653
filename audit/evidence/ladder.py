"""Which nulls an audit trains: the rungs, their q, and which of them the verdict rests on."""

from audit import baselines
from audit.baselines import QS, NullHypothesis
from audit.evidence.profile import Profile
from audit.evidence.setup import Null

MODELS = ("linear", "network", "stack")
LARGEST_SIDE = 64  # nulls see no more pixels than that a side: larger images are reduced


def gating_qs(side: int) -> tuple[int, ...]:
    """Receptive fields that count for the verdict: q <= a third of the side, and q <= 33."""
    return tuple(q for q in QS if 3 * q <= side)


def drawn_qs(side: int) -> tuple[int, ...]:
    """Larger receptive fields, up to 60 % of the side: drawn, never judged."""
    return tuple(q for q in QS if side < 3 * q and 5 * q <= 3 * side)


def ladder(side: int, profile: Profile) -> tuple[Null, ...]:
    """The nulls and controls of a profile, from the most to the least blind.

    Args:
        side: Of the images that the nulls see, at most `LARGEST_SIDE`.
        profile: Decides how many q and which controls.

    Returns:
        Trivial rungs, then the local networks by q, the stack, the controls. Without a gating q
        no null counts for the verdict: the trivial rungs alone would let too much pass.
    """
    gating = gating_qs(side)[-profile.gating :]
    drawn = drawn_qs(side) if profile.drawn else ()
    of = {model: [n for n in baselines.NULLS if n.model == model] for model in MODELS}
    nulls = [describe(null, None, side, claim=bool(gating)) for null in of["linear"]]
    for q in (*gating, *drawn):
        local = [n for n in of["network"] if n.role == "null" and (q in gating or n.drawn)]
        nulls += [describe(null, q, side, claim=q in gating) for null in local]
    nulls += [describe(null, None, side, claim=bool(gating)) for null in of["stack"]]
    if profile.circular:
        circular = gating if profile.twins_each else gating[-1:]
        nulls += [make_null("circular", q, side, claim=False) for q in circular]
    sighted = (*gating, *drawn) if profile.twins_each else gating[-1:]
    nulls += [make_null("sighted", q, side, claim=False) for q in sighted]
    return tuple(nulls)


def make_null(kind: str, q: int | None, side: int, *, claim: bool) -> Null:
    """Describe one null by its kind; `q` is None for those without a receptive field.

    Raises:
        ValueError: If there is no such kind.
    """
    found = baselines.null_kind(kind)
    if found is None:
        raise ValueError(f"no null is called {kind!r}")
    return describe(found, q, side, claim=claim)


def describe(null: NullHypothesis, q: int | None, side: int, *, claim: bool) -> Null:
    """A null as checks know it."""
    from audit.baselines.patch_net import input_side  # torch: not at import

    return Null(
        name=null.name(q),
        kind=null.kind,
        title=null.title.format(q=q),
        role=null.role,
        blind_to=null.blind_to.format(q=q),
        q=q,
        claim=claim,
        side=side if q is None else input_side(null.kind, side),  # type: ignore[arg-type]
    )
