"""Files of the download stage: images named by the hash of their content, and a journal of finished images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ita.config import Download
from ita.download.image_files import ImageFiles, ImageKey, ImageShards, SingleFiles, relative_path
from ita.download.verify import verify_image
from ita.errors import UserError
from ita.io.files import atomic, reporting_disk_errors
from ita.io.image_decoder import REVISION, BadImage, decodable
from ita.io.image_shards import ShardWriter
from ita.io.schemas import SCHEMAS
from ita.log import log

Row = dict[str, Any]
COLUMNS = [column.name for column in SCHEMAS["images"].columns]
ADDED = {column.name: None for column in SCHEMAS["images"].columns if column.optional}
"""Columns that the journals of earlier versions lack."""


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
    """Verifies bytes and keeps images under the hash of their content; its methods are called from several threads.

    Args:
        folder: where images are kept.
        root: folder of images.parquet, whose paths are relative to it.
        options: limits on bytes and pixels.
        in_shards: many images in a file, instead of each in one of its own.

    What an earlier run has kept in the other way is taken over.
    """

    def __init__(self, folder: Path, root: Path, options: Download, in_shards: bool = False) -> None:
        self.options, self.root = options, root
        self.files, self.shards = SingleFiles(folder, root), ImageShards(folder, root)
        self.kept: ImageFiles = self.shards if in_shards else self.files
        self.elsewhere: ImageFiles = self.files if in_shards else self.shards
        self.moved: list[ImageKey] = []

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
        key = ImageKey(hashlib.sha256(data).hexdigest(), info.format)
        self.kept.write(key, data)
        if self.elsewhere.has(key):
            self.moved.append(key)
        facts = {"format": info.format, "width": info.width, "height": info.height}
        place = self.kept.place(key)
        return {"status": "ok", "error": info.note, "sha256": key.sha256, **place, "bytes": len(data), **facts}

    def has(self, row: Row) -> bool:
        """Whether the image of an earlier run is there, whole, and within the limits of this one."""
        try:
            key, pixels = key_of(row), row["width"] * row["height"]
            within = row["bytes"] <= self.options.max_bytes and pixels <= self.options.max_pixels
            return within and (is_whole(key, self.kept.read(key)) or self._take_over(key))
        except (TypeError, KeyError, ValueError):
            return False

    def _take_over(self, key: ImageKey) -> bool:
        content = self.elsewhere.read(key)
        if content is None or not is_whole(key, content):
            return False
        self.kept.write(key, content)
        self.moved.append(key)
        return True

    def placed(self, row: Row) -> Row:
        """A row with the place where its image is kept by now."""
        return {**row, "offset": None, **self.kept.place(key_of(row))} if row["status"] == "ok" else row

    def pack(self, rows: Sequence[Row], path: Path) -> None:
        """Writes the images of rows into a shard, each once, and says so in the rows. Raises as ``add``."""
        offsets: dict[ImageKey, int] = {}
        with atomic(path) as part, closing(ShardWriter(part, path)) as writer:
            for row in rows:
                key = key_of(row)
                if key not in offsets:
                    content = self.kept.read(key)
                    if content is None:
                        raise UserError(f"{row['image_id']}: its image has gone; run download again")
                    offsets[key] = writer.add(key.file_name, content)
                row |= {"path": relative_path(path, self.root), "offset": offsets[key]}

    def close(self) -> None:
        """Brings everything to the disk. Raises as ``add``."""
        self.kept.close()

    def remove_moved(self) -> None:
        """Removes what was taken over, when a table says its new place."""
        for key in self.moved:
            self.elsewhere.remove(key)


def key_of(row: Row) -> ImageKey:
    """What the image of a row is kept under."""
    return ImageKey(row["sha256"], row["format"])


def is_whole(key: ImageKey, content: bytes | None) -> bool:
    """Whether content has the hash that it is kept under."""
    return content is not None and hashlib.sha256(content).hexdigest() == key.sha256


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
        with reporting_disk_errors(self.path):
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
        with reporting_disk_errors(self.path):
            self.file.write(json.dumps(entry).encode() + b"\n")
            self.file.flush()


def parse_entry(line: bytes) -> Row | None:
    """A line of the journal, None if it is not one."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if isinstance(entry, dict):
        entry = {**ADDED, **entry}
    valid = isinstance(entry, dict) and entry.keys() >= set(COLUMNS) and isinstance(entry["image_id"], str)
    return entry if valid else None
