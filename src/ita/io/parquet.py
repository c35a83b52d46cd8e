"""Schema of every Parquet file: columns, types, units, meaning. Written into the file, checked on read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ita.errors import UserError
from ita.io.files import atomic

STRINGS = pa.list_(pa.string())
ATTRIBUTES = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))
SPANS = pa.list_(
    pa.struct([("start", pa.int32()), ("end", pa.int32()), ("type", pa.string()), ("posterior", pa.float32())])
)

Column = tuple[str, pa.DataType, str]
ROW_GROUP = {"features": 16}
"""Rows written at a time, 4096 for other tables: how rows come in does not decide where the row groups end."""

SCHEMAS: dict[str, list[Column]] = {
    "posts": [
        ("post_id", pa.string(), "unique name of the post"),
        ("split", pa.string(), "train, dev or test"),
        ("image_id", pa.string(), "name of its image; null for a post without one"),
        ("image_url", pa.string(), "address of the image where the data names one"),
        ("tokens", STRINGS, "words of the post"),
        ("tags", STRINGS, "IOB2 tag of each word, after repair"),
        ("repaired", pa.int32(), "orphan I- tags turned into B-; count"),
    ],
    "images": [
        ("image_id", pa.string(), "name of the image"),
        ("url", pa.string(), "address it was asked from; null for folders and archives"),
        ("status", pa.string(), "ok, missing, failed (may work later) or refused (will not)"),
        ("error", pa.string(), "why there is no image: class and detail"),
        ("http_status", pa.int32(), "last HTTP status"),
        ("attempts", pa.int32(), "requests made; count"),
        ("sha256", pa.string(), "hash of the bytes"),
        ("path", pa.string(), "file, relative to the folder of this table"),
        ("format", pa.string(), "JPEG, PNG, ... as found in the bytes"),
        ("width", pa.int32(), "pixels, after EXIF orientation"),
        ("height", pa.int32(), "pixels, after EXIF orientation"),
        ("bytes", pa.int64(), "size of the file in bytes"),
        ("fetched_at", pa.string(), "time of the last attempt, UTC, ISO 8601"),
    ],
    "objects": [
        ("image_id", pa.string(), "name of the image"),
        ("rank", pa.int32(), "0 is the most confident object; the order of the file where scores are missing"),
        ("label", pa.string(), "class, lower case"),
        ("score", pa.float32(), "confidence, 0 to 1; null if unknown"),
        ("x1", pa.float32(), "left edge in pixels of the upright image; null if unknown"),
        ("y1", pa.float32(), "top edge in pixels"),
        ("x2", pa.float32(), "right edge in pixels"),
        ("y2", pa.float32(), "bottom edge in pixels"),
        ("attributes", ATTRIBUTES, "attributes by falling confidence"),
    ],
    "features": [
        ("image_id", pa.string(), "name of the image"),
        ("width", pa.int32(), "pixels of the upright image"),
        ("height", pa.int32(), "pixels of the upright image"),
        (
            "regions",
            pa.int32(),
            "objects of the image, in the order of the table of objects, or cells, row by row; count",
        ),
        ("features", pa.list_(pa.float32()), "one vector per region, one after another"),
    ],
    "captions": [
        ("image_id", pa.string(), "name of the image"),
        ("rank", pa.int32(), "0 is the best beam"),
        ("caption", pa.string(), "text"),
        ("logprob", pa.float32(), "score of the beam as its search ranks it; null if unknown"),
    ],
    "ocr": [
        ("image_id", pa.string(), "name of the image"),
        ("text", pa.string(), "characters, as the reader prints them"),
        (
            "confidence",
            pa.float32(),
            "mean over words (Tesseract) or pieces of lines (PP-OCR), 0 to 1; null if unknown",
        ),
        ("engine", pa.string(), "OCR engine"),
        ("version", pa.string(), "version of the engine"),
    ],
    "contexts": [
        ("post_id", pa.string(), "name of the post"),
        ("tokens", STRINGS, "words of the visual context; separators are <EOS>"),
        ("kinds", STRINGS, "alignment each word came from: la, ga, oca, a named text, or sep for a separator"),
        ("truncated", pa.int32(), "words left out by budgets; count"),
    ],
    "predictions": [
        ("post_id", pa.string(), "name of the post"),
        ("split", pa.string(), "dev or test"),
        ("view", pa.string(), "t (text) or it (text and image text)"),
        ("tokens", STRINGS, "words of the post"),
        ("gold", STRINGS, "IOB2 tags given"),
        ("predicted", STRINGS, "IOB2 tags found"),
        ("spans", SPANS, "entities found; words start to end-1; posterior is the CRF's probability of the span"),
    ],
    "cases": [
        ("kind", pa.string(), "helped or misled"),
        ("post_id", pa.string(), "name of the post"),
        ("image_id", pa.string(), "name of its image; null for a post without one"),
        ("agreeing", pa.int32(), "seeds in which this is so; count"),
        ("seeds", pa.int32(), "seeds looked at; count"),
        ("shown_seed", pa.int32(), "the first seed in which this is so; the tags found are of it"),
        ("tokens", STRINGS, "words of the post"),
        ("gold", STRINGS, "IOB2 tags given"),
        ("text_only", STRINGS, "tags found by the text-only system"),
        ("image_text", STRINGS, "tags found by the system that reads image text"),
        ("aligned", STRINGS, "tags found by the system with cross-view alignment"),
        ("context", STRINGS, "words of the visual context"),
        ("kinds", STRINGS, "alignment each word of the context came from"),
    ],
}


def schema(name: str) -> pa.Schema:
    """Arrow schema of a table."""
    return pa.schema([pa.field(column, kind, metadata={"meaning": meaning}) for column, kind, meaning in SCHEMAS[name]])


def _described(name: str, metadata: Mapping[str, Any]) -> str:
    """Metadata as it is kept in a file, under the key ``ita``."""
    return json.dumps({"table": name, **metadata}, sort_keys=True, ensure_ascii=False)


class Writer:
    """A table in the making; rows go to the file as they come."""

    def __init__(self, name: str, file: pq.ParquetWriter) -> None:
        self.name, self.file = name, file
        self.metadata: Mapping[str, Any] = {}
        """Anything JSON, kept with the table: provenance, label version, counts; may be set until the end."""
        self._rows: list[Mapping[str, Any]] = []

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """More rows, one mapping each; a column left out is null."""
        for row in rows:
            self._rows.append(row)
            if len(self._rows) == ROW_GROUP.get(self.name, 4096):
                self._flush()

    def _flush(self) -> None:
        self.file.write_table(pa.Table.from_pylist(self._rows, schema=self.file.schema))
        self._rows.clear()

    def close(self) -> None:
        """Writes what is left."""
        if self._rows:
            self._flush()
        self.file.add_key_value_metadata({"ita": _described(self.name, self.metadata)})


@contextmanager
def create(name: str, path: Path) -> Iterator[Writer]:
    """A table that appears under its name when the block ends well.

    Args:
        name: a key of TABLES.
        path: file to write.
    """
    with atomic(path) as part, pq.ParquetWriter(part, schema(name), compression="zstd") as file:
        writer = Writer(name, file)
        yield writer
        writer.close()


def write(name: str, rows: Iterable[Mapping[str, Any]], path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Writes a table atomically; arguments as for :func:`writing` and ``Writer``."""
    with create(name, path) as out:
        out.metadata = metadata or {}
        out.add(rows)


