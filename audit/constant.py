"""A model whose outputs no image changes: measured like any other, and flagged."""

import numpy as np
from numpy.typing import NDArray

from audit import requests
from audit.case import Case, NotMeasured

ROUNDING = 1e-6  # of the largest logit


def same_for_all(logits: NDArray[np.float32]) -> bool:
    """Whether every image got the same logits, up to rounding: (n, K)."""
    spread = float(np.ptp(logits, axis=0).max())
    return spread <= ROUNDING * float(np.abs(logits).max())


def mark(case: Case) -> str:
    """The flag for the report's first line; empty for a model that tells images apart."""
    try:
        logits = case.result(requests.subject_outputs(case.setup)).arrays["logits"]
    except NotMeasured:
        return ""
    if not same_for_all(logits):
        return ""
    return f"this model gives the same outputs for all {len(logits):,} images"
