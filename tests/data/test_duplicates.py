"""Leaks, duplicates and contradictory labels are found; pictures that merely resemble are not.

And what follows from it: parts of a split never cut through a group of copies.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps
from scipy.ndimage import gaussian_filter

from audit.data.dataset import Dataset, Split
from audit.data.duplicates import DuplicateFacts, Known, data_facts, facts_of, known_with_thumbs
from audit.data.embedded import load_embedded
from audit.data.fingerprints import FLAT, SIDE, flat, of_thumbs, perceptual_hashes
from audit.data.idx import array_split
from audit.data.load import load_dataset
from audit.data.near_duplicates import hamming_pairs, near_pairs
from audit.data.splits import heldout_indices, subset

RNG = np.random.default_rng(0)


def texture() -> Image.Image:
    """A picture with coarse and fine structure, like a photograph's spectrum."""
    x = sum(gaussian_filter(RNG.normal(size=(48, 48, 3)), (s, s, 0)) * s**1.5 for s in (1, 2, 4, 8))
    x = (x - x.min()) / (x.max() - x.min())
    return Image.fromarray((255 * x).astype(np.uint8))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def index(split: Split | None, path: str) -> int:
    assert split is not None
    return split.paths.index(path)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """150 distinct pictures a split, and known copies of training images beside them."""
    root = tmp_path_factory.mktemp("planted")
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for i in range(75):
                texture().save(root / split / name / f"{i}.png")
    first = [opened(root / "train" / "cat" / f"{i}.png") for i in range(12)]
    val = root / "val" / "cat"
    (val / "same-file.png").write_bytes((root / "train" / "cat" / "0.png").read_bytes())
    first[1].save(val / "same-pixels.bmp")
    first[2].save(val / "recompressed.jpg", quality=60)
    first[3].resize((96, 96)).save(val / "resized.png")
    first[4].point(lambda v: int(20 + 0.8 * v)).save(val / "paler.png")
    ImageOps.mirror(first[5]).save(val / "mirrored.png")
    ImageChops.offset(first[8], 4, -3).save(val / "shifted.png")
    first[9].resize((48, 48), box=(4, 4, 44, 44)).save(val / "zoomed.png")
    first[10].resize((48, 48), box=(6, 0, 48, 42)).save(val / "corner.png")
    ImageOps.mirror(first[11]).save(root / "val" / "dog" / "mirrored-other-label.png")
    first[6].save(root / "train" / "dog" / "other-label.png")
    first[7].save(root / "train" / "dog" / "near-other-label.jpg", quality=75)
    return load_dataset(root)


@pytest.fixture(scope="module")
def facts(planted: Dataset) -> DuplicateFacts:
    return data_facts(planted)


def leaks(pairs: tuple[tuple[int, int], ...], data: Dataset) -> dict[str, str]:
    assert data.train is not None
    return {data.eval.paths[i]: data.train.paths[j] for i, j in pairs}


def test_counts(facts: DuplicateFacts):
    assert facts.train_counts == (75, 77)
    assert facts.eval_counts == (84, 76)


def test_equal_files_and_equal_pixels_leak(planted: Dataset, facts: DuplicateFacts):
    expected = {"cat/same-file.png": "cat/0.png", "cat/same-pixels.bmp": "cat/1.png"}
    assert leaks(facts.exact_leaks, planted) == expected


def test_near_copies_leak_and_nothing_else(planted: Dataset, facts: DuplicateFacts):
    assert leaks(facts.near_leaks, planted) == {
        "cat/recompressed.jpg": "cat/2.png",
        "cat/resized.png": "cat/3.png",
        "cat/paler.png": "cat/4.png",
        "cat/mirrored.png": "cat/5.png",
        "cat/shifted.png": "cat/8.png",
        "cat/zoomed.png": "cat/9.png",
        "cat/corner.png": "cat/10.png",
    }


