"""Images of new posts: from a path, a URL or bytes to a verified file, or to the reason why there is none.

URLs go through the guarded client of ``ita.download``: no private addresses, limits on bytes, pixels and seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ita.config import Download
from ita.download.crawler import DownloadTarget, download_all
from ita.download.store import ImageStore, Row, single_line
from ita.io.image_decoder import allow_pixels

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
READERS = 4
"""Threads that read and verify local images."""


class FetchedImage(NamedTuple):
    """What became of an image: its status as in images.parquet, and its file where that is ok."""

    status: str
    error: str | None
    path: Path | None


class ImageSources:
    """Makes files of images, in a folder that is removed when they have been read.

    Args:
        download: limits.
        folder: where relative paths start; None refuses all paths, for posts of strangers.
    """

    def __init__(self, download: Download, folder: Path | None) -> None:
        # An unreachable server is what becomes of an image, and never ends the run.
        self.download = replace(download, give_up_after=0)
        allow_pixels(download.max_pixels)
        self.folder = folder

    @contextmanager
    def open(self, sources: Sequence[str | bytes]) -> Iterator[list[FetchedImage]]:
        """What becomes of some images, in order; their files are removed when the block ends."""
        with tempfile.TemporaryDirectory(prefix="ita-images-") as name:
            yield self.fetch(sources, Path(name))

    def fetch(self, sources: Sequence[str | bytes], root: Path) -> list[FetchedImage]:
        """What becomes of images, in order; each distinct one is fetched once.

        Args:
            sources: paths, URLs and bytes.
            root: folder for their files.
        """
        store = ImageStore(root, root, self.download)
        keys = [source if isinstance(source, str) else hashlib.sha256(source).hexdigest() for source in sources]
        distinct = dict(zip(keys, sources, strict=True))
        urls = [key for key, source in distinct.items() if isinstance(source, str) and URL.match(source)]
        rows: dict[str, Row] = {}
        if urls:
            targets = [DownloadTarget(url, url) for url in urls]
            loading = download_all(
                targets, self.download, store, lambda row: rows.update({row["image_id"]: row}), set()
            )
            # In a thread of its own: a notebook has a running loop in ours.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, loading).result()
        local = {key: source for key, source in distinct.items() if key not in rows}
        with ThreadPoolExecutor(READERS) as threads:
            rows |= zip(local, threads.map(lambda source: self.add_local(source, store), local.values()), strict=True)
        return [found_image(rows[key], root) for key in keys]

    def add_local(self, source: str | bytes, store: ImageStore) -> Row:
        """The row of an image that is not on a server."""
        if isinstance(source, bytes):
            return store.add(source)
        if self.folder is None:
            return {"status": "refused", "error": "path: paths are not read here, only URLs and bytes"}
        try:
            path = self.folder / Path(source).expanduser()
            # Macs hand out names with accents apart from their letters.
            forms = (path, *(Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD")))
            with open(next((form for form in forms if form.exists()), path), "rb") as file:
                return store.add(file.read(self.download.max_bytes + 1))
        except FileNotFoundError:
            return {"status": "missing", "error": f"not-found: no such file: {source}"}
        except (OSError, ValueError, RuntimeError) as error:  # a zero byte in the path, or no such user
            return {"status": "failed", "error": f"unreadable: {source}: {error}"}


def found_image(row: Row, root: Path) -> FetchedImage:
    """What became of an image, from the columns that the store gives it."""
    error = single_line(row["error"]) if row.get("error") else None
    return FetchedImage(row["status"], error, root / row["path"] if row["status"] == "ok" else None)
