"""Members of a zip archive, one after another, in memory that grows neither with their number nor with their size."""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from ita.download.decompression import Damaged, Decompressed

END, END_64, LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
DIRECTORY, LOCAL = b"PK\1\2", b"PK\3\4"
METHODS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "zip-lzma"}
METHOD_NAMES = {9: "deflate64", 93: "Zstandard", 95: "xz", 98: "PPMd", 99: "AES encryption"}
ENCRYPTED, UTF_8 = 0x1, 0x800


class ZipMember(NamedTuple):
    """A regular file of the archive, as the directory at its end describes it."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    """Bytes in the archive."""
    size: int
    """Bytes unpacked."""
    start: int
    """Where its local header is."""


class ZipReader:
    """A zip archive.

    Args:
        file: the archive; it is closed by ``close``.

    Raises:
        Damaged: when its directory cannot be found.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.count, self.directory_size, self.directory, self.shift = self._find_directory()

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def _find_directory(self) -> tuple[int, int, int, int]:
        """Members, size and place of the directory, and how many bytes lie before the archive."""
        length = self.file.seek(0, io.SEEK_END)
        tail_start = max(0, length - 65_557)
        self.file.seek(tail_start)
        tail = self.file.read()
        position = tail.rfind(END)
        if position < 0 or len(tail) < position + 22:
            raise Damaged("its end is missing")
        count, size, offset = struct.unpack_from("<HII", tail, position + 10)
        end = tail_start + position
        if count == 0xFFFF or 0xFFFFFFFF in (size, offset):
            self.file.seek(max(0, end - 20))
            locator = self.file.read(20)
            if locator[:4] == LOCATOR_64:
                self.file.seek(struct.unpack_from("<Q", locator, 8)[0])
                record = self.file.read(56)
                if len(record) < 56 or record[:4] != END_64:
                    raise Damaged("its end (zip64) is damaged")
                count, size, offset = struct.unpack_from("<QQQ", record, 32)
                end -= 76
        shift = end - size - offset
        if shift < 0 or offset + shift + size > length:
            raise Damaged("its directory is not where its end says")
        return count, size, offset + shift, shift

    def members(self) -> Iterator[ZipMember]:
        """Regular files in the order of the directory.

        Raises:
            Damaged: when the directory is damaged.
        """
        position, end = self.directory, self.directory + self.directory_size
        for number in range(self.count):
            self.file.seek(position)
            header = self.file.read(46)
            if len(header) < 46 or header[:4] != DIRECTORY:
                raise Damaged(f"entry {number + 1} of its directory is damaged")
            flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length = struct.unpack_from(
                "<HHHHIIIHHH", header, 8
            )
            attributes, offset = struct.unpack_from("<II", header, 38)
            name = self.file.read(name_length)
            size, packed, offset = _zip64(self.file.read(extra_length), size, packed, offset)
            position += 46 + name_length + extra_length + comment_length
            if position > end:
                raise Damaged(f"entry {number + 1} of its directory is damaged")
            if stat.S_IFMT(attributes >> 16) in (0, stat.S_IFREG) and not name.endswith((b"/", b"\\")):
                yield ZipMember(_name(name, flags), flags, method, crc, packed, size, offset + self.shift)
        if position != end:
            raise Damaged("its directory has another length than its end says")

    def check_complete(self) -> None:
        """Looks for damage that hides members: the directory and a member itself do not agree on its name.

        Raises:
            Damaged: saying where.
        """
        for member in self.members():
            self.file.seek(member.start)
            header = self.file.read(30)
            if len(header) < 30 or header[:4] != LOCAL:
                raise Damaged(f"the header of {member.name!r:.80} is damaged")
            name = _name(self.file.read(struct.unpack_from("<H", header, 26)[0]), member.flags)
            if name != member.name:
                raise Damaged(f"a member is named {member.name!r:.80} in the directory, and {name!r:.80} by itself")

    def read_member(self, member: ZipMember, limit: int) -> bytes:
        """At most so many of a member's first bytes; checked where these are all.

        Raises:
            Damaged: for a member that is damaged, encrypted, or compressed in a way that is not known.
        """
        if member.flags & ENCRYPTED:
            raise Damaged("encrypted; unpack the archive with its password")
        if member.method not in METHODS:
            name = METHOD_NAMES.get(member.method, f"method {member.method}")
            raise Damaged(f"compressed by {name}, which is not read; unpack the archive")
        self.file.seek(member.start)
        header = self.file.read(30)
        if len(header) < 30 or header[:4] != LOCAL:
            raise Damaged("its local header is damaged")
        self.file.seek(sum(struct.unpack_from("<HH", header, 26)), io.SEEK_CUR)
        stream = io.BufferedReader(Decompressed(self.file, METHODS[member.method], member.packed))
        data = stream.read(limit)
        if len(data) < limit or not stream.read(1):
            if len(data) != member.size:
                raise Damaged(f"{len(data)} bytes, expected {member.size}")
            if zlib.crc32(data) != member.crc:
                raise Damaged("its checksum is another one")
        return data


def _zip64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The numbers of a directory entry; those that do not fit into 32 bits are in an extra field."""
    values = [size, packed, offset]
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if kind == 1:
            for index, value in enumerate(values):
                if value == 0xFFFFFFFF and len(field) >= 8:
                    values[index] = struct.unpack_from("<Q", field)[0]
                    field = field[8:]
        position += 4 + length
    return values[0], values[1], values[2]


def _name(name: bytes, flags: int) -> str:
    """Text of a name; Macs write UTF-8 without saying so."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("utf-8", "replace") if flags & UTF_8 else name.decode("cp437")