def test_a_mirror_image_under_another_label_is_another_picture(
    planted: Dataset, facts: DuplicateFacts
):
    """Where classes are left and right, it would be one."""
    other = index(planted.eval, "dog/mirrored-other-label.png")
    assert other not in dict(facts.near_leaks)
    assert not any(("eval", other) in conflict for conflict in facts.label_conflicts)


def test_moved_copies_inside_the_evaluation_set_form_a_group():
    thumbs = np.stack([np.asarray(texture().resize((SIDE, SIDE))) for _ in range(60)])
    thumbs[1] = thumbs[0, :, ::-1]
    digests = RNG.integers(0, 256, (60, 32), dtype=np.uint8)
    known = Known(np.zeros(60, dtype=np.int64), of_thumbs(thumbs, digests), thumbs)
    groups = facts_of(None, known, 1).eval_groups
    assert (groups[0] == groups[1], len(set(groups))) == (True, 59)


def test_label_conflicts(planted: Dataset, facts: DuplicateFacts):
    train = planted.train
    pairs = [("cat/6.png", "dog/other-label.png"), ("cat/7.png", "dog/near-other-label.jpg")]
    found = {frozenset((c.first, c.second)) for c in facts.label_conflicts}
    assert found == {frozenset(("train", index(train, p)) for p in pair) for pair in pairs}


def test_duplicates_within_a_split(planted: Dataset, facts: DuplicateFacts):
    pair = sorted(index(planted.train, p) for p in ("cat/6.png", "dog/other-label.png"))
    assert facts.train_duplicates == (tuple(pair),)
    assert facts.eval_duplicates == ()


def test_groups_tie_copies_across_splits(planted: Dataset, facts: DuplicateFacts):
    copy, original = index(planted.eval, "cat/resized.png"), index(planted.train, "cat/3.png")
    assert facts.eval_groups[copy] == facts.train_groups[original]
    assert len(set(facts.eval_groups)) == 160
    assert len(set(facts.train_groups)) == 152 - 2


def test_evaluation_images_alone(planted: Dataset):
    alone = Dataset(planted.classes, None, planted.eval, "", False, (), 0, "")
    facts = data_facts(alone)
    assert facts.exact_leaks == facts.near_leaks == ()
    assert (facts.train_counts, len(facts.train_groups)) == ((0, 0), 0)
    assert len(facts.eval_groups) == 160


@pytest.mark.slow
def test_embedded_garments_are_no_leaks():
    """Alike in silhouette, thousands of candidates by hash: none is the same picture."""
    facts = data_facts(load_embedded())
    assert facts.exact_leaks == facts.near_leaks == facts.label_conflicts == ()


def test_candidates_are_all_pairs_within_the_radius():
    base = RNG.integers(0, 2**63, 300, dtype=np.uint64)
    hashes = np.concatenate([base, base[:50] ^ np.uint64(0b1011), base[:50] ^ np.uint64(0x7FF)])
    brute = {
        (i, j)
        for i in range(400)
        for j in range(i + 1, 400)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 8
    }
    assert set(map(tuple, hamming_pairs(hashes, 8).tolist())) == brute
    assert len(brute) >= 100


def test_flat_pictures_are_not_alike():
    flat = RNG.integers(127, 129, (60, SIDE, SIDE, 1), dtype=np.uint8)
    distinct = of_thumbs(flat, RNG.integers(0, 256, (60, 32), dtype=np.uint8))
    assert len(near_pairs(distinct)[0]) == 0


def test_flat_is_a_small_deviation_in_every_channel():
    speck = np.full((3, SIDE, SIDE, 3), 100, dtype=np.uint8)
    speck[0, 0, 0], speck[0, 0, 1] = 55, 145  # the least deviation for its range: 45 sqrt 2 / 32
    speck[1, :, ::2, 1] += 5
    speck[2, 0, :8] = 0
    expected = speck.std(axis=(1, 2)).max(axis=1) < FLAT
    assert flat(speck).tolist() == expected.tolist() == [True, False, False]


