"""A folder of fitted nulls, for audits without training images and without training.

`manifest.yaml` says what the nulls were trained on and how; `entries/<kind>/<key>/` holds the
outcomes of the jobs that needed the training images, as the store keeps them: fingerprints (for
leaks), channel statistics, recipes with their learning curves, weights with their proofs. No
pickle, no paths. Each entry's digest stands in the manifest, so that the manifest's own digest
names the whole folder.

Whoever gives the folder answers for it: weak nulls flatter a model. The report therefore shows the
manifest's digest, by which a folder can be told from another.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from audit.core.errors import AuditError
from audit.core.version import __version__
from audit.evidence import null_errors as predictions
from audit.evidence.decide import Training
from audit.evidence.profile import Profile
from audit.evidence.setup import Setup
from audit.evidence.shared_jobs import OF_TRAINING
from audit.jobs.folders import dumped, new_folder
from audit.jobs.job import Job, merged
from audit.jobs.store import Outcome, read_entry, write_entry
from audit.reports import yaml as plain_yaml
from audit.reports.document import FrozenModel
from audit.reports.files import write_atomic
from audit.reports.text import visible

# 1: the classes stood in the order of the outputs of some model; 2: nulls saw squares of 64 pixels
SCHEMA_VERSION = 3
MOST_BYTES = 16 * 2**20


PREPROCESSING = (
    "resized and cropped as the input below says, like the images of the model; for nulls of a "
    "scale the mean of scale x scale pixels; for networks channels less their mean over the "
    "training images, divided by their standard deviation"
)


class FittedNull(FrozenModel):
    """One job's outcome in the folder.

    Attributes:
        kind: Of the job.
        key: The job's digest.
        label: For people.
        sha256: Of the entry's own manifest, which holds the digests of its files.
    """

    kind: Literal["train_facts", "statistics", "ridge", "choose", "fit"]
    key: str = Field(pattern=r"^[0-9a-f]{40}$")
    label: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(FrozenModel):
    """The content of `manifest.yaml`.

    Attributes:
        schema_version: Of this record.
        tool_version: Of the package that fitted the nulls.
        fitted: Date.
        versions: Of the code of each kind of job.
        training: What the nulls were trained on.
        side_from: Where the input comes from, in words.
        preprocessing: From an image to a null's input, in words.
        seed: Of everything random.
        profile: How much was trained.
        entries: All outcomes.
    """

    schema_version: int
    tool_version: str
    fitted: str
    versions: dict[str, int]
    training: Training
    side_from: str
    preprocessing: str
    seed: int
    profile: Profile
    entries: tuple[FittedNull, ...]


@dataclass(frozen=True, eq=False)
class TrainedNulls:
    """A folder of nulls, read and verified.

    Attributes:
        manifest: What they are.
        digest: SHA-256 of the manifest.
        outcomes: By job key.
        name: Of the folder, safe to show.
    """

    manifest: Manifest
    digest: str
    outcomes: dict[str, Outcome]
    name: str


def null_jobs(setup: Setup) -> list[Job]:
    """All that an audit asks of the training images for its nulls, in order."""
    return [job for job in merged(predictions.needs(setup)) if job.kind in OF_TRAINING]


def write_nulls(out: Path, setup: Setup, outcomes: Mapping[str, Outcome], side_from: str) -> str:
    """Write a folder of nulls, whole or not at all.

    Args:
        out: Must not exist.
        setup: What was trained.
        outcomes: By key, of all `null_jobs`.
        side_from: Where the side comes from, in words.

    Returns:
        SHA-256 of the manifest.

    Raises:
        AuditError: OUT_EXISTS, OUT_UNUSABLE.
    """
    with new_folder(out) as folder:
        entries = []
        for job in null_jobs(setup):
            place = folder / "entries" / job.kind / job.key
            place.mkdir(parents=True)
            write_entry(place, outcomes[job.key])
            entries.append(
                {"kind": job.kind, "key": job.key, "label": job.label, "sha256": seal(place)}
            )
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            tool_version=__version__,
            fitted=time.strftime("%Y-%m-%d"),
            versions={name: kind.version for name, kind in OF_TRAINING.items()},
            training=Training(**setup.model_dump(include=set(Training.model_fields))),
            side_from=side_from,
            preprocessing=PREPROCESSING,
            seed=setup.seed,
            profile=setup.profile,
            entries=tuple(FittedNull.model_validate(entry) for entry in entries),
        )
        text = dumped(manifest.model_dump(mode="python"))
        write_atomic(folder / "manifest.yaml", text)
    return hashlib.sha256(text).hexdigest()


def seal(place: Path) -> str:
    """Digest of an entry's own manifest."""
    return hashlib.sha256((place / "manifest.json").read_bytes()).hexdigest()


