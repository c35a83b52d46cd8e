"""Posts labelled by their relation to their image: whether the image adds to what the text says.

The published layout is that of Vempala and Preotiuc-Pietro (ACL 2019), 4,471 tweets: a CSV file with the columns
``tweet_id``, ``tweet`` and ``image_adds`` among others, in which quotes are escaped by a backslash. JSONL holds the
same under names of our own. The texts have no entities; every word is tagged O.

RpBERT (Sun et al. 2021) cuts one address of an image off the end of a text (data/loader.py), its older code the last
word whatever it is. Here no word is left out, as none is from the posts of NER.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any

from ita.data.records import Post, check_lengths, decode_lines, image_of_record, json_records, malformed, text_or_none

LABELS = ("related", "image_adds")
"""Names of the label; the first that is there counts."""
TEXTS = ("text", "tweet")
IDS = ("id", "post_id", "tweet_id")
TRUTH = {"0": False, "1": True, "false": False, "true": True}
PUBLISHED_IMAGE = "T{}"
"""Name of a tweet's image, without suffix, in the authors' folder; where the file names none."""


def read_relations(content: bytes, file_name: str) -> Iterator[Post]:
    """Posts of a CSV or JSONL file; which of the two its first character tells."""
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    records = json_records if text.startswith(b"{") else csv_records
    for line, record in records(content, file_name):
        yield relation_post(record, file_name, line)


def csv_records(content: bytes, file_name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and columns of each row; quotes within a text are escaped by a backslash or doubled."""
    lines = (line + "\n" for line in decode_lines(content, file_name))
    rows = csv.reader(lines, escapechar="\\", strict=True)
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise malformed(file_name, line, "a row of a CSV file", str(error)) from None
        if row is None:
            return
        if not row:
            continue
        if header is None:
            header = checked_header(row, file_name, line)
        elif len(row) != len(header):
            raise malformed(file_name, line, f"{len(header)} columns as in the header", str(len(row)))
        else:
            yield line, dict(zip(header, row, strict=True))


def checked_header(header: list[str], file_name: str, line: int) -> list[str]:
    """The header.

    Raises:
        UserError: when it lacks a column; the list of ids and labels that is open to all has no texts.
    """
    for names, hint in ((TEXTS, "; the texts are given out by the authors of the data"), (LABELS, "")):
        if not set(names) & set(header):
            raise malformed(file_name, line, f"a column {' or '.join(names)}", f"{', '.join(header)}{hint}")
    return header


def relation_post(record: Any, file_name: str, line: int) -> Post:
    """A post from its columns or keys: a text or ``tokens``, a label, and optionally an image and an id."""
    if not isinstance(record, dict):
        raise malformed(file_name, line, "an object with 'text' and 'related'", type(record).__name__)
    tokens = record.get("tokens")
    if tokens is None:
        text = first_of(record, TEXTS)
        if not isinstance(text, str):
            raise malformed(file_name, line, "'text' to be a string", f"{text!r:.80}")
        tokens = text.split()
    if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
        raise malformed(file_name, line, "'tokens' to be a list of non-empty strings", f"{tokens!r:.80}")
    tags = ["O"] * len(tokens)
    check_lengths(tokens, tags, file_name, line)
    label = first_of(record, LABELS)
    related = TRUTH.get(str(label).strip().lower())
    if related is None:
        raise malformed(file_name, line, f"{' or '.join(LABELS)} to be 0 or 1, or true or false", f"{label!r:.80}")
    image_id, image_url = image_of_record(record)
    if image_id is None and record.get("tweet_id"):
        image_id = PUBLISHED_IMAGE.format(record["tweet_id"])
    post_id = text_or_none(first_of(record, IDS))
    return Post(tokens, tags, image_id, image_url, post_id, related=related)


def first_of(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value under the first of some names that is there; None where none is."""
    return next((record[name] for name in names if name in record), None)
