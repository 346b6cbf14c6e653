"""Zip archives that nobody vouches for: read only where every reader would read the same.

The central directory and each record's own header must agree on name, size and kind, no two
records may overlap, nothing may stand before, behind or twice, and every CRC must be right (torch
checks none). Standard library only.

Format: APPNOTE.TXT, PKWARE, section 4.
"""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO

from audit.model.files.descriptions import Storage
from audit.model.files.errors import corrupt, unreadable, unsafe

MOST_RECORDS = 100_000
MAX_INFLATION = 2**30  # bytes that a compressed archive may unpack to beyond 4 times its size
CHUNK = 2**20
LOCAL = struct.Struct("<4s5H3L2H")  # a record's own header
ZIP64 = 2**32 - 1  # stands for a size that is given elsewhere
END = 22  # bytes of an empty "end of central directory"
LARGE = struct.Struct("<4sQ2H2L4Q")  # that of an archive of any size, a locator behind it
LOCATOR = 20  # bytes
HAS_DESCRIPTOR = 0x8  # sizes and CRC stand behind the data, not in the record's own header
ALLOWED_FLAGS = 0x080E  # that, UTF-8 names, and how hard it was compressed


class ArchiveRange(io.RawIOBase):
    """A part of a file, as a file.

    Args:
        file: Opened for reading.
        start: Position of the part's first byte.
        size: Size of the part in bytes.
    """

    def __init__(self, file: IO[bytes], start: int, size: int):
        self.file = file
        self.start = start
        self.size = size
        self.at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place of the part."""
        self.at = max(0, offset + (0, self.at, self.size)[whence])
        return self.at

    def tell(self) -> int:
        """Where it stands."""
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, as far as the part goes."""
        self.file.seek(self.start + self.at)
        data = self.file.read(max(0, min(len(buffer), self.size - self.at)))
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


@dataclass(frozen=True)
class ArchiveEntry:
    """One file of an archive.

    Attributes:
        name: Name below the archive's top folder.
        start: Position of its first byte in the archive.
        size: Size in bytes, unpacked.
        packed: Whether it is compressed.
        info: Entry of the standard library's table.
    """

    name: str
    start: int
    size: int
    packed: bool
    info: zipfile.ZipInfo


class Unpacked:
    """The place for what was compressed in an archive.

    Args:
        file: Opened for writing.
    """

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.places: dict[int, Storage] = {}

    def put(self, archive: "Archive", record: ArchiveEntry) -> Storage:
        """Unpack a record, once."""
        if record.start not in self.places:
            start = self.file.seek(0, 2)
            with archive.zip.open(record.info) as packed:
                while data := packed.read(CHUNK):
                    self.file.write(data)
            self.file.flush()
            self.places[record.start] = Storage("unpacked", start, record.size)
        return self.places[record.start]


class Archive:
    """A zip archive, checked whole.

    Args:
        file: The whole file.
        unpacked: Takes what is compressed.
        start: Position of the archive in the file.
        size: Size of the archive in bytes.

    Raises:
        CheckpointError: MODEL_UNREADABLE, MODEL_CORRUPT or MODEL_UNSAFE.
    """

    def __init__(self, file: IO[bytes], unpacked: Unpacked, start: int, size: int):
        self.whole = file
        self.start = start
        self.unpacked = unpacked
        self.file = io.BufferedReader(ArchiveRange(file, start, size))
        try:
            self.zip = zipfile.ZipFile(self.file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error):
            if zipfile.is_zipfile(self.file):
                raise corrupt("its zip directory contradicts itself") from None
            raise unreadable("is cut short", "Copy or download it again") from None
        infos = self.zip.infolist()
        _check_names([info.orig_filename for info in infos])
        _check_sizes(infos, size)
        self.records = _located(infos, self.file, self.zip.start_dir)
        self._check_ends(size)
        self._check_values()

    def read(self, name: str, most: int) -> bytes:
        """The content of a record that is small.

        Raises:
            CheckpointError: MODEL_CORRUPT if there is none or it is larger than `most` bytes.
        """
        record = self.records.get(name)
        if record is None:
            raise corrupt("{} is missing in it", name)
        if record.size > most:
            raise corrupt(f"{{}} in it is larger than {most // 2**20} MB", name)
        return self.zip.read(record.info)

    def storage(self, name: str) -> Storage:
        """Where the bytes of a record are.

        Raises:
            CheckpointError: MODEL_CORRUPT if there is none.
        """
        record = self.records.get(name)
        if record is None:
            raise corrupt("{} is missing in it", name)
        if record.packed:
            return self.unpacked.put(self, record)
        return Storage("file", self.start + record.start, record.size)

    def _check_ends(self, size: int) -> None:
        """Nothing stands before the first record or behind the directory."""
        first = min((info.header_offset for info in self.zip.infolist()), default=0)
        self.file.seek(size - END)
        last = self.file.read(END)
        if first or self.zip.comment or not last.startswith(b"PK\x05\x06"):
            raise unsafe("is two files in one (a zip archive beside other bytes)")
        count, _, place = struct.unpack_from("<H2L", last, 10)
        if place == ZIP64:
            self.file.seek(size - END - LARGE.size - LOCATOR)
            count, _, place = LARGE.unpack(self.file.read(LARGE.size))[-3:]
        if (count, place) != (len(self.zip.infolist()), self.zip.start_dir):
            raise unsafe("has a directory that begins in two places")

    def _check_values(self) -> None:
        """Every CRC is right."""
        for record in self.records.values():
            try:
                with self.zip.open(record.info) as opened:
                    while opened.read(CHUNK):
                        pass
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
                raise corrupt("the checksum of {} is wrong", record.name) from None


