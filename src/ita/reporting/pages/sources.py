"""What was read of the images and written about the posts: rows of the tables that contexts are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ita.io import parquet

ATTRIBUTES = 3
"""Most attributes of an object on a page, the most confident ones."""
BATCH = 1024
"""Rows in memory at a time."""

Row = Mapping[str, Any]
RowsOf = Mapping[str, Sequence[Row]]
"""image_id or post_id -> its rows."""


@dataclass(frozen=True)
class Table:
    """A table of objects, captions, OCR text or knowledge."""

    kind: str
    """Name of its schema: objects, captions, ocr or knowledge."""
    name: str
    """Entry of the configuration that it was made by, such as a detector."""
    path: Path

    @property
    def key(self) -> str:
        """Column that tells whose a row is."""
        return "post_id" if self.kind == "knowledge" else "image_id"

    @cached_property
    def rows(self) -> RowsOf:
        """All rows; of knowledge those that have a text."""
        grouped: dict[str, list[Row]] = {}
        for row in parquet.stream(self.kind, self.path, BATCH):
            if row.get("status", "ok") == "ok":
                grouped.setdefault(row[self.key], []).append(row)
        return grouped

    def rows_of(self, post: Row) -> Sequence[Row]:
        """Rows of a post or of its image, in the order of their ranks."""
        rows = self.rows.get(post[self.key] or "", ())
        return sorted(rows, key=lambda row: row.get("rank", 0))

    def texts_of(self, post: Row) -> list[str]:
        """Captions, OCR text or knowledge of a post; empty texts are left out."""
        column = "caption" if self.kind == "captions" else "text"
        return [row[column] for row in self.rows_of(post) if row[column].strip()]


def tables_of(files: Mapping[str, Sequence[Path]], names: Mapping[str, Sequence[str]]) -> list[Table]:
    """Tables of some kinds.

    Args:
        files: kind -> files.
        names: kind -> entry of the configuration that made each of the files.
    """
    return [
        Table(kind, name, path)
        for kind, paths in files.items()
        for name, path in zip(names.get(kind, ()), paths, strict=True)
    ]


def object_record(row: Row) -> list[Any]:
    """An object as the page reads it: label, score, box, attributes; null for what is unknown."""
    box = [row[edge] for edge in ("x1", "y1", "x2", "y2")]
    attributes = [[item["label"], per_mille(item["score"])] for item in (row["attributes"] or ())[:ATTRIBUTES]]
    return [row["label"], per_mille(row["score"]), None if None in box else [round(edge) for edge in box], attributes]


def per_mille(probability: float | None) -> int | None:
    """A probability in thousandths."""
    return None if probability is None else round(1000 * probability)


def objects_of(tables: Sequence[Table], posts: Sequence[Row]) -> Iterator[list[list[list[Any]]]]:
    """Objects of each post by each detector."""
    for post in posts:
        yield [[object_record(row) for row in table.rows_of(post)] for table in tables]
