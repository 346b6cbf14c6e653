"""Which nulls an audit trains: the rungs, their q and scales, and what the verdict rests on."""

from audit import baselines
from audit.baselines import QS, SCALES, NullHypothesis
from audit.evidence.profile import Profile
from audit.evidence.setup import LARGEST_WHOLE, Null

LARGEST_SIDE = 512  # nulls see no more pixels than that a side: larger images are reduced
ONE_SCALE = 64  # pixels: patches of up to a third of such an image are small enough for one scale
SIGHTED = 64  # pixels a side that the sighted twin sees at most, since it is to see all at once
WINDOWED_Q = 17  # largest q that a network learns from windows; 33 is left to the closed form


def gating_qs(side: int, scale: int = 1) -> tuple[int, ...]:
    """Receptive fields that count for the verdict: q <= a third of the side, and q <= 33.

    Args:
        side: Of the model's input, the shorter one, in pixels.
        scale: By what the images are reduced; q counts pixels of the reduced ones. Patches of 5
            pixels are left out of larger images, where 9 cost no more and see more.
    """
    return tuple(q for q in QS if 3 * q * scale <= side and (q > QS[0] or side < ONE_SCALE))


def drawn_qs(side: int) -> tuple[int, ...]:
    """Larger receptive fields, up to 60 % of the side: drawn, never judged."""
    return tuple(q for q in QS if side < 3 * q and 5 * q <= 3 * side)


def scales_of(side: int) -> tuple[int, ...]:
    """By what images are reduced: up to 64 pixels not at all, else also 2 and 4 times."""
    return (1,) if side <= ONE_SCALE else tuple(s for s in (1, 2, 4) if gating_qs(side, s))


def ladder(side: int, profile: Profile) -> tuple[Null, ...]:
    """The nulls and controls of a profile, from the most to the least blind.

    Args:
        side: Of the model's input, the shorter one, in pixels, at most `LARGEST_SIDE`.
        profile: Decides how many q and scales, and which controls.

    Returns:
        Trivial rungs, closed forms and networks by scale and q, the stack, the controls. Without a
        gating q no null counts for the verdict: the trivial rungs alone would let too much pass.
    """
    gating, drawn = gating_qs(side), drawn_qs(side) if profile.drawn else ()
    of = {
        model: [n for n in baselines.NULLS if n.model == model and n.role == "null"]
        for model in ("linear", "ridge", "network", "stack")
    }
    nulls = [describe(null, None, claim=bool(gating)) for null in of["linear"]]
    nulls += [
        describe(null, q, scale, claim=True)
        for scale, q in closed_places(side, profile)
        for null in of["ridge"]
    ]
    places = learned_places(side, profile)
    nulls += [describe(null, q, scale, claim=True) for scale, q in places for null in of["network"]]
    nulls += [describe(null, q, claim=False) for q in drawn for null in of["network"] if null.drawn]
    nulls += [describe(null, None, claim=bool(gating)) for null in of["stack"]]
    own = [q for scale, q in places if scale == 1]
    if profile.circular:
        circular = own if profile.twins_each else own[-1:]
        nulls += [make_null("circular", q, claim=False) for q in circular]
    if side <= SIGHTED:
        sighted = [(1, q) for q in ((*own, *drawn) if profile.twins_each else own[-1:])]
    else:
        scale = next(s for s in SCALES if -(-side // s) <= SIGHTED)
        sighted = [(scale, max(gating_qs(side, scale) or QS[:1]))]
    nulls += [make_null("sighted", q, scale, claim=False) for scale, q in sighted]
    return tuple(nulls)


def closed_places(side: int, profile: Profile) -> tuple[tuple[int, int], ...]:
    """(scale, q) of the closed forms: at reduced scales only patches that no larger scale has."""
    found, seen = [], 0
    for scale in scales_of(side):
        for q in gating_qs(side, scale):
            if q * scale > seen and (q < QS[-1] or profile.gating > 1):
                found.append((scale, q))
        seen = max((q * scale for _, q in found), default=0)
    return tuple(found)


def learned_places(side: int, profile: Profile) -> tuple[tuple[int, int], ...]:
    """(scale, q) of the networks.

    Up to 96 pixels the largest gating q of the images as they are; above one q for each scale, of
    which a small profile has the finest and the coarsest.
    """
    if side <= LARGEST_WHOLE:
        return tuple((1, q) for q in gating_qs(side)[-profile.gating :])
    scales = scales_of(side)
    wanted = scales if profile.gating > 1 else (scales[0], *scales[1:][-1:])
    return tuple((s, max(q for q in gating_qs(side, s) if q <= WINDOWED_Q)) for s in wanted)


def make_null(kind: str, q: int | None, scale: int = 1, *, claim: bool) -> Null:
    """Describe one null by its kind; `q` is None for those without a receptive field.

    Raises:
        ValueError: If there is no such kind.
    """
    found = baselines.null_kind(kind)
    if found is None:
        raise ValueError(f"no null is called {kind!r}")
    return describe(found, q, scale, claim=claim)


def describe(null: NullHypothesis, q: int | None, scale: int = 1, *, claim: bool) -> Null:
    """A null as checks know it."""
    return Null(
        name=null.name(q, scale),
        kind=null.kind,
        title=null.titled(q, scale),
        role=null.role,
        blind_to=null.said(null.blind_to, q, scale),
        q=q,
        claim=claim,
        scale=scale,
    )
