"""Where the download stage keeps images, named by the hash of their content: each as a file, or many in a shard."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ita.io.files import atomic, reporting_disk_errors
from ita.io.image_formats import FORMATS
from ita.io.image_shards import Member, ShardWriter, members
from ita.log import log

SHARD_BYTES = 256 * 2**20
"""A shard that has so many bytes is followed by the next one."""
SHARDS = "[0-9]" * 6 + ".tar"


class ImageKey(NamedTuple):
    """What an image is kept under."""

    sha256: str
    format: str

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"{self.sha256}.{FORMATS[self.format]}"


class ImageFiles(Protocol):
    """Keeps images; its methods are called from several threads."""

    def write(self, key: ImageKey, content: bytes) -> None:
        """Keeps an image unless it is there and whole. Raises UserError when the disk refuses it."""

    def has(self, key: ImageKey) -> bool:
        """Whether there is such an image, whole or not."""

    def read(self, key: ImageKey) -> bytes | None:
        """Content of an image; None where there is none."""

    def place(self, key: ImageKey) -> dict[str, Any]:
        """The columns of images.parquet that say where it is."""

    def remove(self, key: ImageKey) -> None:
        """Removes an image that is kept elsewhere now."""

    def close(self) -> None:
        """Brings everything to the disk. Raises as ``write``."""


class SingleFiles:
    """Each image is a file.

    Args:
        folder: of the files.
        root: folder that paths are relative to.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.locks = [threading.Lock() for _ in range(256)]

    def path(self, key: ImageKey) -> Path:
        """File of an image; made from its content, never from its id."""
        return self.folder / key.sha256[:2] / key.file_name

    def write(self, key: ImageKey, content: bytes) -> None:
        """As the protocol says."""
        path = self.path(key)
        with (
            self.locks[int(key.sha256[:2], 16)],
            reporting_disk_errors(path),
        ):  # two ids may bring the same bytes at a time
            if self.read(key) != content:
                with atomic(path) as part:
                    part.write_bytes(content)

    def has(self, key: ImageKey) -> bool:
        """As the protocol says."""
        return self.path(key).exists()

    def read(self, key: ImageKey) -> bytes | None:
        """As the protocol says."""
        try:
            return self.path(key).read_bytes()
        except OSError:
            return None

    def place(self, key: ImageKey) -> dict[str, Any]:
        """As the protocol says."""
        return {"path": relative_path(self.path(key), self.root)}

    def remove(self, key: ImageKey) -> None:
        """As the protocol says."""
        path = self.path(key)
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()

    def close(self) -> None:
        """As the protocol says: every file was whole before it had its name."""


class ImageShards:
    """Images in shards, in the order in which they come; every run begins shards of its own.

    Args:
        folder: of the shards.
        root: folder that paths are relative to.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.lock = threading.Lock()
        self.writer: ShardWriter | None = None
        self.number = 0

    @cached_property
    def index(self) -> dict[bytes, tuple[int, int, int]]:
        """Hash of each image -> number of its shard, first byte, bytes."""
        self.index = {}
        for shard in self.shards():
            self.number = int(shard.stem)
            self._list(shard)
        return self.index

    def _list(self, shard: Path) -> None:
        for _, member in members(shard):
            self.index[bytes.fromhex(member.sha256)] = (self.number, member.offset, member.size)

    def shards(self) -> list[Path]:
        """Those that are there, in their order."""
        return sorted(self.folder.glob(SHARDS))

    def shard(self, number: int) -> Path:
        """Path of a shard."""
        return self.folder / f"{number:06d}.tar"

    def member(self, sha256: str) -> Member | None:
        """Where an image is."""
        entry = self.index.get(bytes.fromhex(sha256))
        return entry and Member(self.shard(entry[0]), *entry[1:], sha256)

    def write(self, key: ImageKey, content: bytes) -> None:
        """As the protocol says."""
        with self.lock:
            if _content(self.member(key.sha256)) is None:
                self._append(key.sha256, key.file_name, content)

    def _append(self, sha256: str, name: str, content: bytes) -> None:
        if self.writer is None or self.writer.end > SHARD_BYTES:
            self.close()
            with reporting_disk_errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            self.writer = ShardWriter(self._next())
        self.index[bytes.fromhex(sha256)] = (self.number, self.writer.add(name, content), len(content))

    def _next(self) -> Path:
        self.number += 1
        return self.shard(self.number)

    def has(self, key: ImageKey) -> bool:
        """As the protocol says."""
        with self.lock:
            return bytes.fromhex(key.sha256) in self.index

    def read(self, key: ImageKey) -> bytes | None:
        """As the protocol says; of an image that is damaged None."""
        with self.lock:
            return _content(self.member(key.sha256))

    def place(self, key: ImageKey) -> dict[str, Any]:
        """As the protocol says."""
        member = self.member(key.sha256)
        if member is None:
            raise KeyError(key.sha256)
        return {"path": relative_path(member.shard, self.root), "offset": member.offset}

    def remove(self, key: ImageKey) -> None:
        """Nothing: shards do not change. What is there twice costs room until they are removed by hand."""

    def close(self) -> None:
        """As the protocol says."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()

    def replace(self, shards: Sequence[Path]) -> None:
        """Takes shards in place of its own ones, as links to the same bytes; what only its own ones have is kept.

        Where the file system makes no links, its own ones stay.
        """
        old, index = self.shards(), self.index
        self.index = {}
        try:
            for shard in shards:
                os.link(shard, self._next())
                self._list(self.shard(self.number))
        except OSError as error:
            log.info("download: the images are on the disk twice: no links can be made (%s)", error)
            self.index = index
            return
        for name, member in (item for shard in old for item in members(shard)):
            if bytes.fromhex(member.sha256) not in self.index and (content := _content(member)) is not None:
                self._append(member.sha256, name, content)
        self.close()
        for shard in old:
            shard.unlink()


def _content(member: Member | None) -> bytes | None:
    """Content of an image; None without one, or if it is damaged."""
    try:
        return member and member.read()
    except OSError as error:
        log.warning("%s", error)
        return None


def relative_path(path: Path, root: Path) -> str:
    """A path as images.parquet has it."""
    return Path(os.path.relpath(path, root)).as_posix()
