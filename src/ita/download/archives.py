"""Zip and tar archives: which of the two a file is, or what else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Protocol

from ita.download.decompression import Damaged
from ita.download.tar_reader import TarReader
from ita.download.zip_reader import END, LOCAL, ZipReader

OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"\x04\x22\x4d\x18": "an LZ4 file",
}
"""First bytes of archives that are not read -> their name."""


class Archive(Protocol):
    """What both readers do. Memory does not grow with the number of members or what they claim."""

    def members(self) -> Iterator[Any]:
        """Regular files in their order, with ``name`` and ``start``; raises Damaged."""

    def read_member(self, member: Any, limit: int) -> bytes:
        """At most so many of a member's first bytes; raises Damaged."""

    def check_complete(self) -> None:
        """Looks for damage that hides members; raises Damaged."""

    def close(self) -> None:
        """Closes the file."""


class NotAnArchive(Exception):
    """A file that is neither a zip nor a tar archive; the message says what it is."""


def open_tar_or_zip(file: IO[bytes]) -> Archive:
    """An archive, to be closed by the caller.

    Raises:
        Damaged: when it is broken.
        NotAnArchive: for another file.
    """
    tar = TarReader(file)
    if tar.is_tar():  # first: a tar file whose last member is a zip file looks like one of those too
        return tar
    file.seek(0)
    head = file.read(8)
    try:
        return ZipReader(file)
    except Damaged:
        if head[:4] in (LOCAL, END):
            raise
    if tar.compression:
        raise NotAnArchive(f"a {tar.compression} file that holds no tar file")
    kinds = (name for magic, name in OTHER_ARCHIVES.items() if head.startswith(magic))
    raise NotAnArchive(next(kinds, "neither a zip nor a tar file"))
