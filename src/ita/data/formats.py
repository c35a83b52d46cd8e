"""Formats of annotated posts: a reader for each, which takes the bytes of a file and yields posts in order."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ita.data.class_labels import names_of_features
from ita.data.conll import EOS, read_ita, read_tag, read_three_line, read_umt
from ita.data.records import (
    Layout,
    Post,
    check_lengths,
    first_key,
    id_of_record,
    image_of_record,
    json_records,
    object_of,
    renamed,
    words_of,
)
from ita.data.relations import read_relations
from ita.data.span_formats import SPAN_KEYS, read_spans
from ita.data.tags import TAG, to_iob
from ita.errors import UserError
from ita.io.text import check_header, csv_records, half_character, load_json, malformed, numbered_lines, quote

TOKENS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "labels")
"""Keys of words and tags, unless posts.columns names them; those of data sets of the hub."""
ITEM = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?[0-9]{1,9}"
PYTHON_LIST = re.compile(rf"\[\s*(?:{ITEM})(?:\s*,\s*(?:{ITEM}))*\s*\]")
"""A list as Python writes it. One without commas, as numpy writes it, would be glued together."""
BLANKS = re.compile(r"[ \t\n]+")
ARROW_STARTS = (b"ARROW1", b"\xff\xff\xff\xff")
ARROW = "an Arrow file, as the library datasets caches them; write one by Dataset.to_parquet"
STANDARD = Layout()

Reader = Callable[[bytes, str, Layout], Iterator[Post]]


def read_posts(content: bytes, file_name: str, format_name: str, layout: Layout = STANDARD) -> list[Post]:
    """Reads a file of annotated posts.

    Args:
        content: the file's bytes.
        file_name: for messages.
        format_name: a key of READERS.
        layout: columns and names of tags.

    Raises:
        UserError: for anything malformed: file and line, what was expected and what was found.
    """
    try:
        posts = list(READERS[format_name](content, file_name, layout))
    except UserError as error:
        likely = likely_format(content)
        if likely in (None, format_name) or format_name == "relation":
            raise
        raise UserError(f"{error}; the file looks like the format '{likely}' (setting posts.format)") from None
    if not posts:
        raise UserError(f"{file_name}: no posts found; expected the format '{format_name}' (setting posts.format)")
    return posts


def likely_format(content: bytes) -> str | None:
    """The format that a file looks like; None where it looks like no other."""
    if content.startswith(b"PAR1"):
        return "parquet"
    lines = [line.strip() for line in content[: 1 << 16].decode("utf-8-sig", "replace").split("\n")]
    lines = [line for line in lines if line][:20]
    if not lines:
        return None
    if lines[0][0] in "[{":
        start = "".join(lines)
        return "spans" if any(f'"{key}"' in start for key in SPAN_KEYS) and '"text"' in start else "jsonl"
    if any(line.startswith(EOS) for line in lines):
        return "ita"
    tagged = [bool(TAG.fullmatch(line.split()[-1])) and len(line.split()) > 1 for line in lines]
    if len(lines) >= 3 and all(TAG.fullmatch(tag) for tag in lines[1].split()) and len(lines[0].split()) > 1:
        return "three_line"
    if sum(tagged) * 2 > len(lines):
        return "umt"
    return "csv" if any(name in re.split("[,;\t]", lines[0]) for name in (*TOKENS, *TAGS)) else None


def read_jsonl(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """An object a line, or a list of them: ``tokens``, ``tags``, and optionally ``image`` (id or URL), ``id``."""
    for number, record in json_records(content, file_name):
        yield post_of_record(record, file_name, number, layout)


def read_csv(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """A row a post, with the columns of the JSONL format; lists as JSON or Python writes them, or between blanks."""
    for number, row in csv_records(numbered_lines(content, file_name), file_name):
        record: dict[str, Any] = dict(row)
        for key in (*TOKENS, *TAGS, *(name for name in layout.columns.values() if isinstance(name, str))):
            if key in row:
                record[key] = list_of_cell(row[key], key, file_name, number)
        yield post_of_record(record, file_name, number, layout)


def list_of_cell(cell: str, key: str, file_name: str, line: int) -> list[Any] | None:
    """The list in a cell; None where it is empty."""
    text = cell.strip(" \t\n")
    if not text.startswith("["):
        return BLANKS.split(text) if text else None
    try:
        value = load_json(text)
    except ValueError:
        value = python_list(text)
    if not isinstance(value, list):
        raise malformed(file_name, line, f"'{key}' to be a list as JSON or Python writes it", quote(text))
    return value


def python_list(text: str) -> list[Any] | None:
    """A list of strings and numbers as Python writes it; None for anything else."""
    if not PYTHON_LIST.fullmatch(text):
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return None if half_character(value) else list(value)


def read_parquet(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """A table with the columns of the JSONL format; numbers in messages count rows from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        check_header(file.schema_arrow.names, file_name, None)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        actual = ARROW if content.startswith(ARROW_STARTS) else quote(str(error))
        raise UserError(f"{file_name}: expected a Parquet file, found {actual}") from None
    if not layout.tag_names:
        layout = layout._replace(tag_names=names_of_table(file.schema_arrow.metadata, layout, file_name))
    number = 0
    try:
        for batch in file.iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield post_of_record(record, file_name, number, layout)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise malformed(file_name, number + 1, "a row that can be read", quote(str(error))) from None


def names_of_table(metadata: Mapping[bytes, bytes] | None, layout: Layout, file_name: str) -> list[str]:
    """Names of tags in what the library ``datasets`` writes into Parquet files; none where there is nothing."""
    try:
        content = load_json((metadata or {}).get(b"huggingface", b"{}").decode())
    except ValueError:
        return []
    return names_of_features(content, tag_keys(layout)) or []


def tag_keys(layout: Layout) -> tuple[str, ...]:
    """Keys that tags may stand under."""
    return keys_of(layout, "tags", TAGS)


def keys_of(layout: Layout, meaning: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    """Keys that a value may stand under: the one in the settings, or else the usual ones.

    Raises:
        UserError: for a number, as files without names of columns have.
    """
    name = layout.columns.get(meaning)
    if isinstance(name, int):
        raise UserError(f"posts.columns.{meaning}: found {name}, expected the name of a column")
    return usual if name is None else (name,)


READERS: dict[str, Reader] = {
    "umt": read_umt,
    "three_line": read_three_line,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "spans": read_spans,
    "ita": read_ita,
    "relation": read_relations,
}
"""Name of a format in the setting posts.format -> its reader."""


def post_of_record(record: Any, file_name: str, line: int, layout: Layout) -> Post:
    """A post from an object with ``tokens``, ``tags``, ``image`` (or ``image_id``, ``image_url``) and ``id``."""
    record = object_of(record, file_name, line, "'tokens' and 'tags'")
    tokens_key = first_key(record, keys_of(layout, "tokens", TOKENS), file_name, line)
    tokens = words_of(record[tokens_key], tokens_key, file_name, line)
    tags_key = first_key(record, tag_keys(layout), file_name, line)
    values = record[tags_key]
    if not isinstance(values, list) or not all(type(value) in (str, int) for value in values):
        raise malformed(file_name, line, f"'{tags_key}' to be a list of tags or their numbers", quote(values))
    tags, converted = to_iob([read_tag(tag, layout, file_name, line) for tag in values])
    check_lengths(tokens, tags, file_name, line)
    record = renamed(record, layout)
    image = image_of_record(record, file_name, line)
    return Post(tokens, tags, *image, id_of_record(record, file_name, line), converted=converted)
