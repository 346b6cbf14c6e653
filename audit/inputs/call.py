"""What a call says besides the settings of `audit.yaml`, and what of it a report repeats."""

from dataclasses import dataclass
from pathlib import Path

from audit.inputs.fields import Answer


@dataclass(frozen=True)
class Call:
    """Options of one call, which no configuration holds.

    Attributes:
        policy: File of limits; None: those of the configuration.
        config: The configuration itself.
        model_sha256: SHA-256 that the models' files may have; empty for any.
        out: New folder for what is written; None: one named by time and model.
        cache: Folder of results; None: the default one.
        no_cache: Whether nothing is kept between runs.
        threads: Processor threads; None: as many as are free.
        device: Device that networks run on; None: the processor.
        quiet: Whether no progress is shown.
        as_json: Whether the result is printed for machines.
        exit_zero: Whether the exit code is 0 whatever the verdict.
    """

    policy: Path | None = None
    config: Path | None = None
    model_sha256: tuple[str, ...] = ()
    out: Path | None = None
    cache: Path | None = None
    no_cache: bool | None = None
    threads: int | None = None
    device: str | None = None
    quiet: bool | None = None
    as_json: bool | None = None
    exit_zero: bool | None = None


@dataclass(frozen=True)
class Declared:
    """What the user says of the model, which nobody can check.

    Attributes:
        evaluation_chose_subject: Whether the evaluation images were used to choose the model.
        pretrained_on: Data that it was trained on before; "none" if on no other.
        preprocessing: Parts of the preprocessing that the user gave, as in "crop_pct".
    """

    evaluation_chose_subject: Answer = "unknown"
    pretrained_on: str = "unknown"
    preprocessing: tuple[str, ...] = ()
