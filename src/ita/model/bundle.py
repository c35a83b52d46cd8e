"""The small files of a run folder as one: what training writes beside the files that rules know by name.

Where machines share no folder, they are handed on as one tar file beside the weights.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, cast

from ita.errors import UserError
from ita.io.files import atomic

NAME = "encoder.tar"
CONFIG = "config.json"


def pack(bundle: Path, named: Collection[Path]) -> None:
    """Writes the files of the bundle's folder into it, but for some and for hidden ones.

    Args:
        bundle: file to write, in the run folder.
        named: files and folders that are handed on under their own names.

    Raises:
        UserError: when the disk refuses it.
    """
    folder = bundle.parent
    left_out = {path.name for path in (*named, bundle)}
    paths = sorted(path for path in folder.iterdir() if path.name not in left_out and not path.name.startswith("."))
    with atomic(bundle) as part, tarfile.open(part, "w") as archive:
        for path in paths:
            archive.add(path, path.name)


def unpack(folder: Path) -> None:
    """Gives a run folder the files of its bundle, where it has one and lacks them.

    The configuration comes last: a folder that has it has all. Debian 12's Python has no filters in ``tarfile``.

    Raises:
        UserError: when a file of the bundle leads out of the folder, or is a link.
    """
    if not (folder / NAME).is_file() or (folder / CONFIG).exists():
        return
    with tarfile.open(folder / NAME) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        for member in sorted(members, key=lambda member: member.name == CONFIG):
            path = folder / member.name
            if not member.isreg() or not path.resolve().is_relative_to(folder.resolve()):
                raise UserError(f"{folder / NAME}: {member.name} is no file of a run folder; train the model again")
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as part, cast(IO[bytes], archive.extractfile(member)) as content:
                part.write_bytes(content.read())
