"""Decompression in bounded memory, whatever the bytes claim to hold."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import IO, Any

BLOCK = 65_536
MEMORY = 256 * 1024 * 1024
"""Bytes that an LZMA decoder may take; the highest presets of common programs need 65 MB."""


class Damaged(Exception):
    """An archive, or a part of it, that is not as it was written; the message says what is wrong."""


class _Deflate:
    """A decoder of deflate with the interface of those of bz2 and lzma."""

    def __init__(self, window: int) -> None:
        self.decoder = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self.decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self.decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self.decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self.decoder.decompress(self.decoder.unconsumed_tail + data, max_length)


class _Stored:
    """No compression."""

    eof, unused_data = False, b""

    def __init__(self) -> None:
        self.rest = b""

    @property
    def needs_input(self) -> bool:
        return not self.rest

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self.rest + data
        self.rest = data[max_length:]
        return data[:max_length]


class _ZipLzma:
    """LZMA as zip files have it: version, length and properties before the data."""

    unused_data, needs_input = b"", True

    def __init__(self) -> None:
        self.head = b""
        self.decoder: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        return self.decoder is not None and self.decoder.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self.decoder is None:
            self.head += data
            if len(self.head) < 9:
                return b""
            _, size, packed, dictionary = struct.unpack_from("<HHBI", self.head)
            if size != 5 or packed >= 225:
                raise Damaged("LZMA properties make no sense")
            if dictionary > MEMORY:
                raise Damaged(f"LZMA needs {dictionary} bytes of memory, at most {MEMORY} are given")
            options = {"lc": packed % 9, "lp": packed // 9 % 5, "pb": packed // 45, "dict_size": max(dictionary, 4096)}
            filters = [{"id": lzma.FILTER_LZMA1, **options}]
            self.decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
            data, self.head = self.head[9:], b""
        result = self.decoder.decompress(data, max_length)
        self.needs_input = self.decoder.needs_input
        return result


DECODERS: dict[str, Callable[[], Any]] = {
    "stored": _Stored,
    "deflate": lambda: _Deflate(-15),
    "gzip": lambda: _Deflate(31),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MEMORY),
    "zip-lzma": _ZipLzma,
}
SEVERAL = ("gzip", "bzip2", "xz")
"""Kinds of which several may follow each other in a file; zeros may fill it up."""
ENDLESS = ("stored", "zip-lzma")
"""Kinds that do not say where they end."""


class Decompressed(io.RawIOBase):
    """What compressed bytes hold, read from front to back.

    Args:
        file: compressed bytes, at their start.
        kind: a key of DECODERS.
        length: compressed bytes; None reads to the end of the file.
    """

    def __init__(self, file: IO[bytes], kind: str, length: int | None = None) -> None:
        self.file, self.kind, self.remaining = file, kind, length
        self.decoder = DECODERS[kind]()
        self.begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises Damaged for bytes that cannot be decoded or that end too early."""
        view = memoryview(buffer).cast("B")
        try:
            data = self._next(len(view))
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the data
            raise Damaged(f"{self.kind}: {error}") from None
        view[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        while True:
            if self.decoder.eof and not self._another():
                return b""
            block = self._block() if self.decoder.needs_input else b""
            self.begun = self.begun or bool(block)
            if data := self.decoder.decompress(block, size):
                return bytes(data)
            if not block and self.decoder.needs_input and not self.decoder.eof:
                if self.begun and self.kind not in ENDLESS:
                    raise EOFError("it ends too early")
                return b""

    def _another(self) -> bool:
        """Whether another stream follows; its decoder is made."""
        rest = self.decoder.unused_data if self.kind in SEVERAL else b""
        while self.kind in SEVERAL and not (rest := rest.lstrip(b"\0")):
            if not (rest := self._block()):
                return False
        if not rest:
            return False
        self.decoder, self.begun = DECODERS[self.kind](), False
        self.file.seek(-len(rest), io.SEEK_CUR)
        return True

    def _block(self) -> bytes:
        size = BLOCK if self.remaining is None else min(BLOCK, self.remaining)
        block = self.file.read(size)
        if self.remaining is not None:
            self.remaining -= len(block)
        return block