def read_nulls(path: Path) -> TrainedNulls:
    """Read a folder of nulls and verify all of it.

    Raises:
        AuditError: NULLS_NOT_FOUND, NULLS_INVALID, NULLS_OTHER_VERSION, NULLS_DAMAGED.
    """
    raw, digest = read_manifest(path)
    name = visible(path.name or str(path), 80)
    version = raw.get("schema_version")
    if version != SCHEMA_VERSION:
        raise other_version(name, f"its schema is {visible(repr(version), 40)}")
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise invalid(name, f"its manifest is damaged at '{visible(where, 80)}'") from None
    held = manifest.versions
    changed = [name for name, kind in OF_TRAINING.items() if held.get(name) != kind.version]
    if changed or manifest.preprocessing != PREPROCESSING:
        what = f"'{changed[0]}' is done otherwise now" if changed else "images are prepared so"
        raise other_version(name, f"{what}, it was fitted by {visible(manifest.tool_version, 40)}")
    outcomes = {entry.key: read_outcome(path, name, entry) for entry in manifest.entries}
    return TrainedNulls(manifest, digest, outcomes, name)


def read_manifest(path: Path) -> tuple[dict[str, Any], str]:
    """The manifest as plain data, and its digest.

    Raises:
        AuditError: NULLS_NOT_FOUND, NULLS_INVALID.
    """
    file = path / "manifest.yaml"
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError("its manifest is larger than 16 MB")
        content = file.read_bytes()
        return plain_yaml.load(content.decode()), hashlib.sha256(content).hexdigest()
    except OSError:
        raise AuditError(
            "NULLS_NOT_FOUND",
            f"--nulls needs a folder made by `audit nulls fit`, but {visible(str(path))} holds "
            "no manifest.yaml that can be read.",
            "Check the path.",
        ) from None
    except ValueError as error:
        raise invalid(visible(path.name, 80), visible(str(error), 200)) from None


def read_outcome(path: Path, name: str, entry: FittedNull) -> Outcome:
    """One entry, verified.

    Raises:
        AuditError: NULLS_DAMAGED.
    """
    place = path / "entries" / entry.kind / entry.key
    try:
        if seal(place) != entry.sha256:
            raise ValueError("another manifest")
        return read_entry(place, OF_TRAINING[entry.kind].values)
    except Exception:  # whatever a damaged file makes its reader raise
        raise AuditError(
            "NULLS_DAMAGED",
            f"--nulls needs a folder as it was written, but in {name} the entry "
            f"'{visible(entry.label, 80)}' ({entry.kind}/{entry.key[:12]}) is missing or "
            "damaged.",
            "Copy the folder again, or fit the nulls again.",
        ) from None


def invalid(name: str, problem: str) -> AuditError:
    """A folder that is none of ours."""
    return AuditError(
        "NULLS_INVALID",
        f"--nulls needs a folder made by `audit nulls fit`, but of {name}: {problem}.",
        "Fit the nulls again.",
    )


def other_version(name: str, problem: str) -> AuditError:
    """A folder of another version of the tool."""
    return AuditError(
        "NULLS_OTHER_VERSION",
        f"--nulls needs nulls that this version of the tool would fit, but of {name}: {problem}.",
        "Fit the nulls again, or use the version that fitted them.",
    )
