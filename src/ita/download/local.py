"""Local sources of images: a folder or an archive of files named by image id.

Neither an image id nor the name of a member is ever used as a path: ids are matched with the names that are there.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ita.download.archives import Archive, NotAnArchive, open_tar_or_zip
from ita.download.decompression import Damaged
from ita.download.errors import FetchError
from ita.errors import UserError
from ita.io.image_formats import composed, split_image_name, suffix_rank
from ita.log import log


class ImageEntry(NamedTuple):
    """A file of a folder or an archive."""

    folder: str
    """Folders before its name, separated by slashes; empty for a file at the top."""
    name: str
    key: str
    """Its name in the journal."""
    offset: int
    """Where it lies in the source; reading in this order never goes back."""
    read: Callable[[int], bytes]
    """Returns at most so many of its first bytes."""


Entries = dict[str, ImageEntry]
"""Image id -> its file."""


class ImagePath(NamedTuple):
    """An image id as a path."""

    folders: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    """Keys of file names that fit, the best first."""


def image_path(image_id: str) -> ImagePath | None:
    """The parts of an image id; None for one that leads out of its folder."""
    *folders, name = image_id.replace("\\", "/").removeprefix("./").split("/")
    if ".." in (*folders, name) or "" in (*folders, name) or "\0" in image_id or any(":" in part for part in folders):
        return None
    base = composed(name)
    stem, suffix = split_image_name(base)
    looser = [("stem", base)] if suffix is None else [("file", stem, suffix), ("name", stem)]
    return ImagePath(tuple(map(composed, folders)), (("raw", name), ("name", base), *looser))


def name_keys(name: str) -> list[tuple[str, ...]]:
    """Keys of a file name: as it is, with composed accents, without a size of Twitter, without suffix."""
    base = composed(name)
    stem, suffix = split_image_name(base)
    return [("raw", name), ("name", base), *([("file", stem, suffix), ("stem", stem)] if suffix else [])]


def match_entries(entries: Iterable[ImageEntry], image_ids: Collection[str], top_only: bool = False) -> Entries:
    """The file of each image id that has one; memory does not depend on the number of files.

    An id is the name of a file, with or without suffix, or a path that ends in one. Of several files a whole name goes
    before a name without suffix, more equal folders before fewer, then the suffix that comes first in IMAGE_SUFFIXES,
    then the first file.

    Args:
        entries: the files.
        image_ids: which are wanted.
        top_only: an id without folders is a file at the top; otherwise of any folder.
    """
    paths = {image_id: path for image_id in image_ids if (path := image_path(image_id)) is not None}
    wanted: dict[tuple[str, ...], list[tuple[int, str]]] = defaultdict(list)
    for image_id, path in paths.items():
        for level, key in enumerate(path.names):
            wanted[key].append((level, image_id))
    best: dict[str, tuple[tuple[int, ...], ImageEntry]] = {}
    for number, entry in enumerate(entries):
        matches = [match for key in name_keys(entry.name) for match in wanted.get(key, ())]
        folders = tuple(composed(entry.folder).split("/")) if matches and entry.folder else ()
        for level, image_id in matches:
            shared = shared_folders(paths[image_id].folders, folders, top_only)
            if shared is not None:
                score = (level, -shared, suffix_rank(entry.name), number)
                if image_id not in best or score < best[image_id][0]:
                    best[image_id] = (score, entry)
    return drop_ambiguous({image_id: entry for image_id, (_, entry) in best.items()}, paths)


def shared_folders(wanted: tuple[str, ...], folders: tuple[str, ...], top_only: bool) -> int | None:
    """How many folders before their names an id and a file share; None where these contradict each other."""
    if top_only and not wanted and folders:
        return None
    length = min(len(wanted), len(folders))
    return length if wanted[len(wanted) - length :] == folders[len(folders) - length :] else None


def drop_ambiguous(entries: Entries, paths: dict[str, ImagePath]) -> Entries:
    """Leaves out ids of different folders that would share a file which does not say its folder."""
    folders: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for image_id, entry in entries.items():
        if paths[image_id].folders:
            folders[entry.key].add(paths[image_id].folders)
    ambiguous = {key for key, ways in folders.items() if any(way != max(ways, key=len)[-len(way) :] for way in ways)}
    if ambiguous:
        log.warning("download: %d files fit ids of several folders and are left out", len(ambiguous))
    return {image_id: entry for image_id, entry in entries.items() if entry.key not in ambiguous}


@contextmanager
def open_folder(path: Path, image_ids: Collection[str]) -> Iterator[Entries]:
    """The files of images in a folder; in its subfolders those whose ids name these.

    Raises:
        UserError: when it cannot be listed.
    """
    try:
        root = path.resolve()
        names = {"/".join(image.folders[start:]) for image in map(image_path, image_ids) if image for start in range(9)}
        subfolders = [name for name in sorted(names) if name and (root / name).is_dir()]
        entries = [entry for folder in ["", *subfolders] for entry in folder_entries(root, folder)]
    except (OSError, ValueError) as error:
        raise UserError(f"download.folder: {path} cannot be read as a folder: {error}") from None
    numbered = (entry._replace(offset=number) for number, entry in enumerate(entries))
    yield match_entries(numbered, image_ids, top_only=True)


def folder_entries(root: Path, folder: str) -> Iterator[ImageEntry]:
    """The files of a folder, without its subfolders; of one that leads out of the root none."""
    path = (root / folder).resolve()
    if not path.is_relative_to(root):
        return
    with os.scandir(path) as listing:
        names = sorted(item.name for item in listing if item.is_file())
    for name in names:
        relative = f"{folder}/{name}" if folder else name
        yield ImageEntry(folder, name, f"folder:{relative}", 0, partial(read_inside, root, relative))


def read_inside(root: Path, name: str, limit: int) -> bytes:
    """The first ``limit`` bytes of a file; a link that leads out of the folder is refused."""
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise FetchError("refused", "outside-folder", f"{name} is a link that leads out of the folder")
    with open(path, "rb") as file:
        return file.read(limit)


@contextmanager
def open_archive(path: Path, image_ids: Collection[str]) -> Iterator[Entries]:
    """The files of images in a zip or tar archive, compressed or not; links and devices are passed over.

    Raises:
        UserError: when it is missing, of another kind, or broken.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            archive = stack.enter_context(closing(open_tar_or_zip(file)))
            entries = match_entries(archive_entries(archive), image_ids)
            if len(entries) < len(image_ids):
                archive.check_complete()
        except OSError as error:
            raise UserError(f"download.archive: {path} cannot be read: {error}") from None
        except Damaged as error:
            raise UserError(f"download.archive: {path} is broken, get it again: {error}") from None
        except NotAnArchive as error:
            raise UserError(
                f"download.archive: {path} is {error}; expected a zip or tar file, or unpack it and set "
                "download.source to 'folder'"
            ) from None
        yield entries


def archive_entries(archive: Archive) -> Iterator[ImageEntry]:
    """The regular files of an archive.

    Raises:
        Damaged: when their list is damaged.
    """
    for member in archive.members():
        folder, _, name = member.name.replace("\\", "/").rpartition("/")
        if not name:
            continue
        read = partial(archive.read_member, member)
        yield ImageEntry(folder.strip("/"), name, f"archive:{member.name}", member.start, read)
