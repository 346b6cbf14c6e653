"""Which copies of training images are found in an evaluation set, by kind, and how many too many?

    AUDIT_DATA=cifar10 nice python benchmarks/moved_copies.py >> benchmarks/data.md

AUDIT_DATA names an image folder with train/ and test/. Copies of its training images are made, a
hundred of each kind, put among the first evaluation images and searched for. "By whole pictures" is
`audit.data.near_duplicates` alone, "in all" with `audit.data.moved_copies`. A copy counts as found
if its own original is named. Pairs found without planting are judged by pixels: the correlation of
the grey pictures where they overlap, at the best of all shifts up to 6 pixels and 13 zooms,
mirrored or not.
"""

import argparse
import io
import os
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded
    os.environ[variable] = "1"
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import time  # noqa: E402

import numpy as np  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402

from audit.data.decode import thumbnails  # noqa: E402
from audit.data.fingerprints import Prints, joined, of_thumbs  # noqa: E402
from audit.data.load import load_dataset  # noqa: E402
from audit.data.moved_copies import SearchedPrints, moved_copies  # noqa: E402
from audit.data.near_duplicates import near_pairs  # noqa: E402
from audit.data.windows import SIDE, Floats, Thumbs, grey, unit  # noqa: E402

EACH = 100  # copies of a kind
Picture = Image.Image
Kind = Callable[[Picture, np.random.Generator], Picture]


def shifted(by: float, fill: str) -> Kind:
    """Moved by that share of the side in one direction and up to it in the other."""

    def make(picture: Picture, rng: np.random.Generator) -> Picture:
        most = round(by * picture.width)
        down, right = rng.permutation([most, int(rng.integers(-most, most + 1))])
        down, right = (int(v * rng.choice([-1, 1])) for v in (down, right))
        rows = np.pad(
            np.asarray(picture), ((most, most), (most, most), (0, 0)),
            mode="edge" if fill == "edge" else "constant",
        )  # fmt: skip
        y, x = most + down, most + right
        return Image.fromarray(rows[y : y + picture.height, x : x + picture.width])

    return make


def cut(share: float, *, corner: bool) -> Kind:
    """The middle, or a corner, of that share of the side, enlarged to the whole."""

    def make(picture: Picture, rng: np.random.Generator) -> Picture:
        width, height = picture.size
        rest = (1 - share) * width, (1 - share) * height
        place = rng.integers(0, 2, 2) if corner else (0.5, 0.5)
        x, y = rest[0] * place[0], rest[1] * place[1]
        box = (x, y, x + share * width, y + share * height)
        return picture.resize(picture.size, Image.Resampling.BICUBIC, box=box)

    return make


