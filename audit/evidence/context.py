"""What executors work with: the data, decoded once, and the subject."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from audit.baselines.device import PROCESSOR
from audit.baselines.images import Images, statistics
from audit.core.errors import AuditError
from audit.core.sizes import area
from audit.data import decode
from audit.data.dataset import Dataset, Split
from audit.data.splits import subset
from audit.evidence.device import Net, on_device, require_agreement, require_learning
from audit.evidence.setup import MAPPED, Null, NullInput, Setup
from audit.jobs.resume import ResumeState
from audit.jobs.store import Outcome

if TYPE_CHECKING:
    from audit.model.checkpoint import Subject
    from audit.model.network.cuts import Cut

AUDITED = "audited"  # the name of the data set that is not beside another one
MEMORY = 2**30  # bytes of decoded images that are kept, of either split as the subject sees it
PixelCache = dict[tuple[str, NullInput, int], NDArray[np.uint8]]  # by split, input and scale


@dataclass
class JobContext:
    """Data and subject of one audit.

    Attributes:
        dataset: The evaluation images, and the training images where nulls are trained.
        model: The loaded model; None where only nulls are trained.
        setup: What is measured.
        cuts: The cut points of `setup.cuts`, as the model's code needs them.
        all_cuts: Those of `setup.all_cuts`, likewise.
        decoded: Images as nulls see them; several audits of the same data may share it.
        others: Data sets beside the audited one, by use: "probe", "transfer".
        few: Images that the norms of untrained networks are estimated on, once decoded.
        near: Groups of near duplicates found in these, by data set, split and images.
        resume_state: Where the job that is being done keeps what it has done so far.
        device: That networks are trained on and the subject runs on.
    """

    dataset: Dataset
    model: "Subject | None"
    setup: Setup
    cuts: "dict[str, Cut]" = field(default_factory=dict)
    decoded: PixelCache = field(default_factory=dict)
    others: dict[str, Dataset] = field(default_factory=dict)
    all_cuts: "dict[str, Cut]" = field(default_factory=dict)
    few: list[Images] = field(default_factory=list)
    near: dict[tuple[str, str, bytes], NDArray[np.int64]] = field(default_factory=dict)
    resume_state: ResumeState = field(default_factory=ResumeState)
    device: torch.device = PROCESSOR
    _evaluation: list[Images] = field(default_factory=list)
    _retraining: dict[tuple[str, bytes], Images] = field(default_factory=dict)

    @property
    def subject(self) -> "Subject":
        """The loaded model."""
        assert self.model is not None, "jobs of nulls do not ask for the model"
        return self.model

    def placed(self, network: Net) -> Net:
        """A network where it is to run: on the processor itself, elsewhere a copy."""
        return on_device(network, self.device)

    def require_device(self) -> None:
        """Make sure that networks learn on the device, and the subject runs, as on the processor.

        Raises:
            AuditError: DEVICE_WRONG.
        """
        from audit.model.network.split import outputs

        if self.device == PROCESSOR:
            return
        require_learning(self.device)
        if self.model is not None:
            few = np.arange(min(4, len(self.dataset.eval)))
            x = self.subject_images("eval", few).normalised(torch.from_numpy(few))
            network = self.model.model.eval()
            require_agreement(network, lambda net, x: outputs(net, x)[1], x, self.device)

    def split(self, name: str, of: str = AUDITED) -> Split:
        """The split "train" or "eval" of the audited data set, or of one beside it."""
        dataset = self.dataset if of == AUDITED else self.others[of]
        if name == "eval":
            return dataset.eval
        if dataset.train is None:
            raise AuditError(
                "DATA_NO_TRAINING",
                "nulls need the subject's training images, but only evaluation images were given.",
                "Give them with --data or --train-data.",
            )
        return dataset.train

    def pixels(self, name: str, scale: int = 1) -> NDArray[np.uint8]:
        """All images of a split as nulls of a scale see them: (N, C, H, W).

        They are the subject's own pixels, before normalisation. A scale of 2 means that each pixel
        is the mean of 2 x 2 of these, so that a patch of q pixels rests on 2 q and no more. What
        takes more than 1 GiB is kept in a temporary file that has no name.
        """
        seen = self.setup.input
        wanted = name, seen, scale
        if wanted in self.decoded:
            return self.decoded[wanted]
        split, channels = self.split(name), self.setup.channels
        out = space(len(split), channels, seen.reduced(scale))
        if scale == 1:
            decode(
                split,
                seen.size,
                channels,
                crop_pct=seen.crop_pct,
                interpolation=seen.interpolation,
                crop_mode=seen.crop_mode,
                out=out,
            )
        else:
            reduce(self.pixels(name), scale, out)
        self.decoded[wanted] = out
        return out

    def images(self, name: str, null: Null) -> Images:
        """A split as a null sees it, with its own statistics."""
        pixels = torch.from_numpy(self.pixels(name, null.scale))
        return Images(pixels, torch.from_numpy(self.split(name).labels), *statistics(pixels))

    def evaluation(self, null: Null, scale: Outcome) -> Images:
        """The evaluation split as a null sees it, with the training split's statistics.

        Args:
            null: Decides by what images are reduced.
            scale: What the job `statistics` found.
        """
        mean, std = (torch.from_numpy(scale.arrays[name]) for name in ("mean", "std"))
        pixels = torch.from_numpy(self.pixels("eval", null.scale))
        return Images(pixels, torch.from_numpy(self.dataset.eval.labels), mean, std)

    def subject_images(
        self, name: str, index: NDArray[np.int64] | None = None, of: str = AUDITED
    ) -> Images:
        """Images with the subject's own geometry and normalisation.

        Args:
            name: "train" or "eval".
            index: Which of them; all by default.
            of: The data set: the audited one, or the use of one beside it.
        """
        view = self.subject.preprocessing
        split = self.split(name, of)
        part = split if index is None else split.select(index)
        known = self._same_as_nulls(name, of)
        if known is not None:
            pixels = known if index is None else known[index]
        else:
            pixels = decode(
                part,
                view.img_size,
                view.in_chans,
                crop_pct=view.crop_pct,
                interpolation=view.interpolation,
                crop_mode=view.crop_mode,
            )
        labels = torch.from_numpy(part.labels)
        mean, std = torch.tensor(view.mean), torch.tensor(view.std)
        return Images(torch.from_numpy(pixels), labels, mean, std)

    def _same_as_nulls(self, name: str, of: str) -> NDArray[np.uint8] | None:
        """A split that was decoded for nulls already, where they see what the subject sees."""
        view, seen = self.subject.preprocessing, self.setup.input
        own = view.img_size, view.crop_pct, view.interpolation, view.crop_mode, view.in_chans
        theirs = seen.size, seen.crop_pct, seen.interpolation, seen.crop_mode, self.setup.channels
        return self.decoded.get((name, seen, 1)) if of == AUDITED and own == theirs else None

    def retraining_images(self, index: NDArray[np.int64], of: str = AUDITED) -> Images:
        """Training images as the subject sees them; all networks of a curve ask for the same ones.

        The last ones stay decoded if they fit in memory.
        """
        key = of, index.tobytes()
        if key in self._retraining:
            return self._retraining[key]
        self._retraining.clear()
        images = self.subject_images("train", index, of)
        if self.fits(len(index)):
            self._retraining[key] = images
        return images

    def evaluation_parts(self) -> Iterator[Images]:
        """The evaluation images as the subject sees them, in order, in parts that fit in memory.

        Kept decoded if all of them fit; else each part is decoded when its turn comes.
        """
        kept = self.keep_evaluation()
        if kept is not None:
            yield kept
            return
        n, size = len(self.dataset.eval), self._at_once()
        for start in range(0, n, size):
            yield self.subject_images("eval", np.arange(start, min(n, start + size)))

    def keep_evaluation(self) -> Images | None:
        """Decode the evaluation images as the subject sees them and keep them, if they fit."""
        if not self.fits(len(self.dataset.eval)):
            return None
        if not self._evaluation:
            self._evaluation.append(self.subject_images("eval"))
        return self._evaluation[0]

    def fits(self, n: int) -> bool:
        """Whether so many images as the subject sees them are few enough to be kept."""
        return n <= self._at_once()

    def _at_once(self) -> int:
        """How many images as the subject sees them fit in memory; one at least."""
        view = self.subject.preprocessing
        return max(1, MEMORY // (view.in_chans * area(view.img_size)))

    def subject_parts(
        self, name: str, index: NDArray[np.int64], of: str = AUDITED
    ) -> Iterator[Images]:
        """Images as the subject sees them, in order, in parts that fit in memory; none is kept."""
        size = self._at_once()
        for start in range(0, len(index), size):
            yield self.subject_images(name, index[start : start + size], of)

    def some(self, name: str, n: int, seed: int, of: str = AUDITED) -> NDArray[np.int64]:
        """A stratified choice of `n` positions of a split."""
        return subset(self.split(name, of).labels, n, seed)


def space(n: int, channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Room for images (N, C, H, W): in memory, or beyond 1 GiB in a file without a name.

    The file lies where `TMPDIR` says, and is gone when the process and its children have ended.

    Raises:
        AuditError: DISK_FULL if there is no room for the file.
    """
    shape = n, channels, *size
    total = n * channels * size[0] * size[1]
    if total <= MAPPED:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(prefix="audit-pixels-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, total)
        except OSError as error:
            raise AuditError(
                "DISK_FULL",
                f"the decoded images take {total / 2**30:.1f} GiB of temporary disk, but it gave "
                f"'{error.strerror}'.",
                "Make room, or name another place with TMPDIR.",
            ) from None
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)


def reduce(pixels: NDArray[np.uint8], scale: int, out: NDArray[np.uint8]) -> None:
    """Means of scale x scale pixels: (N, C, H, W) -> `out` (N, C, ceil(H / s), ceil(W / s)).

    At the lower and right border means are over the pixels that there are.
    """
    step = max(1, 2**24 // pixels[0].size)
    for start in range(0, len(pixels), step):
        some = torch.from_numpy(pixels[start : start + step]).float()
        found = F.avg_pool2d(some, scale, ceil_mode=True, count_include_pad=False)
        out[start : start + step] = found.round().to(torch.uint8).numpy()
