"""Where the work of a call is done, and what the audits of one call share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.core.progress import Progress
from audit.evidence.profile import Profile
from audit.inputs.load import Inputs
from audit.jobs.store import Store
from audit.pipeline.reference import Reference

if TYPE_CHECKING:
    import torch

    from audit.evidence.context import PixelCache


@dataclass(frozen=True, eq=False)
class Workspace:
    """What all audits of a call work with.

    Attributes:
        store: Keeps results of jobs.
        progress: Receives messages.
        device: Device that networks run on; None: the processor.
        decoded: Images as nulls see them, shared between audits of the same data.
    """

    store: Store
    progress: Progress = field(default_factory=lambda: Progress(quiet=True))
    device: "torch.device | None" = None
    decoded: "PixelCache" = field(default_factory=dict)


@dataclass
class Session:
    """What the audits of one call share, and what the first of them settles for the others.

    Attributes:
        inputs: All that the call names.
        reference: Run that limits are relative to.
        workspace: Where the work is done.
        models: Number of models that are audited.
        began: When the call began, in seconds since the epoch; 0 once an audit has counted it.
        profile: The profile, once it is chosen.
        left_out: What a limit of time left out, in words.
    """

    inputs: Inputs
    reference: Reference | None
    workspace: Workspace
    models: int = 1
    began: float = 0.0
    profile: Profile | None = None
    left_out: str = ""
