"""A tiny data set with planted classes, and how a tiny audit of it is called."""

from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
TINY = {
    "images_seen": 1500,
    "stop_at_fail": "false",  # all that a report has, whatever so small a model is worth
    "transfer_images": 120,
    "transfer_seen": 240,
    "gating": 1,
    "cuts": 2,
    "seeds": 1,
    "doublings": 0,
}
KWARGS = {"channels": [8, 8, 16, 16], "stem_width": 8}
CLASSES = ("left", "right", "striped")


def picture(label, rng):
    """Left or right half bright, or stripes: 16 x 16 grey, noisy."""
    image = rng.normal(90, 30, (16, 16))
    if label == 2:
        image[::2] += 80
    else:
        image[:, 8 * label : 8 * label + 8] += 80
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def make_folder(root, per_class, classes=CLASSES, seed=0):
    """An image folder with train/ and val/."""
    rng = np.random.default_rng(seed)
    for split, count in per_class.items():
        for label, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture(label, rng).save(folder / f"{i:03d}.png")
    return root


def invoked(*words):
    """The command line for fixtures that outlive a test: what it printed and returned."""
    from click.testing import CliRunner

    from audit.cli import audit

    result = CliRunner().invoke(audit, [*map(str, words)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def refused(command, capsys, reason, *words):
    """Exit code 2, and at last one sentence that starts with the reason; all that was said."""
    assert command(*words) == 2
    said = capsys.readouterr().err.strip()
    assert said.splitlines()[-1].startswith(f"audit: {reason}"), said
    return said


def sets(changes):
    """Flags that change fields of the profile."""
    return [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


def tiny_flags(data, cache, out):
    words = ["--data", data, "--cache", cache, "--out", out, "--quick", "--threads", "2"]
    return [*words, *sets(TINY)]
