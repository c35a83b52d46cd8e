"""Local sources of images: a folder or an archive of files named by image id.

Names are looked up in an index made beforehand. Neither an image id nor the name of a member is ever used as a path.
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

from ita.download.errors import FetchError
from ita.errors import UserError
from ita.io.image_formats import IMAGE_SUFFIXES


class ImageEntry(NamedTuple):
    """A file of a folder or an archive.

    Attributes:
        name: without folders.
        key: its name in the journal.
        offset: where it lies in the source; reading in this order never goes back.
        read: returns at most so many of its first bytes.
    """

    name: str
    key: str
    offset: int
    read: Callable[[int], bytes]


def index_by_name(entries: Iterable[ImageEntry]) -> dict[str, ImageEntry]:
    """Entries by name, and by name without its image suffix where no other file has that very name.

    Of files with the same name the first counts; of ``1.jpg`` and ``1.png`` the one whose suffix comes first in
    IMAGE_SUFFIXES is the entry of ``1``.
    """
    index: dict[str, ImageEntry] = {}
    stems: list[tuple[int, str, ImageEntry]] = []
    for entry in entries:
        index.setdefault(entry.name, entry)
        stem, suffix = os.path.splitext(entry.name)
        if suffix.lower() in IMAGE_SUFFIXES:
            stems.append((IMAGE_SUFFIXES.index(suffix.lower()), stem, entry))
    for _, stem, entry in sorted(stems, key=lambda item: item[0]):
        index.setdefault(stem, entry)
    return index


@contextmanager
def open_folder(path: Path) -> Iterator[list[ImageEntry]]:
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
    yield [
        ImageEntry(name, f"folder:{name}", number, partial(read_inside, root, name))
        for number, name in enumerate(names)
    ]


def read_inside(root: Path, name: str, limit: int) -> bytes:
    """The first ``limit`` bytes of a file; a link that leads out of the folder is refused."""
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise FetchError("refused", "outside-folder", f"{name} is a link that leads out of the folder")
    with open(path, "rb") as file:
        return file.read(limit)


@contextmanager
def open_archive(path: Path) -> Iterator[list[ImageEntry]]:
    """The regular files of a zip or tar archive, compressed or not, by the last part of their names.

    Raises:
        UserError: when it is missing, of another kind, or broken.
    """
    try:
        archive, entries = open_tar_or_zip(path)
    except OSError as error:
        raise UserError(f"download.archive: {path} cannot be read: {error}") from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise UserError(f"download.archive: {path} is broken, get it again: {error}") from None
    with archive:
        yield entries


def open_tar_or_zip(path: Path) -> tuple[tarfile.TarFile | zipfile.ZipFile, list[ImageEntry]]:
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
        if member.isreg() and (name := base_name(member.name)):
            read = partial(read_member, tar.extractfile, member)
            yield ImageEntry(name, f"archive:{member.name}", member.offset, read)


def zip_entries(package: zipfile.ZipFile) -> Iterator[ImageEntry]:
    """Regular files of a zip archive."""
    for member in package.infolist():
        regular = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG) and not member.is_dir()
        if regular and (name := base_name(member.filename)):
            read = partial(read_member, package.open, member)
            yield ImageEntry(name, f"archive:{member.filename}", member.header_offset, read)


def base_name(name: str) -> str:
    """The last part of the name of a member."""
    return name.replace("\\", "/").rpartition("/")[2]


def read_member(opener: Callable[..., IO[bytes] | None], member: object, limit: int) -> bytes:
    """The first ``limit`` bytes of a member; never more, whatever size it claims."""
    file = opener(member)
    if file is None:
        raise FetchError("refused", "not-a-file", str(member))
    with file:
        return file.read(limit)
