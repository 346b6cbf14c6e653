"""Errors and pairs for tests."""

import numpy as np

from audit.stats.paired import NullTraining, pair


def wrong(share, n):
    """Errors on the first share of n images: nested, so that a harder model errs on more."""
    return (np.arange(n) < round(share * n)).astype(float)


def independent(share, n, seed):
    return (np.random.default_rng(seed).random(n) < share).astype(float)


def pair_of(null, subject, errors, groups=None, *, claim, weights=None, **training):
    """A pair of errors; `training` holds the fields of `NullTraining`."""
    known = NullTraining(**training)
    return pair(null, subject, errors, groups, claim=claim, training=known, weights=weights)


def bet(null_error, subject_error, n=10_000, null="bagnet-9", allowance=0.0, **more):
    """A pair with independent errors of exactly these shares, and no seed spread."""
    subject = np.random.default_rng(1).permutation(wrong(subject_error, n))
    more = {"claim": True, "seed_variance": 0.0, **more}
    return pair_of(null, subject, wrong(null_error, n), allowance=allowance, **more)
