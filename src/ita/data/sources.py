"""Files named in settings: a local path, an http(s) URL with its SHA-256, or a member of an archive."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ita.errors import UserError

MEMBER = "::"
"""Parts an archive from the member in it: ``data.zip::2017/train.txt``."""


@dataclass(frozen=True)
class Source:
    """The bytes of a file, the name to show for it, and the SHA-256 of its bytes (inside an archive: of the member)."""

    data: bytes
    name: str
    sha256: str


def read_source(source: str, expected: str | None, cache: Path, setting: str, allow_private: bool = False) -> Source:
    """Reads a file wherever it lies.

    Args:
        source: path, URL, or ``archive::member`` of either.
        expected: SHA-256 of the file, or of the archive; may be None for local files only.
        cache: folder that keeps what is fetched, by hash.
        setting: the setting that names the file, for messages.
        allow_private: allow URLs at loopback and private addresses.

    Raises:
        UserError: when the file cannot be reached, is another one than expected, or holds no such member.
    """
    outer, _, member = source.partition(MEMBER)
    if outer.startswith(("http://", "https://")):
        path = fetched(outer, expected, cache, setting, allow_private)
        data = path.read_bytes()
    else:
        try:
            data = Path(outer).read_bytes()
        except OSError as error:
            raise UserError(
                f"{outer}: cannot read it ({error.strerror}); it is named in the setting {setting}"
            ) from None
    digest = hashlib.sha256(data).hexdigest()
    if expected and digest != expected:
        raise UserError(
            f"{outer}: SHA-256 is {digest}, expected {expected} (setting {setting}); is it another version?"
        )
    if member:
        data = read_member(data, outer, member)
        digest = hashlib.sha256(data).hexdigest()
    return Source(data, source, digest)


def fetched(url: str, expected: str | None, cache: Path, setting: str, allow_private: bool) -> Path:
    """The local copy of a URL, fetched once."""
    if not expected:
        raise UserError(f"{url}: a URL needs its SHA-256 beside it, in the setting sha256 of the same section")
    path = cache / expected
    if not path.is_file():
        from ita.download.client import fetch_file

        hint = f"download the file by other means and name its path, or a mirror's URL, in {setting}"
        fetch_file(url, path, expected, hint=hint, allow_private=allow_private)
    return path


def read_member(data: bytes, archive: str, member: str) -> bytes:
    """One file out of a zip or tar archive; nothing is written anywhere.

    Raises:
        UserError: when this is no archive, or it has no such file.
    """
    names: list[str]
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            names = packed.namelist()
            if member in names:
                return packed.read(member)
    else:
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as tape:
                names = [item.name for item in tape if item.isfile()]
                file = tape.extractfile(member) if member in names else None
                if file:
                    return file.read()
        except tarfile.TarError:
            raise UserError(
                f"{archive}: expected a zip or tar archive, since '{MEMBER}{member}' names a file in it"
            ) from None
    raise UserError(f"{archive}: has no file '{member}'; it holds {', '.join(sorted(names)[:8]) or 'nothing'}")