def _check_names(names: list[str]) -> None:
    if len(names) > MOST_RECORDS:
        raise corrupt(f"it holds {len(names):,} records, which no checkpoint does")
    if any(n.startswith(("/", "\\")) or ".." in n.replace("\\", "/").split("/") for n in names):
        raise unsafe("holds records that point outside it")
    pickles = [n for n in names if n.endswith("data.pkl")]
    alike = len({n.lower() for n in names}) < len(names)  # torch takes no account of capitals
    if any("\0" in n for n in names) or len(pickles) > 1 or alike:
        raise unsafe("holds the same record twice")


def _check_sizes(infos: list[zipfile.ZipInfo], size: int) -> None:
    unpacked = sum(info.file_size for info in infos)
    if unpacked > 4 * size + MAX_INFLATION:
        raise corrupt(f"it declares {unpacked / 2**30:.1f} GiB in {size / 2**20:.1f} MiB")
    for info in infos:
        if info.flag_bits & ~ALLOWED_FLAGS:
            raise unsafe("marks {} as encrypted or otherwise special", info.filename)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise corrupt(
                "{} in it is compressed in a way that torch does not write", info.filename
            )
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise unsafe("gives two sizes for {}", info.filename)


def _located(infos: list[zipfile.ZipInfo], file: IO[bytes], end: int) -> dict[str, ArchiveEntry]:
    """Find where each record's bytes begin, and hold its own header against the directory."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    limits = [info.header_offset for info in ordered[1:]] + [end]
    top = _top([info.filename for info in infos])
    found = {}
    for info, limit in zip(ordered, limits, strict=True):
        file.seek(info.header_offset)
        head = file.read(LOCAL.size)
        if len(head) < LOCAL.size:
            raise corrupt("its zip directory points behind its end")
        magic, _, flags, method, _, _, crc, packed, size, name_bytes, more = LOCAL.unpack(head)
        same = (magic, flags, method) == (b"PK\x03\x04", info.flag_bits, info.compress_type)
        told = flags & HAS_DESCRIPTOR or ZIP64 in (packed, size)
        same &= bool(told) or (crc, packed, size) == (info.CRC, info.compress_size, info.file_size)
        if not same or file.read(name_bytes) != info.orig_filename.encode(
            _coding(flags), "replace"
        ):
            raise unsafe("describes {} in two ways", info.filename)
        start = info.header_offset + LOCAL.size + name_bytes + more
        if start + info.compress_size > limit:
            raise unsafe("holds records that overlap")
        inflate = info.compress_type != zipfile.ZIP_STORED
        below = info.filename.removeprefix(top)
        found[below] = ArchiveEntry(below, start, info.file_size, inflate, info)
    return found


def _top(names: list[str]) -> str:
    """The folder that all records share, as torch writes them; empty if there is none."""
    tops = {name.partition("/")[0] for name in names if "/" in name}
    one = len(tops) == 1 and all("/" in name for name in names)
    return f"{tops.pop()}/" if one else ""


def _coding(flags: int) -> str:
    return "utf-8" if flags & 0x800 else "cp437"
