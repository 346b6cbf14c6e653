"""The settings: one record, from which configuration, options and repeated command are made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from audit.core.errors import AuditError
from audit.core.sizes import Size, is_size, parsed
from audit.evidence.profile import PROFILES
from audit.inputs.flags import Flag
from audit.policy.location import SourceFile
from audit.reports.document import FrozenModel

Answer = Literal["yes", "no", "unknown"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
CropMode = Literal["center", "squash"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _size(value: object) -> object:
    """Height and width, or one number for both; None stays."""
    size = parsed(value)
    if value is None or is_size(size):
        return size
    raise PydanticCustomError("size", "input should be whole pixels, such as 224 or 256x128")


def _field_value(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """One problem in words where pydantic would name two types."""
    try:
        return check(value)
    except ValidationError:
        words = "input should be a whole number, true or false"
        raise PydanticCustomError("field_value", words) from None


Change = Annotated[bool | int, WrapValidator(_field_value)]


class Settings(FrozenModel):
    """Everything that a user can set: defaults, comments of `audit.yaml`, and options.

    A path in `audit.yaml` is relative to the folder of that file; one on the command line or in a
    variable is relative to the working folder.
    """

    data: Annotated[
        Path | None,
        Flag(
            "data",
            "path",
            "Folder with train/ and val/ (or test/) or idx files; or a CSV: path,label,split.",
        ),
    ] = Field(
        default=None,
        description="Image folder with train/ and val/ (or test/), or a folder of idx files.",
    )
    train_data: Annotated[
        Path | None,
        Flag(
            "data",
            "path",
            "Training images, instead of --data: a folder, or a CSV: path,label.",
        ),
    ] = Field(default=None, description="Training images, instead of `data`.")
    eval_data: Annotated[
        Path | None,
        Flag(
            "data",
            "path",
            "Evaluation images, instead of --data: a folder, or a CSV: path,label.",
        ),
    ] = Field(default=None, description="Evaluation images, instead of `data`.")
    probe_data: Annotated[
        Path | None,
        Flag("others", "path", "Other data, for read-outs of the layers: a folder like --data."),
    ] = Field(
        default=None,
        description="Another data set, in the same formats as `data` and with both splits: "
        "read-outs of the model's layers are learned on it, too.",
    )
    transfer_data: Annotated[
        Path | None,
        Flag("others", "path", "Other data, to retrain the layers on: a folder like --data."),
    ] = Field(
        default=None,
        description="Another data set, in the same formats as `data` and with both splits: the "
        "model's layers are retrained on it.",
    )
    transfer_classes: Annotated[
        tuple[str, ...],
        Flag("others", "names", "Divide the classes: these are A, all others B: cat,dog,deer."),
    ] = Field(
        default=(),
        description="Half of the classes, A; the rest is B, and layers are transferred between "
        "networks that learned either half.",
    )
    class_map: Annotated[
        Path | None, Flag("data", "path", "Class names in the order of the outputs, one a line.")
    ] = Field(
        default=None,
        description="File with the class names in the order of the model's outputs, one a line.",
    )
    model: Annotated[
        str | None, Flag("model", "text", "timm architecture, for a file that names none.")
    ] = Field(default=None, description="timm architecture, for a file that does not name one.")
    model_kwargs: Annotated[
        dict[str, Any], Flag("model", "pairs", "Arguments of the architecture, as key=value.")
    ] = Field(default_factory=dict, description="The architecture's keyword arguments.")
    num_classes: Annotated[
        int | None, Flag("model", "whole", "Number of outputs, where the file does not say.")
    ] = Field(default=None, ge=1, description="Number of outputs, where the file does not say.")
    img_size: Annotated[
        Size | None,
        BeforeValidator(_size),
        Flag(
            "model",
            "pixels",
            "Size of the input in pixels, where the file does not say: 224, or 256x128 (height "
            "first).",
        ),
    ] = Field(
        default=None,
        description="Size of the input in pixels, where the file does not say: the side of a "
        "square, or height and width as in 256x128.",
    )
    in_chans: Annotated[
        int | None, Flag("model", "whole", "Input channels, where the file does not say.")
    ] = Field(default=None, ge=1, description="Input channels, where the file does not say.")
    weights: Annotated[
        str | None,
        Flag(
            "model",
            "text",
            "Set of weights, for a file with several: raw, ema, or the key they are under.",
        ),
    ] = Field(
        default=None,
        min_length=1,
        description='"raw", "ema" or the name of a set, for a file that holds several.',
    )
    mean: Annotated[
        tuple[Finite, ...] | None,
        Flag("prepared", "numbers", "Mean of the channels, instead of the file's: 0.5,0.5,0.5."),
    ] = Field(
        default=None,
        min_length=1,
        max_length=3,
        description="Mean of the input's channels on the scale 0 to 1, one value or one a channel, "
        "instead of what the file or timm says.",
    )
    std: Annotated[
        tuple[Positive, ...] | None,
        Flag("prepared", "numbers", "Standard deviation of the channels: 0.5,0.5,0.5."),
    ] = Field(
        default=None,
        min_length=1,
        max_length=3,
        description="Standard deviation of the input's channels on the scale 0 to 1, one value or "
        "one a channel, instead of what the file or timm says.",
    )
    crop_pct: Annotated[
        float | None, Flag("prepared", "number", "Share of the shorter side that the crop keeps.")
    ] = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the resized image's shorter side that the centre crop keeps, instead "
        "of what the file or timm says.",
    )
    crop_mode: Annotated[
        CropMode | None,
        Flag(
            "prepared",
            "choice",
            "Keep the image's shape when resizing, or squash it into the input's.",
            choices=get_args(CropMode),
        ),
    ] = Field(
        default=None,
        description='"center" keeps the image\'s shape when resizing, "squash" gives it the '
        "input's.",
    )
    interpolation: Annotated[
        Interpolation | None,
        Flag(
            "prepared",
            "choice",
            "Interpolation of the resizing.",
            choices=get_args(Interpolation),
        ),
    ] = Field(
        default=None,
        description="Interpolation of the resizing, instead of what the file or timm says.",
    )
    check_preprocessing: Annotated[
        bool,
        Flag(
            "prepared",
            "switch",
            "Try other preprocessing on training images, and warn where one is clearly better.",
        ),
    ] = Field(
        default=False,
        description="Try the usual alternatives on up to 1,000 training images, and warn where one "
        "is clearly better.",
    )
    profile: Annotated[
        str, Flag("profile", "choice", "How much is measured [default].", choices=tuple(PROFILES))
    ] = Field(
        default="default",
        description="How much is measured: quick, default or full. Not set: as the nulls of a "
        "folder were fitted, the largest that fits into `max_time`, or default.",
    )
    changes: Annotated[
        dict[str, Change], Flag("profile", "pairs", "A field of the profile.", "--set")
    ] = Field(
        default_factory=dict, description="Fields of the profile, replaced, such as {seeds: 1}."
    )
    seed: Annotated[int, Flag("profile", "whole", "Random seed [0].")] = Field(
        default=0,
        ge=0,
        description="Random seed. Not set: as the nulls of a folder were fitted, or 0.",
    )
    amp: Annotated[
        bool | None,
        Flag(
            "profile",
            "either",
            "Whether nulls learn in bfloat16 [as in a folder of nulls, otherwise with AMX].",
        ),
    ] = Field(
        default=None,
        description="Nulls learn in bfloat16; their weights are kept, and they run, in 32 bits. "
        "Not set: as the nulls of a folder were fitted, or where the processor is made for it "
        "(AMX).",
    )
    max_bad_images: Annotated[
        int, Flag("data", "whole", "Unreadable images that may be left out [0].")
    ] = Field(
        default=0,
        ge=0,
        description="So many unreadable images are left out and named; more are refused.",
    )
    evaluation_chose_subject: Answer = Field(
        default="unknown",
        description="Were the evaluation images used to choose the model? yes, no or unknown; all "
        "but no is said in the report.",
    )
    pretrained_on: Annotated[
        str,
        Flag("model", "text", "Data the model was trained on before; 'none' if on no other."),
    ] = Field(
        default="unknown",
        description='Data that the model was trained on before, "none" if on no other.',
    )
    nulls: Annotated[
        Path | None,
        Flag(
            "judge", "path", "Folder of fitted nulls: no training images needed, nothing trained."
        ),
    ] = Field(
        default=None,
        description="Folder of fitted nulls; then no training images are needed and nothing is "
        "trained.",
    )
    max_time: Annotated[
        str | None,
        Flag("judge", "text", "Take the largest profile that should fit into this, such as 30m."),
    ] = Field(
        default=None,
        description="Take the largest profile that is expected to take no longer, such as 30m.",
    )
    reference: Annotated[
        Path | None,
        Flag("judge", "path", "Finished run that limits of the policy may be relative to."),
    ] = Field(default=None, description="Finished run that limits may be relative to.")
    limits: dict[str, Any] = Field(
        default_factory=dict, description="The policy's limits, over the default ones."
    )
    waivers: dict[str, Any] = Field(
        default_factory=dict,
        description="Limits that are excused, each with a reason and a date.",
    )
    _places: dict[str, str] = PrivateAttr(default_factory=dict)
    _where: SourceFile = PrivateAttr(default=SourceFile(source="the policy"))

    def location(self, name: str) -> str:
        """Where the user says a setting: file and line, or the flag."""
        return self._places.get(name, f"`--{name.replace('_', '-')}`")

    @contextmanager
    def locate_errors(self, name: str, reasons: str) -> Iterator[None]:
        """Begin errors with the line of `audit.yaml` that a setting comes from, if it does.

        Args:
            name: Of the setting.
            reasons: What the reasons of errors that concern it begin with.
        """
        try:
            yield
        except AuditError as error:
            if name not in self._places or not error.reason.startswith(reasons):
                raise
            raise error.about(self._places[name]) from None


PATHS = tuple(name for name, f in Settings.model_fields.items() if f.annotation == Path | None)