def test_hashes_are_those_of_the_library():
    import imagehash

    textures = np.stack([np.asarray(texture().resize((SIDE, SIDE))) for _ in range(20)])
    stripes = np.zeros((SIDE, SIDE, SIDE, 3), dtype=np.uint8)
    for i in range(SIDE):
        stripes[i, :, :i] = 8 * i  # the first is plain
    for thumbs in (textures, stripes, stripes[..., :1]):
        bits = np.unpackbits(perceptual_hashes(thumbs).view(np.uint8)).astype(bool).reshape(-1, 64)
        for thumb, own in zip(thumbs, bits, strict=True):
            image = Image.fromarray(thumb[..., 0] if thumb.shape[2] == 1 else thumb)
            assert (own == imagehash.phash(image).hash.ravel()).all()


def test_progress_counts_every_image(planted: Dataset):
    done: list[int] = []
    data_facts(planted, done.append)
    assert sum(done) == 152 + 160


@pytest.mark.parametrize(
    ("n", "size"), [(500, 100), (10_000, 2000), (12_000, 2000), (30_000, 3000)]
)
def test_size_of_the_heldout_part(n: int, size: int):
    labels = RNG.integers(0, 10, n)
    fit, held = heldout_indices(labels, np.arange(n), seed=0)
    assert len(held) == size
    assert (np.sort(np.concatenate([fit, held])) == np.arange(n)).all()
    assert np.abs(np.bincount(labels[held]) - np.bincount(labels) * size / n).max() <= 1


def test_heldout_part_keeps_groups_whole_and_obeys_its_seed():
    labels, groups = RNG.integers(0, 4, 1000), RNG.integers(0, 400, 1000)
    fit, held = heldout_indices(labels, groups, seed=1)
    assert not set(groups[fit]) & set(groups[held])
    assert 190 <= len(held) <= 200
    assert (heldout_indices(labels, groups, seed=1)[1] == held).all()
    assert not np.array_equal(heldout_indices(labels, groups, seed=2)[1], held)


def test_heldout_part_leaves_rare_classes_on_both_sides():
    labels = np.array([0] * 995 + [1] * 5)
    fit, held = heldout_indices(labels, np.arange(1000), seed=0)
    assert set(labels[fit]) == set(labels[held]) == {0, 1}


def test_subset_is_stratified():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    assert np.bincount(labels[subset(labels, 100, seed=0)]).tolist() == [60, 30, 10]
    assert len(np.unique(subset(labels, 997, seed=0))) == 997
    assert len(subset(labels, 5000, seed=0)) == 1000


def of_pictures(make, n_train, n_eval):
    """Facts of pictures that are drawn one by one, all independent."""
    splits = [array_split(name, np.stack([make() for _ in range(n)]), np.arange(n) % 2,
                          [f"{i}.png" for i in range(n)])
              for name, n in (("train", n_train), ("eval", n_eval))]  # fmt: skip
    train, evaluation = (known_with_thumbs(split, 1, lambda _: None) for split in splits)
    return facts_of(Known(train.labels, train.prints), evaluation, 2)


def test_pictures_that_resemble_nothing_are_no_fault():
    rng = np.random.default_rng(0)
    found = of_pictures(lambda: rng.integers(0, 256, (32, 32), dtype=np.uint8), 20, 1)
    assert found.near_leaks == ()


def test_simple_shapes_that_differ_are_no_moved_copies():
    rng = np.random.default_rng(0)

    def rectangle():
        picture = np.zeros((28, 28), dtype=np.uint8)
        (y, x), (height, width) = rng.integers(3, 20, 2), rng.integers(2, 9, 2)
        picture[y : y + height, x : x + width] = 255
        return picture

    assert len(of_pictures(rectangle, 600, 200).near_leaks) <= 10  # equal ones; 5 % would gate
