"""Reading and writing the tables of ``ita.io.schemas``, which are checked when they are read.

A file carries, under the key ``ita`` of its metadata, JSON: the name of its table, and what its stage says about it
(provenance, label version, counts).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ita.errors import UserError
from ita.io.disk_errors import explain
from ita.io.files import atomic
from ita.io.schemas import SCHEMAS, arrow_schema

KEY = b"ita"
"""Key of our metadata in a file."""
CHECKSUM = b"ita.crc32"
"""Key of the checksum of our metadata and the number of rows, which no page has; files of earlier versions lack it."""


class Writer:
    """Writes a table row by row, in row groups of a fixed size, however the rows come in."""

    def __init__(self, name: str, file: pq.ParquetWriter) -> None:
        self.metadata: Mapping[str, Any] = {}
        """Anything JSON, stored with the table; may be set until the end."""
        self._name, self._file = name, file
        self._rows: list[Mapping[str, Any]] = []
        self._written = 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows: mappings from column to value; a missing column is null."""
        for row in rows:
            self._rows.append(row)
            if len(self._rows) == SCHEMAS[self._name].row_group_size:
                self._write_row_group()

    def close(self) -> None:
        """Writes the remaining rows and the metadata."""
        if self._rows:
            self._write_row_group()
        content = json.dumps({"table": self._name, **self.metadata}, sort_keys=True, ensure_ascii=False)
        self._file.add_key_value_metadata({KEY: content, CHECKSUM: _checksum(content.encode(), self._written)})

    def _write_row_group(self) -> None:
        self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._file.schema))
        self._written += len(self._rows)
        self._rows.clear()


def _checksum(content: bytes, rows: int) -> str:
    """Checksum of our metadata and the number of rows."""
    return f"{zlib.crc32(b'%d ' % rows + content):08x}"


@contextmanager
def create(name: str, path: Path) -> Iterator[Writer]:
    """A table to write to; its file appears when the block ends without an error.

    Args:
        name: a key of SCHEMAS.
        path: file to write.
    """
    with atomic(path) as part, _open_writer(name, part) as file:
        writer = Writer(name, file)
        yield writer
        writer.close()


def _open_writer(name: str, path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, arrow_schema(name), compression="zstd", write_page_checksum=True)


def write(name: str, rows: Iterable[Mapping[str, Any]], path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Writes a table atomically; arguments as of ``create`` and ``Writer``."""
    with create(name, path) as writer:
        writer.metadata = metadata or {}
        writer.add(rows)


def read(name: str, path: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads a table, or some of its columns.

    Args:
        name: a key of SCHEMAS, which the file must be a table of.
        path: file to read.
        columns: names of columns; None is all.

    Raises:
        UserError: for a file that is missing, not Parquet, another table, or of another schema.
    """
    with _open(name, path) as file:
        return file.read(columns)


def rows(name: str, path: Path) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries. Raises as ``read`` does."""
    return list(read(name, path).to_pylist())


def stream(
    name: str, path: Path, batch_size: int = 64, columns: list[str] | None = None, rows: range | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a table one after another, with few in memory at a time. Arguments and errors as of ``batches``."""
    for batch in batches(name, path, batch_size, columns, rows):
        yield from batch.to_pylist()


def batches(
    name: str, path: Path, batch_size: int, columns: list[str] | None = None, rows: range | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a table as record batches, without making Python objects of them.

    Args:
        name: a key of SCHEMAS, which the file must be a table of.
        path: file to read.
        batch_size: most rows of a batch; batches end with row groups.
        columns: names of columns, of which optional ones may be missing; None is all.
        rows: which, one after another; None is all.

    Raises:
        UserError: as ``read``.
    """
    with _open(name, path) as file:
        start = 0
        present = columns and [column for column in columns if column in file.schema_arrow.names]
        # Asked for all row groups at once, Arrow reads far ahead: to the end of most files.
        for row_group in range(file.num_row_groups):
            end = start + file.metadata.row_group(row_group).num_rows
            if rows is None or (start < rows.stop and rows.start < end):
                for batch in file.iter_batches(batch_size, row_groups=[row_group], columns=present):
                    yield from _within(batch, start, rows)
                    start += batch.num_rows
            start = end


def count(name: str, path: Path) -> int:
    """Rows of a table. Raises as ``read`` does."""
    with _open(name, path) as file:
        return int(file.metadata.num_rows)


def metadata(table: pa.Table | Path) -> dict[str, Any]:
    """The metadata of a table or its file, the name of the table under ``table``; empty for files of other origin.

    Raises:
        UserError: for a file that is no Parquet, or whose metadata are damaged.
    """
    if not isinstance(table, Path):
        return dict(json.loads((table.schema.metadata or {}).get(KEY, b"{}")))
    with _reporting_damage(table):
        return _metadata(pq.read_metadata(table))


def _metadata(footer: pq.FileMetaData) -> dict[str, Any]:
    """Our metadata in the footer of a file; ValueError where they are damaged."""
    entries = footer.metadata or {}
    content = entries.get(KEY, b"{}")
    expected = entries.get(CHECKSUM)
    rows = sum(footer.row_group(number).num_rows for number in range(footer.num_row_groups))
    if rows != footer.num_rows or (expected is not None and expected.decode() != _checksum(content, rows)):
        raise ValueError("its metadata do not fit their checksum")
    values = json.loads(content)
    if not isinstance(values, dict):
        raise ValueError("its metadata are no object")
    return values


def check(name: str, path: Path) -> None:
    """Checks that a file holds a table. Raises as ``read`` does."""
    with _open(name, path):
        pass


def _within(batch: pa.RecordBatch, start: int, rows: range | None) -> Iterator[pa.RecordBatch]:
    """The part of a batch, whose first row has the number ``start``, that is among some rows; nothing if none is."""
    if rows is None:
        yield batch
        return
    first, end = max(rows.start - start, 0), min(rows.stop - start, batch.num_rows)
    if first < end:
        yield batch.slice(first, end - first)


@contextmanager
def _reporting_damage(path: Path) -> Iterator[None]:
    """Errors of a file that is missing or damaged, as UserError."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the stage that writes it has to run first") from None
    except (pa.ArrowException, OSError, ValueError) as error:  # JSON and UTF-8 errors are ValueError
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{path}: cannot be read: {explain(error.errno)}") from None
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: not a readable Parquet file ({reason}); remove it and run its stage again, or restore a copy"
        ) from None


@contextmanager
def _open(name: str, path: Path) -> Iterator[pq.ParquetFile]:
    if not path.exists():
        raise UserError(f"{path}: no such file; the stage that writes the table '{name}' has to run first")
    # pq.read_table would import pandas.
    with _reporting_damage(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        _check(name, path, file)
        yield file


def _check(name: str, path: Path, file: pq.ParquetFile) -> None:
    table = _metadata(file.metadata).get("table", "a Parquet file of another origin")
    if table != name:
        raise UserError(f"{path}: expected the table '{name}', found '{table}'")
    expected = arrow_schema(name)
    for column in SCHEMAS[name].columns:
        if column.optional and column.name not in file.schema_arrow.names:
            expected = expected.remove(expected.get_field_index(column.name))
    if not file.schema_arrow.equals(expected):
        raise UserError(f"{path}: columns differ from the table '{name}' of this version; run its stage again")