def reduced(share: float) -> Kind:
    """The whole picture, smaller, on black."""

    def make(picture: Picture, rng: np.random.Generator) -> Picture:
        size = (round(share * picture.width), round(share * picture.height))
        return ImageOps.pad(picture.resize(size, Image.Resampling.BICUBIC), size).crop(
            (
                -((picture.width - size[0]) // 2),
                -((picture.height - size[1]) // 2),
                picture.width - (picture.width - size[0]) // 2,
                picture.height - (picture.height - size[1]) // 2,
            )
        )

    return make


def jpeg(picture: Picture, rng: np.random.Generator) -> Picture:
    """Saved as JPEG of quality 60."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


def noisy(picture: Picture, rng: np.random.Generator) -> Picture:
    """With noise of 8 grey levels."""
    values = np.asarray(picture) + rng.normal(0, 8, np.asarray(picture).shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def then(*kinds: Kind) -> Kind:
    """One after the other."""

    def make(picture: Picture, rng: np.random.Generator) -> Picture:
        for kind in kinds:
            picture = kind(picture, rng)
        return picture

    return make


def mirrored(picture: Picture, rng: np.random.Generator) -> Picture:
    """Left and right exchanged."""
    return ImageOps.mirror(picture)


KINDS: dict[str, Kind] = {
    "JPEG of quality 60": jpeg,
    "noise of 8 grey levels": noisy,
    "grey": lambda picture, rng: ImageOps.grayscale(picture).convert("RGB"),
    "mirrored": mirrored,
    "shifted by 1/32 of the side": shifted(1 / 32, "edge"),
    "shifted by 1/16": shifted(1 / 16, "edge"),
    "shifted by 3/32, black edge": shifted(3 / 32, "black"),
    "shifted by 1/8": shifted(1 / 8, "edge"),
    "mirrored and shifted by 3/32": then(mirrored, shifted(3 / 32, "edge")),
    "middle 94 %, enlarged": cut(30 / 32, corner=False),
    "middle 88 %": cut(28 / 32, corner=False),
    "middle 81 %": cut(26 / 32, corner=False),
    "middle 75 %": cut(24 / 32, corner=False),
    "corner 94 %, enlarged": cut(30 / 32, corner=True),
    "corner 88 %": cut(28 / 32, corner=True),
    "corner 81 %": cut(26 / 32, corner=True),
    "corner 75 %": cut(24 / 32, corner=True),
    "corner 88 %, mirrored, JPEG": then(cut(28 / 32, corner=True), mirrored, jpeg),
    "reduced to 88 %, on black": reduced(28 / 32),
    "reduced to 75 %, on black": reduced(24 / 32),
}


def printed(thumbs: Thumbs, seed: int) -> Prints:
    """Fingerprints of distinct pictures."""
    digests = np.random.default_rng(seed).integers(0, 256, (len(thumbs), 32), dtype=np.uint8)
    return of_thumbs(thumbs, digests)


def by_whole(prints: Prints, n_train: int) -> set[tuple[int, int]]:
    """Pairs (evaluation, training) of near duplicates by whole pictures."""
    pairs, _ = near_pairs(prints)
    pairs = pairs[(pairs[:, 0] < n_train) & (pairs[:, 1] >= n_train)]
    return {(int(j) - n_train, int(i)) for i, j in pairs}


def best_correlation(a: Floats, b: Floats) -> float:
    """Of two grey pictures where they overlap, over shifts, zooms and mirror images."""
    best = -1.0
    for zoom in np.linspace(0.7, 1.3, 13):
        side = round(SIDE * zoom)
        for picture in (b, b[:, ::-1]):
            sized = np.asarray(
                Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
            )
            centre = (side - SIDE) / 2
            for down in range(-6, 7):
                for right in range(-6, 7):
                    y, x = round(centre + down), round(centre + right)
                    mine = a[max(0, -y) : side - y, max(0, -x) : side - x]
                    theirs = sized[max(0, y) : y + SIDE, max(0, x) : x + SIDE]
                    if min(mine.shape) >= SIDE // 2:
                        views = unit(np.stack([mine, theirs]))
                        best = max(best, float(views[0] @ views[1]))
    return best


def found_of_each(train: Thumbs, evaluation: Thumbs) -> list[tuple[str, str, str]]:
    """Shares of planted copies that are found, by kind."""
    rng = np.random.default_rng(0)
    source = {kind: rng.choice(len(train), EACH, replace=False) for kind in KINDS}
    planted = np.stack(
        [
            np.asarray(make(Image.fromarray(train[i]), rng).convert("RGB"))
            for kind, make in KINDS.items()
            for i in source[kind]
        ]
    )
    whole, moved = search(train, np.concatenate([planted, evaluation]))
    rows = []
    for place, (kind, index) in enumerate(source.items()):
        pairs = {(place * EACH + at, int(i)) for at, i in enumerate(index)}
        shares = (len(pairs & found) / EACH for found in (whole, whole | moved))
        rows.append((kind, *(f"{share:.0%}" for share in shares)))
    return [(kind, a, b) for kind, a, b in rows]


def search(train: Thumbs, evaluation: Thumbs) -> tuple[set[tuple[int, int]], ...]:
    """Pairs (evaluation, training) by whole pictures, and as moved copies."""
    known = printed(train, 1)
    whole = by_whole(joined([known, printed(evaluation, 2)]), len(train))
    ((pairs, _),) = moved_copies(
        evaluation, printed(evaluation, 2).density, [SearchedPrints(known)]
    )
    return whole, {(int(i), int(j)) for i, j in pairs}


def timed(work: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def disjoint(train: Thumbs, evaluation: Thumbs) -> str:
    """What is found where nothing was planted, judged by pixels."""
    whole, moved = search(train, evaluation)
    a, b = grey(evaluation), grey(train)
    lines = []
    for name, pairs in (("by whole pictures", whole), ("as moved copies alone", moved - whole)):
        fits = sorted(best_correlation(a[i], b[j]) for i, j in pairs)
        good = sum(fit >= 0.9 for fit in fits)
        least = f", the least {fits[0]:.2f}" if fits else ""
        lines.append(
            f"- {len(pairs)} pairs are found {name}; pixels correlate by 0.9 or more in {good} of "
            f"them{least}."
        )
    random = np.random.default_rng(0).integers(0, len(train), 200)
    chance = sorted(best_correlation(a[i], b[j]) for i, j in enumerate(random))
    lines.append(
        f"- Of 200 pairs at random the same correlation has a median of {chance[100]:.2f} and a "
        f"largest of {chance[-1]:.2f}."
    )
    return "\n".join(lines)


def costs(train: Thumbs, evaluation: Thumbs, decoding: float) -> str:
    """The search of moved copies against what was done before it."""
    known = printed(train, 1)
    printing = timed(lambda: (printed(train, 1), printed(evaluation, 2)))
    together = joined([known, printed(evaluation, 2)])
    whole = timed(lambda: near_pairs(together))
    prints = printed(evaluation, 2)
    pools = [SearchedPrints(known), SearchedPrints(prints, np.arange(len(evaluation)))]
    moved = timed(lambda: moved_copies(evaluation, prints.density, pools))
    before = decoding + printing + whole
    return (
        f"Processor seconds: decoding {decoding:.1f}, fingerprints {printing:.1f}, search by whole "
        f"pictures {whole:.1f}, search for moved copies of training and evaluation images "
        f"{moved:.1f}: the whole takes {(before + moved) / before:.2f} times as long as without "
        "the last."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=5000)
    parser.add_argument("--evaluation", type=int, default=2000)
    args = parser.parse_args()
    data = Path(os.environ["AUDIT_DATA"])
    dataset = load_dataset(data)
    assert dataset.train is not None
    rng = np.random.default_rng(0)
    some = [
        split.select(np.sort(rng.choice(len(split), min(n, len(split)), replace=False)))
        for split, n in ((dataset.train, args.train), (dataset.eval, args.evaluation))
    ]
    start = sum(os.times()[:4])
    train, evaluation = (thumbnails(split, SIDE, 3) for split in some)
    decoding = sum(os.times()[:4]) - start
    print("\n# Copies that are found\n")
    words = f"--train {args.train} --evaluation {args.evaluation}"
    print(f"`AUDIT_DATA={data.name} nice python benchmarks/moved_copies.py {words}`\n")
    print(
        f"{len(train):,} training and {len(evaluation):,} evaluation images, {EACH} copies each:\n"
    )
    print("| copy of a training image | found by whole pictures | found in all |")
    print("| --- | --- | --- |")
    for row in found_of_each(train, evaluation):
        print(f"| {' | '.join(row)} |")
    print(f"\nWithout planted copies:\n\n{disjoint(train, evaluation)}\n")
    print(costs(train, evaluation, decoding))


if __name__ == "__main__":
    main()
