"""Files named in settings: a local path, an http(s) URL with its SHA-256, or a member of an archive at either."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ita.download.archives import NotAnArchive, open_tar_or_zip
from ita.download.decompression import Damaged
from ita.errors import UserError
from ita.io.files import sha256 as sha256_of

MAX_MEMBER = 2_000_000_000
"""Bytes of a member, which is read into memory."""
SHOWN = 8
"""Names of files that a message has at most."""
MEMBER = "::"
"""Separates an archive from its member: ``data.zip::2017/train.txt``."""


@dataclass(frozen=True)
class SourceFile:
    """A file that a setting names."""

    content: bytes
    name: str
    """As in the setting."""
    sha256: str
    """Of the content; of a member of an archive, not of the archive."""


def read_source(
    location: str, expected_sha256: str | None, cache: Path, setting: str, allow_private: bool = False
) -> SourceFile:
    """Reads a file wherever it is.

    Args:
        location: path, URL, or ``archive::member`` of either.
        expected_sha256: of the file, or of the archive; may be None for local files only.
        cache: folder of downloaded files, named by their SHA-256.
        setting: the setting that names the file, for messages.
        allow_private: allow URLs at loopback and private addresses.

    Raises:
        UserError: when the file cannot be read, has another hash than expected, or is an archive without that member.
    """
    outer, _, member = location.partition(MEMBER)
    if outer.startswith(("http://", "https://")):
        content = download_once(outer, expected_sha256, cache, setting, allow_private).read_bytes()
    else:
        try:
            content = Path(outer).read_bytes()
        except OSError as error:
            raise cannot_read(outer, error, setting) from None
    sha256 = hashlib.sha256(content).hexdigest()
    check_sha256(outer, sha256, expected_sha256, setting)
    if member:
        content = read_member(content, outer, member)
        sha256 = hashlib.sha256(content).hexdigest()
    return SourceFile(content, location, sha256)


class StreamedFile(NamedTuple):
    """A file that a setting names, to be read block by block, and again."""

    open: Callable[[], BinaryIO]
    name: str
    """As in the setting."""
    sha256: str


def stream_source(
    location: str, expected_sha256: str | None, cache: Path, setting: str, allow_private: bool = False
) -> StreamedFile:
    """A file wherever it is, without reading it into memory; a member of an archive is read whole.

    Arguments and errors as of ``read_source``.
    """
    if MEMBER in location:
        source = read_source(location, expected_sha256, cache, setting, allow_private)
        return StreamedFile(lambda: io.BytesIO(source.content), source.name, source.sha256)
    path = Path(location)
    if location.startswith(("http://", "https://")):
        path = download_once(location, expected_sha256, cache, setting, allow_private)
    try:
        sha256 = sha256_of(path)
    except OSError as error:
        raise cannot_read(location, error, setting) from None
    check_sha256(location, sha256, expected_sha256, setting)
    return StreamedFile(lambda: open(path, "rb"), location, sha256)


def check_sha256(name: str, sha256: str, expected: str | None, setting: str) -> None:
    """Raises UserError for a file with another hash than expected, where one is."""
    if expected and sha256 != expected:
        raise UserError(f"{name}: SHA-256 is {sha256}, expected {expected} (setting {setting}); is it another version?")


def cannot_read(name: str, error: OSError, setting: str) -> UserError:
    """The error for a file that cannot be read."""
    return UserError(f"{name}: cannot read it ({error.strerror}); it is named in the setting {setting}")


def download_once(url: str, sha256: str | None, cache: Path, setting: str, allow_private: bool) -> Path:
    """The local copy of a URL, which is downloaded unless the cache has it.

    Raises:
        UserError: when the URL has no SHA-256 or cannot be downloaded.
    """
    if not sha256:
        raise UserError(f"{url}: a URL needs its SHA-256 beside it, in the setting sha256 of the same section")
    path = cache / sha256
    if not (path.is_file() and sha256_of(path) == sha256):  # a damaged copy is fetched again
        from ita.download.client import fetch_file  # aiohttp takes a while to import

        hint = f"download the file by other means and name its path, or a mirror's URL, in {setting}"
        fetch_file(url, path, sha256, hint=hint, allow_private=allow_private)
    return path


def read_member(content: bytes, archive: str, member: str) -> bytes:
    """One file of a zip or tar archive; nothing is extracted to disk.

    Args:
        content: bytes of the archive.
        archive: its name, for messages.
        member: path in the archive.

    Raises:
        UserError: when this is no archive, or has no such file.
    """
    data: bytes | None = None
    names: list[str] = []
    try:
        with closing(open_tar_or_zip(io.BytesIO(content))) as reader:
            for entry in reader.members():  # to the end, where checksums are
                if data is None and entry.name.removeprefix("./") == member.removeprefix("./"):
                    data = reader.read_member(entry, MAX_MEMBER + 1)
                elif len(names) < SHOWN:
                    names.append(entry.name)
            if data is None:
                reader.check_complete()
    except NotAnArchive as error:
        raise UserError(
            f"{archive}: expected a zip or tar archive, since '{MEMBER}{member}' names a file in it; found {error}"
        ) from None
    except Damaged as error:
        raise UserError(f"{archive}: is broken, get it again: {error}") from None
    if data is None:
        raise UserError(f"{archive}: has no file '{member}'; it holds {', '.join(sorted(names)) or 'nothing'}")
    if len(data) > MAX_MEMBER:
        raise UserError(f"{archive}: '{member}' unpacks to more than {MAX_MEMBER} bytes; unpack it and name its path")
    return data
