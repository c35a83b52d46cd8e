"""What is known of posts, as texts for the slots of a template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from ita.data.visual_context import split_words
from ita.io import parquet
from ita.io.files import sha256
from ita.io.image_shards import Member
from ita.knowledge.templates import Template
from ita.vision.images import list_image_files

Row = Mapping[str, Any]
BATCH = 1024
MOST_ATTRIBUTES = 3
ATTRIBUTE_THRESHOLD = 0.1
"""Of attributes in ``{objects}``; the defaults of the context stage."""


class Picture(NamedTuple):
    """An image, where it lies, and the hash of its content."""

    path: Path | Member
    sha256: str
    pixels: int | None
    """Width times height, where the table says."""


class Tables(NamedTuple):
    """Tables of the images; None of what no slot needs."""

    images: Path | None = None
    objects: Path | None = None
    captions: Path | None = None
    ocr: Path | None = None

    def present(self) -> Tables:
        """Those whose file is there already."""
        return Tables(*(path if path is not None and path.is_file() else None for path in self))


class ImageTexts:
    """What tables say of some images.

    Args:
        tables: the tables.
        image_ids: of these images.
        most_words: of a slot.
    """

    def __init__(self, tables: Tables, image_ids: set[str], most_words: int) -> None:
        self.most_words = most_words
        self.slots: dict[str, dict[str, str]] = {image_id: {} for image_id in image_ids}
        self.pictures = read_pictures(tables.images, image_ids) if tables.images else {}
        if tables.captions:
            for image_id, rows in self._rows("captions", tables.captions, ["rank", "caption"]):
                captions = [row["caption"] for row in sorted(rows, key=lambda row: row["rank"])]
                self._set(image_id, caption=captions[0], captions="; ".join(captions))
        if tables.objects:
            for image_id, rows in self._rows("objects", tables.objects, ["rank", "label", "attributes"]):
                ranked = sorted(rows, key=lambda row: row["rank"])
                self._set(image_id, objects=", ".join(dict.fromkeys(map(described, ranked))))
        if tables.ocr:
            for image_id, rows in self._rows("ocr", tables.ocr, ["text"]):
                self._set(image_id, ocr=rows[0]["text"])

    def _rows(self, name: str, path: Path, columns: list[str]) -> Iterable[tuple[str, list[dict[str, Any]]]]:
        """Image and its rows, of the images that are wanted."""
        rows = parquet.stream(name, path, BATCH, ["image_id", *columns])
        for image_id, group in groupby(rows, key=lambda row: row["image_id"]):
            if image_id in self.slots:
                yield image_id, list(group)

    def _set(self, image_id: str, **texts: str) -> None:
        cut = {name: " ".join(split_words(text, name).words[: self.most_words]) for name, text in texts.items()}
        self.slots[image_id] |= cut

    def of(self, post: Row, blank: Sequence[str] = ()) -> dict[str, str]:
        """Slot -> text of a post.

        Args:
            post: row of posts.parquet.
            blank: slots that are left empty.
        """
        texts = {"text": text_of(post), **self.slots.get(post["image_id"] or "", {})}
        if "image" not in blank and post["image_id"] in self.pictures:
            texts["image"] = " "
        return {name: text for name, text in texts.items() if name not in blank}


def read_pictures(table: Path, image_ids: set[str]) -> dict[str, Picture]:
    """Image id -> its file, of the images that are there."""
    columns = ["image_id", "sha256", "width", "height"]
    rows = {row["image_id"]: row for row in parquet.stream("images", table, BATCH, columns)}
    pictures = {}
    for file in list_image_files(table):
        if file.image_id in image_ids:
            row = rows[file.image_id]
            pixels = row["width"] * row["height"] if row["width"] and row["height"] else None
            pictures[file.image_id] = Picture(file.path, row["sha256"] or content_hash(file.path), pixels)
    return pictures


def content_hash(path: Path | Member) -> str:
    """Hash of an image whose table has none."""
    return sha256(path) if isinstance(path, Path) else path.sha256


def described(row: Row) -> str:
    """An object after its attributes."""
    attributes = [
        attribute["label"]
        for attribute in row["attributes"] or ()
        if attribute["score"] is None or attribute["score"] > ATTRIBUTE_THRESHOLD
    ]
    return " ".join([*attributes[:MOST_ATTRIBUTES], row["label"]])


def text_of(post: Row) -> str:
    """The text of a post, in one line."""
    return " ".join((post.get("text") or " ".join(post["tokens"] or ())).split())


def tables_read(template: Template, blank: Sequence[str], tables: Tables) -> Tables:
    """Those tables that a slot of the template needs."""
    slots = template.slots - set(blank)
    return Tables(
        tables.images if "image" in slots else None,
        tables.objects if "objects" in slots else None,
        tables.captions if slots & {"caption", "captions"} else None,
        tables.ocr if "ocr" in slots else None,
    )
