"""Reading one image file that nobody vouches for, and the one set of rules to make it "L" or "RGB".

- Formats by content, not by name: PNG, JPEG, WebP, BMP, GIF and TIFF; the first frame counts.
- Sizes are refused from the header, before a pixel is decoded.
- EXIF and TIFF orientation is applied. Colour profiles are ignored.
- Transparent parts are shown on white. Palettes are resolved. CMYK and YCbCr become RGB.
- 16-bit grey is scaled, never clipped: 65,535 becomes 255. 16-bit colour likewise, by Pillow.
- One channel stays one channel ("L"); everything else becomes "RGB".

Decoding happens in a process apart (`audit.data.apart`); only tests call it here.
"""

import contextlib
import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
LARGE = 8_000_000  # pixels: larger images are decoded one at a time
MAX_RATIO = 256  # long side over short side: at 224 pixels such an image takes 39 MB resized
MAX_BYTES = 512 * 2**20  # 64 megapixels of four 16-bit channels, uncompressed
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


class ImageProblemError(Exception):
    """One image cannot be used.

    Args:
        reason: "DATA_UNREADABLE" or "DATA_IMAGE_TOO_LARGE".
        detail: In our own words, to follow the file's name ("is cut short or damaged").
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


class LargeImageError(Exception):
    """An image has more than LARGE pixels, and none such was asked for."""


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Make Pillow's warning about decompression bombs an error and silence its other warnings.

    Filters are global to the process: enter once, around a pool of threads, never inside one.
    """
    Image.init()  # plug-ins register here, not in the middle of a thread
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_bytes(path: Path | str) -> bytes:
    """The content of a regular file; never blocks on a pipe or a device.

    Raises:
        ImageProblemError: If it is not a regular file, cannot be read, or exceeds MAX_BYTES.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - called 60,000 times
            raise ImageProblemError("DATA_UNREADABLE", "is not a regular file")
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:  # noqa: PTH123 - from a descriptor
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):  # swapped since the check above
                raise ImageProblemError("DATA_UNREADABLE", "is not a regular file")
            if info.st_size > MAX_BYTES:
                raise ImageProblemError("DATA_IMAGE_TOO_LARGE", "is larger than 512 MB")
            return file.read(info.st_size)
    except OSError as error:
        raise ImageProblemError("DATA_UNREADABLE", "cannot be opened") from error


def decode_bytes(raw: bytes, *, large: bool = True) -> Image.Image:
    """Decode an image file to mode "L" or "RGB" by the rules of this module.

    Args:
        raw: The whole file.
        large: Whether more than LARGE pixels are decoded.

    Raises:
        ImageProblemError: DATA_UNREADABLE or DATA_IMAGE_TOO_LARGE.
        LargeImageError: If there are more than LARGE pixels and `large` is false.
    """
    if not raw:
        raise ImageProblemError("DATA_UNREADABLE", "is empty")
    if raw.startswith(b"version https://git-lfs"):
        raise ImageProblemError("DATA_UNREADABLE", "is a Git LFS pointer, not an image")
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            refuse_size(*image.size)
            if not large and image.width * image.height > LARGE:
                raise LargeImageError
            image.load()
            _turn_upright(image)
            return _canonical(image)
    except (ImageProblemError, LargeImageError):
        raise
    except MemoryError as error:
        detail = "takes too much memory to decode"
        raise ImageProblemError("DATA_IMAGE_TOO_LARGE", detail) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageProblemError("DATA_IMAGE_TOO_LARGE", _limits()) from error
    except Exception as error:  # Pillow raises a dozen types on damaged files
        if "MAX_TEXT" in str(error):  # Pillow's limits on compressed text
            detail = "holds a comment or colour profile that unpacks to megabytes"
            raise ImageProblemError("DATA_IMAGE_TOO_LARGE", detail) from error
        known = raw.startswith(MAGIC)
        detail = "is cut short or damaged" if known else f"is none of {', '.join(FORMATS)}"
        raise ImageProblemError("DATA_UNREADABLE", detail) from error


def looks_like_image(path: Path | str) -> bool:
    """Whether a file starts like one of the formats; False if it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(handle, "rb") as file:  # noqa: PTH123 - from a descriptor
        return file.read(8).startswith(MAGIC)


def bytes_digest(raw: bytes) -> str:
    """Sha256 in hex."""
    return hashlib.sha256(raw).hexdigest()


def pixel_digest(image: Image.Image) -> str:
    """Sha256 in hex of mode, size and pixels of a decoded image."""
    head = f"{image.mode} {image.width} {image.height}\n".encode()
    return hashlib.sha256(head + image.tobytes()).hexdigest()


def _limits() -> str:
    return f"has more than {MAX_PIXELS // 10**6} megapixels or a side above {MAX_SIDE:,}"


def refuse_size(width: int, height: int) -> None:
    """Refuse images that take too much memory, by their size in pixels.

    Raises:
        ImageProblemError: DATA_IMAGE_TOO_LARGE.
    """
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageProblemError("DATA_IMAGE_TOO_LARGE", _limits())
    if max(width, height) > MAX_RATIO * min(width, height):
        detail = f"is more than {MAX_RATIO} times as long as it is wide"
        raise ImageProblemError("DATA_IMAGE_TOO_LARGE", detail)


def _turn_upright(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # a damaged EXIF block turns nothing
        ImageOps.exif_transpose(image, in_place=True)


def _canonical(image: Image.Image) -> Image.Image:
    """To "L" or "RGB"; any mode."""
    if image.mode in {"L", "RGB"} and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _from_deep(image)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        flat = Image.alpha_composite(white, clear)
        return flat.convert("L" if image.mode in {"1", "L", "LA", "La"} else "RGB")
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit grey, whatever Pillow calls it, to "L": v / 257, rounded."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65_535:
        raise ImageProblemError("DATA_UNREADABLE", "has 32-bit pixels of no stated range")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
