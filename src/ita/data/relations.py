"""Posts labelled by their relation to their image: whether the image adds to what the text says.

The published layout is that of Vempala and Preotiuc-Pietro (ACL 2019), 4,471 tweets: a CSV file with the columns
``tweet_id``, ``tweet`` and ``image_adds`` among others, in which quotes are escaped by a backslash. JSONL holds the
same under names of our own. The texts have no entities; every word is tagged O.

RpBERT (Sun et al. 2021) cuts one address of an image off the end of a text (data/loader.py), its older code the last
word whatever it is. Here no word is left out, as none is from the posts of NER.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ita.data.records import (
    Layout,
    Post,
    check_lengths,
    id_of_record,
    image_of_record,
    json_records,
    object_of,
    words_of,
)
from ita.io.text import BOM, csv_records, malformed, numbered_lines, quote

LABELS = ("related", "image_adds")
"""Names of the label; the first that is there counts."""
TEXTS = ("text", "tweet")
IDS = ("id", "post_id", "tweet_id")
TRUTH = {"0": False, "1": True, "false": False, "true": True}
PUBLISHED_IMAGE = "T{}"
"""Name of a tweet's image, without suffix, in the authors' folder; where the file names none."""


def read_relations(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """Posts of a CSV or JSONL file; which of the two its first character tells.

    In CSV, quotes within a text are escaped by a backslash or doubled.
    """
    if content.removeprefix(BOM.encode()).lstrip()[:1] in (b"{", b"["):
        for line, record in json_records(content, file_name):
            yield relation_post(object_of(record, file_name, line, "'text' and 'related'"), file_name, line)
        return
    for line, row in csv_records(numbered_lines(content, file_name), file_name, escape="\\"):
        check_columns(row, file_name)
        yield relation_post(row, file_name, line)


def check_columns(row: Mapping[str, Any], file_name: str) -> None:
    """Checks the columns of a row.

    Raises:
        UserError: when one is not there; the list of ids and labels that is open to all has no texts.
    """
    for names, hint in ((TEXTS, "; the texts are given out by the authors of the data"), (LABELS, "")):
        if not set(names) & set(row):
            raise malformed(file_name, 1, f"a column {' or '.join(names)}", f"{', '.join(row)[:200]}{hint}")


def relation_post(record: Mapping[str, Any], file_name: str, line: int) -> Post:
    """A post from its columns or keys: a text or ``tokens``, a label, and optionally an image and an id."""
    tokens = record.get("tokens")
    if tokens is None:
        text = first_of(record, TEXTS)
        if not isinstance(text, str):
            raise malformed(file_name, line, "'text' to be a string", quote(text))
        tokens = text.split()
    tokens = words_of(tokens, "tokens", file_name, line)
    tags = ["O"] * len(tokens)
    check_lengths(tokens, tags, file_name, line)
    label = first_of(record, LABELS)
    related = TRUTH.get(str(label).strip().lower())
    if related is None:
        raise malformed(file_name, line, f"{' or '.join(LABELS)} to be 0 or 1, or true or false", quote(label))
    image_id, image_url = image_of_record(record, file_name, line)
    if image_id is None and record.get("tweet_id"):
        image_id = PUBLISHED_IMAGE.format(record["tweet_id"])
    post_id = id_of_record(record, file_name, line, IDS)
    return Post(tokens, tags, image_id, image_url, post_id, related=related)


def first_of(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value under the first of some names that is there; None where none is."""
    return next((record[name] for name in names if name in record), None)
