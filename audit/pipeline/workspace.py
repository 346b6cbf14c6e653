"""Where the work of a call is done."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.core.progress import Progress
from audit.jobs.store import Store

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
