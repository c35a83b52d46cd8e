"""Posts as the page reads them: words, gold entities, picture, texts; those that were predicted on first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ita.data.tags import Span, spans
from ita.errors import UserError
from ita.io import parquet
from ita.log import progress
from ita.reporting.pages.sources import Table
from ita.reporting.thumbnails import QUALITY, thumbnails
from ita.significance.slices import seen_entities

SPLITS = ("test", "dev", "train")
"""In the order of the page: what is looked at first is loaded first."""
PICTURES = "pictures"
"""Folder of the thumbnails."""

Row = Mapping[str, Any]


@dataclass
class Posts:
    """Posts of a data set in the order of the page, and numbers for what their records repeat."""

    rows: Sequence[Row]
    label_version: str | None
    types: list[str] = field(default_factory=list)
    """Entity types; those that only a tagger names are added when they come."""

    @classmethod
    def read(cls, path: Path, splits: Collection[str]) -> Posts:
        """Posts of some splits.

        Raises:
            UserError: when there are none.
        """
        rows = [row for row in parquet.stream("posts", path, 1024) if row["split"] in splits]
        if not rows:
            raise UserError(f"{path}: no posts in the splits {', '.join(splits)} (report.splits)")
        order = {split: number for number, split in enumerate(SPLITS)}
        rows.sort(key=lambda row: order[row["split"]])
        types = sorted({span.type for row in rows for span in spans(row["tags"] or ())})
        return cls(rows, parquet.metadata(path).get("label_version"), types)

    def type_number(self, entity_type: str) -> int:
        """Number of an entity type."""
        if entity_type not in self.types:
            self.types.append(entity_type)
        return self.types.index(entity_type)

    def gold_records(self, posts: Sequence[Row], seen: Collection[tuple[str, str]]) -> list[list[int] | None]:
        """Gold entities of posts, four numbers each: first word, the one behind the last, type, seen in training."""
        return [
            None if post["tags"] is None else [n for span in spans(post["tags"]) for n in self._gold(post, span, seen)]
            for post in posts
        ]

    def _gold(self, post: Row, span: Span, seen: Collection[tuple[str, str]]) -> list[int]:
        surface = " ".join(post["tokens"][span.start : span.end])
        return [span.start, span.end, self.type_number(span.type), int((surface, span.type) in seen)]


def seen_in_training(path: Path) -> set[tuple[str, str]]:
    """Words and type of every entity of the training posts, whether the page shows these or not."""
    rows = [row for row in parquet.stream("posts", path, 1024) if row["split"] == "train" and row["tags"] is not None]
    return seen_entities([row["tokens"] for row in rows], [row["tags"] for row in rows])


def picture_statuses(images: Path) -> dict[str, str]:
    """Image -> ok, or why there is no picture."""
    rows = parquet.stream("images", images, 1024, ["image_id", "status", "error"])
    return {row["image_id"]: row["status"] if row["status"] == "ok" else _reason(row) for row in rows}


def _reason(row: Row) -> str:
    return f"{row['status']}: {row['error']}" if row["error"] else str(row["status"])


def write_pictures(folder: Path, posts: Sequence[Row], images: Path, side: int) -> dict[str, list[Any]]:
    """Writes thumbnails as WebP.

    Args:
        folder: of the report.
        posts: whose pictures are wanted.
        images: images.parquet.
        side: longest side in pixels; 0 makes none.

    Returns:
        Image -> file name, width and height of the image itself in pixels.
    """
    image_ids = {post["image_id"] for post in posts if post["image_id"] is not None}
    (folder / PICTURES).mkdir()
    pictures = {}
    for number, picture in enumerate(
        progress(thumbnails(image_ids, images, side), len(image_ids), "pictures", "images")
    ):
        name = f"{number}.webp"
        picture.image.save(folder / PICTURES / name, "WEBP", quality=QUALITY)
        pictures[picture.image_id] = [name, *picture.size]
    return pictures


def post_records(
    posts: Posts,
    part: Sequence[Row],
    seen: Collection[tuple[str, str]],
    pictures: Mapping[str, list[Any]],
    statuses: Mapping[str, str],
    texts: Sequence[Table],
) -> dict[str, list[Any]]:
    """Some of the posts as columns.

    Args:
        posts: all posts.
        part: rows of those that are wanted.
        seen: ``seen_in_training``.
        pictures: image -> its record.
        statuses: image -> ok, or why there is no picture.
        texts: tables of captions, OCR text and knowledge.
    """
    return {
        "id": [post["post_id"] for post in part],
        "split": [post["split"] for post in part],
        "words": [post["tokens"] for post in part],
        "gold": posts.gold_records(part, seen),
        "picture": [pictures.get(post["image_id"]) for post in part],
        "status": ["" if post["image_id"] is None else statuses.get(post["image_id"], "missing") for post in part],
        "texts": [[table.texts_of(post) for table in texts] for post in part],
    }
