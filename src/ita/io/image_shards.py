"""Shards of images: tar files whose members are images named by the hash of their content.

Whatever reads tar reads them, WebDataset too. A member is found by its first byte, without the rest of its shard. A
shard is written from front to back and never changed afterwards; of one whose writer was killed all whole members are
found.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ita.io.files import reporting_disk_errors

BLOCK = 512
"""Bytes; headers and contents begin at multiples of it."""
END = bytes(2 * BLOCK)
"""End of a tar file."""
MEMBER_NAME = re.compile(rb"(([0-9a-f]{64})\.[a-z]+)\0")


class Member(NamedTuple):
    """An image in a shard."""

    shard: Path
    offset: int
    """Its first byte."""
    size: int
    """Bytes."""
    sha256: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.shard.name}, byte {self.offset}"

    def read(self) -> bytes:
        """Its content.

        Raises:
            OSError: when the shard is missing, cut, or holds something else there.
        """
        with open(self.shard, "rb", buffering=0) as file:
            content = os.pread(file.fileno(), self.size, self.offset)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise OSError(f"{self.name}: {self.shard} is damaged, its content has another hash; run download again")
        return content


class ShardWriter:
    """Writes a shard.

    Args:
        path: file to make.
        shown: its name in messages.

    Raises:
        UserError: when the disk refuses it.
    """

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        self.path = shown or path
        self.end = 0
        """Bytes of the whole members."""
        with reporting_disk_errors(self.path):
            self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)

    def add(self, name: str, content: bytes) -> int:
        """Appends an image; returns its first byte. Raises as the constructor does; the next one takes its place."""
        header = tarfile.TarInfo(name)
        header.size = len(content)
        self._write(header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % BLOCK))
        offset = self.end + BLOCK
        self.end = offset + _padded(len(content))
        return offset

    def close(self) -> None:
        """Ends the shard, which is on the disk then. Raises as the constructor does."""
        try:
            self._write(END)
            with reporting_disk_errors(self.path):
                os.fsync(self.handle)
        finally:
            os.close(self.handle)

    def _write(self, content: bytes) -> None:
        with reporting_disk_errors(self.path):
            written = 0
            while written < len(content):
                written += os.pwrite(self.handle, memoryview(content)[written:], self.end + written)


def members(shard: Path) -> Iterator[tuple[str, Member]]:
    """The images of a shard with their names in it, up to one that is cut or no image.

    Raises:
        OSError: when it cannot be read.
    """
    with open(shard, "rb", buffering=0) as file:
        handle, position, end = file.fileno(), 0, os.fstat(file.fileno()).st_size
        while len(header := os.pread(handle, BLOCK, position)) == BLOCK:
            name, digits = MEMBER_NAME.match(header), header[124:135]
            if name is None or not digits.isdigit():
                return
            size, offset = int(digits, 8), position + BLOCK
            position = offset + _padded(size)
            if position > end:
                return
            yield name[1].decode(), Member(shard, offset, size, name[2].decode())


def _padded(size: int) -> int:
    return size + -size % BLOCK
