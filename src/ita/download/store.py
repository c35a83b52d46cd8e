"""Files of the download stage: images named by the hash of their content, and a journal of finished images."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ita.config import Download
from ita.download.verify import verify_image
from ita.io.files import atomic, sha256, told
from ita.io.image_decoder import REVISION, BadImage, decodable
from ita.io.image_formats import FORMATS
from ita.io.schemas import SCHEMAS
from ita.log import log

Row = dict[str, Any]
COLUMNS = [column.name for column in SCHEMAS["images"].columns]


def new_row(image_id: str, url: str | None = None, **values: Any) -> Row:
    """A row of images.parquet, null but for the values passed."""
    return {**dict.fromkeys(COLUMNS), "image_id": image_id, "url": url, "attempts": 0, **values}


def utc_now() -> str:
    """UTC time to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def single_line(text: str) -> str:
    """One line of at most 300 characters that can be written anywhere; the text may come from an untrusted host."""
    return " ".join(text.encode(errors="replace").decode().split())[:300]


class ImageStore:
    """Verifies bytes and stores images under the hash of their content; its methods are called from several threads.

    Args:
        folder: folder of the image files.
        root: folder of images.parquet, whose paths are relative to it.
        options: limits on bytes and pixels.
    """

    def __init__(self, folder: Path, root: Path, options: Download) -> None:
        self.folder = folder
        self.root = root
        self.options = options
        self.locks = [threading.Lock() for _ in range(256)]

    def add(self, data: bytes) -> Row:
        """The columns that say what the bytes are; they are stored if they are an image.

        Raises:
            UserError: when the disk refuses the file.
        """
        if len(data) > self.options.max_bytes:
            return {"status": "refused", "error": f"too-large: more than {self.options.max_bytes} bytes"}
        try:
            info = verify_image(data, self.options.max_pixels)
        except BadImage as error:
            return {"status": "refused", "error": single_line(f"{error.kind}: {error}")}
        digest = hashlib.sha256(data).hexdigest()
        path = self.relative_path(digest, info.format)
        with self.locks[int(digest[:2], 16)], told(self.root / path):  # two ids may bring the same bytes at a time
            self.write(self.root / path, data)
        facts = {"format": info.format, "width": info.width, "height": info.height}
        return {"status": "ok", "error": info.note, "sha256": digest, "path": path, "bytes": len(data), **facts}

    def relative_path(self, digest: str, image_format: str) -> str:
        """Path of an image, relative to images.parquet; made from its content, never from its id."""
        file = self.folder / digest[:2] / f"{digest}.{FORMATS[image_format]}"
        return Path(os.path.relpath(file, self.root)).as_posix()

    @staticmethod
    def write(path: Path, data: bytes) -> None:
        """Writes a file unless it is there and whole."""
        if not (path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data):
            with atomic(path) as part:
                part.write_bytes(data)

    def has(self, row: Row) -> bool:
        """Whether the file of an earlier run is there, whole, and within the limits of this one."""
        try:
            path = self.root / self.relative_path(row["sha256"], row["format"])
            size = path.stat().st_size
            pixels: int = row["width"] * row["height"]
            if size != row["bytes"] or sha256(path) != row["sha256"]:
                return False
        except (OSError, TypeError, KeyError, ValueError):
            return False
        return size <= self.options.max_bytes and pixels <= self.options.max_pixels


class Journal:
    """Finished images, one JSON line each; only ever appended to, so that a killed run loses nothing.

    Lines that cannot be read, such as the last one of a killed run, are skipped.

    Args:
        path: file; made if need be.
        options: the limits that refusals depend on are written with each line.
    """

    def __init__(self, path: Path, options: Download) -> None:
        self.path = path
        limits = [options.max_bytes, options.max_pixels, options.allow_networks, options.honour_robots]
        self.limits = [*limits, REVISION, *decodable()]
        self.entries: dict[str, Row] = {}

    def __enter__(self) -> Self:
        with told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.path, "a+b")
        self.file.seek(0)
        truncated = False
        damaged = 0
        for line in self.file:
            truncated = not line.endswith(b"\n")
            if (entry := parse_entry(line)) is not None:
                self.entries[entry["image_id"]] = entry
            elif not truncated and line.strip():
                damaged += 1
        if damaged:
            log.warning("%s: %d lines cannot be read; their images are fetched again", self.path, damaged)
        if truncated:
            self.file.write(b"\n")  # the next line must not be appended to it
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what a full disk has not taken; the error was told
            self.file.close()

    def row_of(self, image_id: str) -> Row | None:
        """The row that an earlier run wrote."""
        entry = self.entries.get(image_id)
        return None if entry is None else {column: entry[column] for column in COLUMNS}

    def same_limits(self, image_id: str) -> bool:
        """Whether that row was made under the limits of this run."""
        return self.entries[image_id].get("limits") == self.limits

    def add(self, row: Row, source: str | None) -> None:
        """Appends a row and where its bytes are from; the entry of an earlier run for that image is replaced."""
        entry = {**row, "source": source, "limits": self.limits}
        if self.entries.pop(row["image_id"], None) == entry:
            return
        with told(self.path):
            self.file.write(json.dumps(entry).encode() + b"\n")
            self.file.flush()


def parse_entry(line: bytes) -> Row | None:
    """A line of the journal, None if it is not one."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    valid = isinstance(entry, dict) and entry.keys() >= set(COLUMNS) and isinstance(entry["image_id"], str)
    return entry if valid else None
