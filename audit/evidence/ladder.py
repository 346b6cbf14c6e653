"""Which nulls an audit trains: the rungs, their q, and which of them the verdict rests on."""

from audit.baselines import BLIND_TO, CONTROLS, LOCAL, QS, TITLES, TRIVIAL
from audit.evidence.profile import Profile
from audit.evidence.setup import Null

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
    nulls = [make_null(kind, None, side, claim=bool(gating)) for kind in TRIVIAL]
    for q in (*gating, *drawn):
        kinds = LOCAL if q in gating else LOCAL[:1]
        nulls += [make_null(kind, q, side, claim=q in gating) for kind in kinds]
    nulls.append(make_null("stack", None, side, claim=bool(gating)))
    if profile.circular:
        circular = gating if profile.twins_each else gating[-1:]
        nulls += [make_null("circular", q, side, claim=False) for q in circular]
    sighted = (*gating, *drawn) if profile.twins_each else gating[-1:]
    nulls += [make_null("sighted", q, side, claim=False) for q in sighted]
    return tuple(nulls)


def make_null(kind: str, q: int | None, side: int, *, claim: bool) -> Null:
    """Describe one null; `q` is None for those without a receptive field."""
    from audit.baselines.patch_net import input_side

    return Null(
        name=kind if q is None else f"{kind}-{q}",
        kind=kind,
        title=TITLES[kind].format(q=q),
        role="control" if kind in CONTROLS else "null",
        blind_to=BLIND_TO[kind].format(q=q),
        q=q,
        claim=claim,
        side=side if q is None else input_side(kind, side),  # type: ignore[arg-type]
    )
