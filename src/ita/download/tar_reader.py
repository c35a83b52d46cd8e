"""Members of a tar archive, one after another, in memory that does not grow with their number or their headers.

Of the headers there are read: ustar, GNU (long names, sizes in base 256) and PAX (path and size).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, NamedTuple

from ita.download.decompression import Damaged, Decompressed
from ita.log import log

BLOCK = 512
MAX_HEADER = 1_048_576
"""Bytes of a long name or of a PAX header; larger ones are damage or an attack."""
REGULAR = (b"0", b"\0", b"7")
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x5d\0\0": "xz"}
"""First bytes of a file -> how it is compressed."""


class Member(NamedTuple):
    """A regular file of the archive: where its data start in the unpacked archive, and their length."""

    name: str
    start: int
    size: int
    sparse: bool = False
    """Stored without its zeros, which is not read."""


class TarReader:
    """A tar archive, compressed or not.

    Args:
        file: the archive; it is closed by ``close``.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.file.seek(0)
        head = self.file.read(8)
        self.compression = next((kind for magic, kind in COMPRESSIONS.items() if head.startswith(magic)), None)
        self.length = self.file.seek(0, io.SEEK_END)
        self.complete = False
        """Whether the archive ended with its mark, and with nothing behind it."""
        self.links = 0
        """Links, which are passed over."""
        self.last: tuple[int, bytes] = (-1, b"")
        self.rewind()

    def rewind(self) -> None:
        """Starts again from the front."""
        self.file.seek(0)
        self.position = 0
        self.stream: IO[bytes] = self.file
        if self.compression:
            self.stream = io.BufferedReader(Decompressed(self.file, self.compression), 262_144)

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def check_complete(self) -> None:
        """Looks for damage that hides members: raises Damaged where the end mark is missing, or more lies behind it."""
        if self.links:
            log.warning("the archive holds %d links, which are passed over: pack the files themselves", self.links)
        if not self.complete:
            raise Damaged("its end mark is missing, and so are images: it may have been cut off")

    def is_tar(self) -> bool:
        """Whether the archive begins as one; Damaged where what is compressed cannot be read."""
        block = self.read(BLOCK)
        self.rewind()
        return len(block) == BLOCK and (_checksum_fits(block) or block[257:262] == b"ustar" or not any(block))

    def read_member(self, member: Member, limit: int) -> bytes:
        """At most so many of a member's first bytes; Damaged where there are fewer than it has, or it is sparse."""
        if member.sparse:
            raise Damaged("a sparse file, which is not read; pack it again without --sparse")
        return self.read_at(member.start, min(member.size, limit))

    def read_at(self, start: int, size: int) -> bytes:
        """So many bytes from a place; quick when places are read in their order.

        Raises:
            Damaged: where there are fewer.
        """
        if self.last[0] != start or len(self.last[1]) < size:  # two names of one file are read one after the other
            if start < self.position:
                self.rewind()
            self.skip(start - self.position)
            self.last = (start, self.read(size))
        if len(self.last[1]) < size:
            raise Damaged("it ends in the middle of a member")
        return self.last[1][:size]

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end."""
        data = self.stream.read(size)
        self.position += len(data)
        return data

    def skip(self, size: int) -> None:
        """Passes over bytes; Damaged where there are fewer."""
        if not self.compression:
            if self.position + size > self.length:
                raise Damaged("it ends in the middle of a member")
            self.position = self.file.seek(self.position + size)
        while self.compression and size > 0:
            if not (data := self.read(min(size, 262_144))):
                raise Damaged("it ends in the middle of a member")
            size -= len(data)

    def members(self) -> Iterator[Member]:
        """Regular files in their order; links, devices and sparse files are passed over.

        Raises:
            Damaged: for a header that is damaged, and for an archive that ends in the middle of a member.
        """
        self.rewind()
        self.complete, self.links = False, 0
        long_name: str | None = None
        extended: dict[str, str] = {}
        shared: dict[str, str] = {}
        zeros = 0
        while block := self.read(BLOCK):
            if not block.strip(b"\0"):
                zeros += 1
                continue
            if len(block) < BLOCK or not _checksum_fits(block):
                if zeros >= 2:
                    return  # something that is no archive lies behind the end mark
                raise Damaged(f"the header at byte {self.position - len(block)} is damaged")
            zeros = 0
            kind, size = block[156:157], _number(block[124:136])
            if kind in (b"L", b"K", b"x", b"X", b"g"):
                if size > MAX_HEADER:
                    raise Damaged(f"a header of {size} bytes, at most {MAX_HEADER}")
                content = self.read(_padded(size))[:size]
                if kind == b"L":
                    long_name = _text(content)
                elif kind == b"g":
                    shared |= _pax_values(content)
                elif kind != b"K":
                    extended = _pax_values(content)
                continue
            values = shared | extended
            size = _size(values, size)
            if kind == b"S" and block[482:483] == b"\1":
                raise Damaged("it holds a sparse file with an extended header, which is not read; pack it again")
            name = values.get("path") or long_name or _header_name(block)
            long_name, extended = None, {}
            has_data = kind not in (b"1", b"2", b"3", b"4", b"5", b"6")
            start = self.position
            sparse = kind == b"S" or "GNU.sparse.major" in values
            if (kind in REGULAR or sparse) and not name.endswith("/"):
                yield Member(values.get("GNU.sparse.name", name), start, size, sparse)
            elif kind in (b"1", b"2"):
                self.links += 1
            if has_data:
                self.skip(start + _padded(size) - self.position)
        self.complete = zeros >= 2


def _checksum_fits(block: bytes) -> bool:
    expected = _octal(block[148:156])
    unsigned = sum(block[:148]) + 256 + sum(block[156:])
    # Old programs add up signed bytes.
    return expected == unsigned or expected == unsigned - 256 * sum(byte > 127 for byte in block[:148] + block[156:])


def _octal(field: bytes) -> int | None:
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return None


def _number(field: bytes) -> int:
    """A size: octal digits, or base 256 after a byte 0x80."""
    if field[0] in (0x80, 0xFF):
        value: int | None = int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
    else:
        value = _octal(field)
    if value is None or value < 0:
        raise Damaged(f"a member's size is no number: {field!r}")
    return value


def _size(values: dict[str, str], size: int) -> int:
    try:
        size = int(values.get("size", size))
    except ValueError:
        size = -1
    if size < 0:
        raise Damaged("a member's size in a PAX header is no number")
    return size


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _header_name(block: bytes) -> str:
    name, prefix = _text(block[:100]), _text(block[345:500])
    return f"{prefix}/{name}" if prefix and block[257:263] == b"ustar\0" else name


def _pax_values(content: bytes) -> dict[str, str]:
    """Path and size of a PAX header, whose records are ``LENGTH KEY=VALUE`` and a line feed.

    Raises:
        Damaged: where they are not.
    """
    values: dict[str, str] = {}
    position = 0
    while position < len(content) and content[position] != 0:
        digits, space, _ = content[position : position + 20].partition(b" ")
        end = position + int(digits) if space and digits.isdigit() else -1
        record = content[position + len(digits) + 1 : end - 1]
        key, equals, value = record.partition(b"=")
        if not position < end <= len(content) or content[end - 1 : end] != b"\n" or not equals:
            raise Damaged("a PAX header is damaged")
        name = key.decode("utf-8", "replace")
        if name in ("path", "size", "GNU.sparse.major", "GNU.sparse.name"):
            values[name] = value.decode("utf-8", "surrogateescape")
        position = end
    return values