@contextmanager
def _opened(name: str, path: Path) -> Iterator[pq.ParquetFile]:
    """A table's file, checked. Raises as ``read`` does."""
    try:
        # pq.read_table would import pandas.
        with pq.ParquetFile(path) as file:
            _check(name, path, file)
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the stage that writes the table '{name}' has to run first") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error})") from None


def _check(name: str, path: Path, file: pq.ParquetFile) -> None:
    other = metadata(path).get("table")
    if other != name:
        raise UserError(f"{path}: expected the table '{name}', found '{other or 'a Parquet file of another origin'}'")
    if not file.schema_arrow.equals(schema(name)):
        raise UserError(f"{path}: columns differ from the table '{name}' of this version; run its stage again")


def read(name: str, path: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads a table, or some columns of it, and checks that it is the one expected.

    Raises:
        UserError: for a file that is missing, not Parquet, another table, or of another schema.
    """
    with _opened(name, path) as file:
        return file.read(columns)


def stream(name: str, path: Path, rows: int = 64) -> Iterator[dict[str, Any]]:
    """The rows of a table one after another, of which only some are in memory at a time. Raises as ``read`` does."""
    for batch in batches(name, path, rows):
        yield from batch.to_pylist()


def batches(name: str, path: Path, rows: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The same, some rows at a time, all columns or some, without making Python objects of them."""
    with _opened(name, path) as file:
        # Asked for all groups at once, Arrow reads far ahead: to the end of most files.
        for group in range(file.num_row_groups):
            yield from file.iter_batches(rows, row_groups=[group], columns=columns)


def metadata(table: pa.Table | Path) -> dict[str, Any]:
    """The metadata given to ``write``, of a table or its file."""
    found = pq.read_metadata(table).metadata if isinstance(table, Path) else table.schema.metadata
    return json.loads((found or {}).get(b"ita", b"{}"))


def rows(name: str, path: Path) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries. Raises as ``read`` does."""
    return read(name, path).to_pylist()
