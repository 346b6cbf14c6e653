"""All that a check may see: what was set up, and what the jobs found."""

from typing import TYPE_CHECKING, Literal

from audit.core.sizes import Size, height_width
from audit.evidence.profile import Profile
from audit.reports.document import FrozenModel

if TYPE_CHECKING:
    pass


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
        side: Of its input, in pixels.
    """

    name: str
    kind: str
    title: str
    role: Literal["null", "control"]
    blind_to: str
    q: int | None
    claim: bool
    side: int

    @property
    def trained(self) -> bool:
        """Whether it is a network with seeds (the trivial rungs are convex, the stack too)."""
        return self.q is not None


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
        side: Of the images that the nulls see, before each rounds it to its stride.
        frame: What of an image they see (`audit.core.sizes.frame_of`).
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
    side: int
    frame: str = "1:1"
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
    def pixels(self) -> int:
        """Bytes of all training images as nulls see them."""
        return self.n_train * self.channels * self.side**2

    @property
    def subject_sides(self) -> tuple[int, int]:
        """Shorter and longer side of the subject's input in pixels."""
        short, long = sorted(height_width(self.subject_size))
        return short, long

    def null(self, kind: str, q: int | None = None) -> Null | None:
        """The null of that kind with that q, or the one with the largest q, if there is one."""
        found = [n for n in self.nulls if n.kind == kind and q in (None, n.q)]
        return max(found, key=lambda n: n.q or 0) if found else None

    @property
    def gating_q(self) -> int | None:
        """The largest receptive field that the verdict rests on."""
        return max((n.q for n in self.nulls if n.q and n.claim), default=None)
