"""Images that are already here: a folder or an archive of files named by image id.

Names are looked up in a list made beforehand. Neither an image id nor the name of a member is ever used as a path.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from ita.download.address_guard import FetchError
from ita.errors import UserError
from ita.io.image_formats import IMAGE_SUFFIXES


class ImageEntry(NamedTuple):
    """A file of a source.

    Attributes:
        name: without folders.
        key: what it is called in the journal.
        order: where it lies; reading in this order never goes back.
        read: gives at most so many of its bytes.
    """

    name: str
    key: str
    order: int
    read: Callable[[int], bytes]


def lookup(entries: Iterable[ImageEntry]) -> dict[str, ImageEntry]:
    """Entries by name, and by name without its image extension where no other file has that very name.

    Of files with the same name the first counts; of ``1.jpg`` and ``1.png`` the one whose extension comes first in
    IMAGE_SUFFIXES answers to ``1``.
    """
    found: dict[str, ImageEntry] = {}
    stems: list[tuple[int, str, ImageEntry]] = []
    for entry in entries:
        found.setdefault(entry.name, entry)
        stem, suffix = os.path.splitext(entry.name)
        if suffix.lower() in IMAGE_SUFFIXES:
            stems.append((IMAGE_SUFFIXES.index(suffix.lower()), stem, entry))
    for _, stem, entry in sorted(stems, key=lambda item: item[0]):
        found.setdefault(stem, entry)
    return found


@contextmanager
def folder(path: Path) -> Iterator[list[ImageEntry]]:
    """The files of a folder, without subfolders.

    Raises:
        UserError: when it cannot be listed.
    """
    try:
        root = path.resolve()
        with os.scandir(root) as listing:
            names = sorted(item.name for item in listing if item.is_file())
    except OSError as error:
        raise UserError(f"download.folder: {path} cannot be read as a folder: {error}") from None
    yield [ImageEntry(name, f"folder:{name}", i, partial(read_inside, root, name)) for i, name in enumerate(names)]


def read_inside(root: Path, name: str, limit: int) -> bytes:
    """The first ``limit`` bytes of a file; a link that leads out of the folder is refused."""
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise FetchError("refused", "outside-folder", f"{name} is a link that leads out of the folder")
    with open(path, "rb") as file:
        return file.read(limit)


@contextmanager
def archive(path: Path) -> Iterator[list[ImageEntry]]:
    """The regular files of a zip or tar archive, compressed or not, by the last part of their names.

    Raises:
        UserError: when it is missing, of another kind, or broken.
    """
    try:
        opened, entries = open_archive(path)
    except OSError as error:
        raise UserError(f"download.archive: {path} cannot be read: {error}") from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise UserError(f"download.archive: {path} is broken, get it again: {error}") from None
    with opened:
        yield entries


def open_archive(path: Path) -> tuple[tarfile.TarFile | zipfile.ZipFile, list[ImageEntry]]:
    """The archive, open, and its files. Raises what the archive modules raise, or UserError for other files."""
    if tarfile.is_tarfile(path):  # first: a tar file whose last member is a zip file looks like one of those too
        tar = tarfile.open(path)  # noqa: SIM115 - closed by the caller
        return tar, list(tar_entries(tar))
    if zipfile.is_zipfile(path):
        package = zipfile.ZipFile(path)
        return package, list(zip_entries(package))
    raise UserError(f"download.archive: {path} is neither a zip nor a tar file")


def tar_entries(tar: tarfile.TarFile) -> Iterator[ImageEntry]:
    """Regular files of a tar archive; links and devices are passed over."""
    for member in tar.getmembers():
        if member.isreg() and (name := base(member.name)):
            yield ImageEntry(
                name, f"archive:{member.name}", member.offset, partial(read_opened, tar.extractfile, member)
            )


def zip_entries(package: zipfile.ZipFile) -> Iterator[ImageEntry]:
    """Regular files of a zip archive."""
    for member in package.infolist():
        regular = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG) and not member.is_dir()
        if regular and (name := base(member.filename)):
            key = f"archive:{member.filename}"
            yield ImageEntry(name, key, member.header_offset, partial(read_opened, package.open, member))


def base(name: str) -> str:
    """The last part of the name of a member."""
    return name.replace("\\", "/").rpartition("/")[2]


def read_opened(opener: Callable[..., IO[bytes] | None], member: object, limit: int) -> bytes:
    """The first ``limit`` bytes of a member; never more, whatever size it claims."""
    file = opener(member)
    if file is None:
        raise FetchError("refused", "not-a-file", str(member))
    with file:
        return file.read(limit)
