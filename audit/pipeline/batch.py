"""Batch."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.core.progress import Progress
from audit.evidence.profile import Profile
from audit.inputs.settings import Settings
from audit.pipeline.reference import Reference
from audit.policy.limits import Policy

if TYPE_CHECKING:
    import torch

    from audit.data.dataset import Dataset
    from audit.evidence.context import PixelCache
    from audit.inputs.fitted_nulls import TrainedNulls
    from audit.jobs.store import Store


@dataclass
class Batch:
    """What the audits of one call share.

    Attributes:
        settings: As resolved.
        policy: That judges.
        reference: A stored run that limits are relative to.
        store: Where results of jobs are kept.
        fitted: Nulls from a folder.
        progress: Told what happens.
        models: How many are audited in this call.
        dataset: Loaded for the first model.
        profile: Chosen then, too.
        left_out: What --max-time left out, in words.
        decoded: Images as nulls see them.
        beside: Data sets beside the audited one, by use.
        pins: SHA-256 that the models' files may have; empty for any.
        began: When the call began, in seconds since the epoch; 0 once an audit has counted it.
        device: That networks run on; None: the processor.
    """

    settings: Settings
    policy: Policy
    reference: Reference | None
    store: "Store"
    fitted: "TrainedNulls | None"
    progress: Progress
    models: int = 1
    dataset: "Dataset | None" = None
    profile: Profile | None = None
    left_out: str = ""
    decoded: "PixelCache" = field(default_factory=dict)
    beside: "dict[str, Dataset]" = field(default_factory=dict)
    pins: tuple[str, ...] = ()
    began: float = 0.0
    device: "torch.device | None" = None
