"""Pictures of the evidence, embedded: a report that is one file cannot lose them."""

import base64
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 2 * 2**20
_SMALL = 160  # pixels; below, single pixels are shown as squares

_KINDS = {  # first bytes: kind. No SVG: it may hold scripts and references.
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"RIFF": "webp",
}


@dataclass(frozen=True)
class Shown:
    """A picture ready for a page.

    Attributes:
        source: A `data:` address, or empty.
        lack: Why there is none, one sentence, or empty.
        small: Whether its pixels are worth seeing one by one.
    """

    source: str = ""
    lack: str = ""
    small: bool = False


def show(folder: Path, file: str) -> Shown:
    """Read a picture of the run folder; nothing outside the folder is ever read.

    Args:
        folder: The run folder.
        file: Path relative to it, with forward slashes; untrusted.
    """
    try:
        root = folder.resolve()
        path = (root / file).resolve()
        if not path.is_relative_to(root):
            return Shown(lack="Left out: the path leads out of the run folder.")
        if not path.is_file():
            return Shown(lack="The picture is missing from the run folder.")
        if path.stat().st_size > MOST_BYTES:
            return Shown(lack="Left out: the picture is larger than 2 MiB.")
        data = path.read_bytes()
    except (OSError, ValueError):  # unreadable, or a name that no file can have
        return Shown(lack="The picture could not be read.")
    kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "")
    if not kind:
        return Shown(lack="Left out: not a PNG, JPEG, GIF or WebP picture.")
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Shown(source, small=kind == "png" and int.from_bytes(data[16:20], "big") < _SMALL)
