"""Texts whose entities are character offsets: JSON or JSON lines of doccano, Label Studio, spaCy and Prodigy.

Words are cut as those of raw text are, and also where an entity begins or ends. Offsets count characters; those that
count UTF-16 units, as browsers do, are recognised where an entity comes with its own text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

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
)
from ita.data.words import cut_words
from ita.io.text import malformed, quote

SPAN_KEYS = ("spans", "entities", "ents", "label", "labels", "annotations")
"""Keys of the entities of a text, in doccano, Prodigy, spaCy and Label Studio; the first with a list counts."""
START, END, TYPE = ("start", "start_offset"), ("end", "end_offset"), ("label", "labels", "type")


class TextSpan(NamedTuple):
    """An entity: characters ``start`` to ``end - 1``, and its type."""

    start: int
    end: int
    type: str


def read_spans(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """An object a line, or a list of them: ``text``, entities, and optionally ``image`` (id or URL), ``id``."""
    for line, record in json_records(content, file_name):
        values = renamed(plain_record(record, file_name, line), layout)
        text = values.get(str(layout.columns.get("text", "text")))
        if not isinstance(text, str) or "\0" in text:
            actual = f"{quote(text)} among the keys {', '.join(map(str, values))[:200]}"
            raise malformed(file_name, line, "'text' to be a string", actual)
        entities = spans_of(values, text, file_name, line)
        tokens, tags = words_of_text(text, entities)
        check_lengths(tokens, tags, file_name, line)
        image = image_of_record(values, file_name, line)
        yield Post(tokens, tags, *image, id_of_record(values, file_name, line))


def plain_record(record: Any, file_name: str, line: int) -> dict[str, Any]:
    """An object with text and entities at its top, of a record of any of the tools."""
    if isinstance(record, list) and len(record) == 2 and isinstance(record[1], dict):  # spaCy 2: (text, annotations)
        return {"text": record[0], **record[1]}
    record = object_of(record, file_name, line, "'text' and entities")
    if record.get("answer") in ("reject", "ignore"):
        raise malformed(file_name, line, "accepted answers alone", f"'answer': {quote(record['answer'])}; leave it out")
    if not isinstance(record.get("data"), dict):
        return record
    annotations = record.get("annotations") or record.get("completions") or []
    if not isinstance(annotations, list):
        raise malformed(file_name, line, "'annotations' to be a list", quote(annotations))
    valid = [item for item in annotations if isinstance(item, dict) and not item.get("was_cancelled")]
    truth = [item for item in valid if item.get("ground_truth")] or valid
    if len(truth) != 1:
        raise malformed(file_name, line, "one annotation of a task (or one marked ground_truth)", str(len(truth)))
    results = truth[0].get("result")
    if not isinstance(results, list):
        raise malformed(file_name, line, "'result' of an annotation to be a list", quote(results))
    values = []
    for item in results:
        kind = str(item.get("type", "labels")) if isinstance(item, dict) else ""
        if kind == "labels":
            values.append(item.get("value"))
        elif kind.endswith("labels"):
            raise malformed(file_name, line, "labels of plain text", quote(kind))
    return {**record["data"], "id": record.get("id"), "spans": values}


def spans_of(record: Mapping[str, Any], text: str, file_name: str, line: int) -> list[TextSpan]:
    """The entities of a text, in order.

    Raises:
        UserError: for entities that are malformed, outside the text, or overlap.
    """
    names = [key for key in SPAN_KEYS if isinstance(record.get(key), list)] or SPAN_KEYS
    values = record[first_key(record, names, file_name, line)]
    if not isinstance(values, list):
        raise malformed(file_name, line, "a list of entities", quote(values))
    spans = sorted({span_of(value, text, file_name, line) for value in values})
    for first, second in pairwise(spans):
        if second.start < first.end:
            actual = f"{quote(text[first.start : first.end])} and {quote(text[second.start : second.end])}"
            raise malformed(file_name, line, "entities that do not overlap", actual)
    return spans


def span_of(value: Any, text: str, file_name: str, line: int) -> TextSpan:
    """One entity: [start, end, type], or an object with these; blanks at its ends are left out."""
    surface = None
    if isinstance(value, dict):
        start, end, label = (next((value[k] for k in keys if k in value), None) for keys in (START, END, TYPE))
        surface = value.get("text")
    else:
        start, end, label = value if isinstance(value, list) and len(value) == 3 else (None, None, None)
    label = label[0] if isinstance(label, list) and len(label) == 1 else label
    if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label.strip():
        raise malformed(file_name, line, "an entity: [start, end, type] or an object with these", quote(value))
    if isinstance(surface, str) and text[max(start, 0) : end] != surface:
        start, end = characters(text, start), characters(text, end)
        if text[start:end] != surface:
            raise malformed(file_name, line, f"the text of an entity at its place, {quote(surface)}", quote(value))
    if not 0 <= start < end <= len(text):
        raise malformed(file_name, line, f"an entity within the {len(text)} characters of its text", quote(value))
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    end -= len(inner) - len(inner.rstrip())
    if start >= end:
        raise malformed(file_name, line, "an entity with a word", f"blanks alone: {quote(value)}")
    return TextSpan(start, end, "_".join(label.split()))


def characters(text: str, units: int) -> int:
    """The number of characters in the first UTF-16 units of a text."""
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * max(units, 0)].decode("utf-16-le", "ignore"))


def words_of_text(text: str, spans: Sequence[TextSpan]) -> tuple[list[str], list[str]]:
    """Words of a text, cut also at the ends of entities, and their IOB2 tags."""
    edges = sorted({edge for span in spans for edge in span[:2]})
    starts = [span.start for span in spans]
    tokens: list[str] = []
    tags: list[str] = []
    previous = -1
    for word_start, word_end in cut_words(text):
        inner = edges[bisect_right(edges, word_start) : bisect_left(edges, word_end)]
        for start, end in pairwise([word_start, *inner, word_end]):
            index = bisect_right(starts, start) - 1
            tokens.append(text[start:end])
            if index >= 0 and start < spans[index].end:
                tags.append(f"{'I' if index == previous else 'B'}-{spans[index].type}")
                previous = index
            else:
                tags.append("O")
    return tokens, tags
