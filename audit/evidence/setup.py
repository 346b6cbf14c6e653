"""All that a check may see: what was set up, and what the jobs found."""

from typing import Literal

from pydantic import Field, field_validator

from audit import baselines
from audit.core.sizes import Size, area, frame_of, height_width, is_size, size_of
from audit.evidence.profile import Profile
from audit.reports.document import FrozenModel

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


class NullInput(FrozenModel):
    """From an image to what the nulls see: the audited model's own pixels, before normalisation.

    Attributes:
        size: Height and width in pixels, of the model's input; at most 512 a side.
        crop_pct: Share of the resized shortest side that the crop keeps, in (0, 1].
        interpolation: Of the resizing ("bicubic").
        crop_mode: "center", or "squash", which does not keep the aspect ratio.
    """

    size: Size
    crop_pct: float = Field(default=1.0, gt=0, le=1)
    interpolation: Interpolation = "bicubic"
    crop_mode: Literal["center", "squash"] = "center"

    @field_validator("size")
    @classmethod
    def _possible(cls, size: Size) -> Size:
        if not is_size(size):
            raise ValueError("no size of an image")
        return size

    @property
    def side(self) -> int:
        """The shorter side in pixels: what a receptive field is held against."""
        return min(height_width(self.size))

    @property
    def frame(self) -> str:
        """What of an image is seen ("1:1", "whole")."""
        return frame_of(self.size, self.crop_mode)

    def reduced(self, scale: int) -> tuple[int, int]:
        """Height and width of what a null of a scale sees, in its own pixels."""
        height, width = height_width(self.size)
        return -(-height // scale), -(-width // scale)


LARGEST_WHOLE = 96  # pixels a side: networks learn from whole images up to that, else from windows
MAPPED = 2**30  # bytes of decoded images of a split; more are mapped from a temporary file


class Null(FrozenModel):
    """A null or a control, as checks know it.

    Attributes:
        name: "bagnet-9".
        kind: "bagnet".
        title: "BagNet-9".
        role: Null or control.
        blind_to: In words.
        q: Receptive field in pixels of its input, None where the notion does not apply.
        claim: Whether the verdict rests on it.
        scale: By what the images are reduced for it: 1, 2, 4 or 8.
    """

    name: str
    kind: str
    title: str
    role: Literal["null", "control"]
    blind_to: str
    q: int | None
    claim: bool
    scale: int = 1

    @property
    def trained(self) -> bool:
        """Whether it is a network with seeds (all others are convex)."""
        known = baselines.null_kind(self.kind)
        return known is not None and known.model == "network"

    @property
    def extent(self) -> int:
        """Receptive field in pixels of the model's input; 0 where the notion does not apply."""
        return (self.q or 0) * self.scale


class CutPoint(FrozenModel):
    """A place where the subject may be cut in two.

    Attributes:
        name: Of the module that ends there.
        depth: Share of multiply-adds before the cut.
        head: Whether only the classifier lies behind it.
    """

    name: str
    depth: float
    head: bool


class ExtraDataset(FrozenModel):
    """A data set beside the audited one, with a training and an evaluation split.

    Attributes:
        name: For people.
        train_digest: Of its training images, their labels and its classes.
        eval_digest: Of its evaluation images, likewise.
        classes: Names, in label order.
        n_train: Training images.
        n_eval: Evaluation images.
        seen: Evaluation images whose pixels are those of a training image of the audited data.
    """

    name: str
    train_digest: str
    eval_digest: str
    classes: tuple[str, ...]
    n_train: int
    n_eval: int
    seen: int = 0


class Setup(FrozenModel):
    """What is audited, on what, and how much is measured: plain data.

    Attributes:
        profile: How much.
        seed: Of everything random; the nulls' seeds are derived from it.
        subject: Name for people.
        architecture: timm's name for it.
        subject_digest: Of its weights and architecture.
        subject_size: Of its input in pixels.
        view: Digest of the subject's preprocessing.
        train_digest: Of the training images, their labels and the classes; all that a null's
            training depends on.
        eval_digest: Of the evaluation images, likewise.
        paths_digest: Of the evaluation images' names, which captions show.
        unreadable: Images that were left out because they cannot be read.
        classes: Names, in label order.
        n_train: Training images.
        n_eval: Evaluation images.
        channels: Of the nulls' input: 1 if all images are grey, else 3.
        input: What the nulls see of an image.
        nulls: The ladder.
        cuts: Where the transfer curve cuts the subject, in order of depth.
        all_cuts: Every place where it can be looked into, likewise.
        order: The subject's output for each class, where its order is another one; else empty.
        training_images: Whether they are at hand; without them, what needs them is not measured.
        check_preprocessing: Whether other preprocessing is tried on them.
        files_digest: Of names and sizes of all files, read or left out.
        probe: Other data that read-outs are learned on, too.
        transfer: Other data that the layers are retrained on.
        transfer_classes: The half of the classes that is A where the classes are divided; empty if
            they are not.
        network_digest: Of the subject's architecture and input, without its weights and classes.
    """

    profile: Profile
    seed: int
    subject: str
    architecture: str
    subject_digest: str
    subject_size: Size
    view: str
    train_digest: str
    eval_digest: str
    paths_digest: str = ""
    unreadable: int = 0
    classes: tuple[str, ...]
    n_train: int
    n_eval: int
    channels: int
    input: NullInput
    nulls: tuple[Null, ...]
    cuts: tuple[CutPoint, ...] = ()
    all_cuts: tuple[CutPoint, ...] = ()
    order: tuple[int, ...] = ()
    training_images: bool = True
    check_preprocessing: bool = False
    files_digest: str = ""
    probe: ExtraDataset | None = None
    transfer: ExtraDataset | None = None
    transfer_classes: tuple[str, ...] = ()
    network_digest: str = ""

    @property
    def subject_sides(self) -> tuple[int, int]:
        """Shorter and longer side of the subject's input in pixels."""
        short, long = sorted(height_width(self.subject_size))
        return short, long

    def null(self, kind: str) -> Null | None:
        """The null of that kind that shows most, if there is one.

        Of those that the verdict rests on, those that see the model's own pixels, and then the one
        with the largest receptive field.
        """
        found = [n for n in self.nulls if n.kind == kind]
        return max(found, key=lambda n: (n.claim, -n.scale, n.q or 0), default=None)

    @property
    def gating(self) -> bool:
        """Whether the verdict rests on any null."""
        return any(n.claim for n in self.nulls)

    def null_size(self, null: Null) -> tuple[int, int]:
        """Height and width of what a null sees, in its own pixels."""
        return self.input.reduced(null.scale)

    def learned_area(self, null: Null) -> int:
        """Pixels of an image, or of a window of it, that a network learns from at a time."""
        size, window = self.null_size(null), baselines.window_side(null.q or 0)
        if null.kind == "sighted" or max(size) <= LARGEST_WHOLE or min(size) < window:
            return area(size)  # the last: of a strip no window can be cut
        return window**2

    def learns_from_windows(self, null: Null) -> bool:
        """Whether a network learns from windows of the images, which are too large for it."""
        return self.learned_area(null) < area(self.null_size(null))

    @property
    def disk(self) -> int:
        """Bytes of temporary disk that the decoded images take; 0 where they are in memory."""
        scales = {null.scale for null in self.nulls}
        each = [self.channels * area(size_of(*self.input.reduced(scale))) for scale in scales]
        sizes = (n * size for n in (self.n_train, self.n_eval) for size in each)
        return sum(size for size in sizes if size > MAPPED)
