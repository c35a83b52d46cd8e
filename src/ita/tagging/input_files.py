"""Posts from files and streams: JSON lines, plain text, CSV, TSV, Parquet; one record after another.

A record that cannot be read is one that says why: it ends nothing, and the others keep their places.
"""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from ita.data.records import is_list, json_list
from ita.errors import UserError
from ita.io.text import BOM, LARGEST_CELL, SAMPLE, check_encoding, check_header, decode, load_any_json
from ita.tagging.posts import Record

FORMATS = ("lines", "text", "jsonl", "csv", "tsv", "parquet")
"""lines: JSON objects and plain text, as each line begins."""
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
PARQUET_ROWS = 64
"""Rows of a Parquet file in memory at a time: they may hold images."""


def format_of(path: str) -> str:
    """Format of a file by the end of its name."""
    return SUFFIXES.get(Path(path).suffix.lower(), "lines")


def read_records(source: BinaryIO, format_name: str, name: str) -> Iterator[Record]:
    """The posts of a file, or of a stream as they come.

    Args:
        source: its bytes.
        format_name: one of FORMATS.
        name: for messages.

    Raises:
        UserError: for a file that is not of this format at all.
    """
    if format_name == "parquet":
        yield from read_parquet(source, name)
    elif format_name == "jsonl" and start_of(source).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        yield from read_list(source.read(), name)
    elif format_name in ("csv", "tsv"):
        # Python's csv module needs the line ends as they are.
        yield from read_table(text_of(source, name, newline=""), "\t" if format_name == "tsv" else ",", name)
    else:
        yield from read_lines(text_of(source, name, newline=None), format_name)


def start_of(source: BinaryIO) -> bytes:
    """The first bytes of a file or stream, which stay where they are."""
    if isinstance(source, io.BytesIO):
        return source.getbuffer()[:SAMPLE].tobytes()
    return source.peek(SAMPLE)[:SAMPLE] if isinstance(source, io.BufferedReader) else b""


def text_of(source: BinaryIO, name: str, newline: str | None) -> TextIO:
    """The text of a UTF-8 file; bytes that are not UTF-8 become halves of characters, which ``parse_post`` reports."""
    start = start_of(source)
    check_encoding(start, name)
    if start.startswith(codecs.BOM_UTF8):
        source.read(len(codecs.BOM_UTF8))
    return io.TextIOWrapper(source, encoding="utf-8", errors="surrogateescape", newline=newline)


def read_lines(source: TextIO, format_name: str) -> Iterator[Record]:
    """A post a line; blank lines are skipped."""
    for number, line in enumerate(source, 1):
        line = line.rstrip("\r\n")
        if number == 1 or line.startswith(BOM + "{"):
            line = line.removeprefix(BOM)
        if not line.strip():
            continue
        if format_name == "text" or format_name == "lines" and not line.lstrip().startswith("{"):
            yield Record({"text": line}, line=number)
        else:
            yield read_json(line, number, "a JSON object" if format_name == "jsonl" else "a JSON object or plain text")


def read_list(content: bytes, name: str) -> Iterator[Record]:
    """A post an item of a JSON list, or of lines one of which begins like a list."""
    if not is_list(content):
        yield from read_lines(io.StringIO(decode(content, name), newline=None), "jsonl")
        return
    for number, values in json_list(content, name, load_any_json):
        if isinstance(values, dict):
            yield Record(values, line=number)
        else:
            yield Record({}, f"expected a JSON object, found a JSON {type(values).__name__}", number)


def read_json(line: str, number: int, expected: str) -> Record:
    """A post from a JSON object."""
    try:
        values = load_any_json(line)
    except ValueError as error:
        return Record({}, f"expected {expected}: {error}", number)
    if not isinstance(values, dict):
        return Record({}, f"expected {expected}, found a JSON {type(values).__name__}", number)
    return Record(values, line=number)


def read_table(source: TextIO, delimiter: str, name: str) -> Iterator[Record]:
    """A post a row, by the names of the columns in the first row."""
    csv.field_size_limit(min(sys.maxsize, LARGEST_CELL))
    rows = csv.reader(source, delimiter=delimiter)
    header = [cell.removeprefix(BOM).strip() for cell in next(rows, [])]
    check_columns(header, name)
    number = 0
    while True:
        number += 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Record({}, f"expected a row of {len(header)} cells: {error}", number)
            continue
        if row is None:
            return
        if not row:
            number -= 1  # a blank line
            continue
        yield record_of_row(header, row, number)


def record_of_row(header: Sequence[str], row: Sequence[str], number: int) -> Record:
    """A post from the cells of a row; an empty cell that is not the text is no value."""
    values = {
        column: cell if cell or column == "text" else None for column, cell in zip(header, row, strict=False) if column
    }
    if len(row) > len(header):
        return Record(values, f"expected {len(header)} cells, found {len(row)}", number)
    return Record(values, line=number)


def read_parquet(source: BinaryIO, name: str) -> Iterator[Record]:
    """A post a row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not source.seekable():
        source = io.BytesIO(source.read())
    try:
        with pq.ParquetFile(source) as file:
            check_columns(file.schema_arrow.names, name)
            number = 0
            for row_group in range(file.num_row_groups):
                for batch in file.iter_batches(PARQUET_ROWS, row_groups=[row_group]):
                    for values in rows_of_batch(batch):
                        number += 1
                        yield Record(values, line=number)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name}: not a readable Parquet file ({error})") from None


def rows_of_batch(batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of a record batch. A column that cannot be read as Python values as a whole is read cell by cell."""
    for index in range(batch.num_rows):
        yield {name: cell_of(column[index]) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def cell_of(value: Any) -> Any:
    """A cell as a Python value; text that is not UTF-8 with its bytes as halves of characters."""
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
    except (ValueError, OverflowError):
        return str(value)


def check_columns(columns: Sequence[str], name: str) -> None:
    """Raises UserError for a table without posts in it, or with two columns of the same name."""
    check_header(columns, name)
    if "text" not in columns and "tokens" not in columns:
        listed = ", ".join(columns[:12]) or "none"
        raise UserError(f"{name}: expected a column 'text' or 'tokens', found {listed}")


def count_records(path: Path, format_name: str) -> int | None:
    """About how many posts a file has, for a progress bar; None where that is not quickly told."""
    if format_name == "parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    if format_name in ("csv", "tsv"):
        return None
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
