"""Files keyed by image: TXT, JSON, JSONL, CSV, Parquet and NPZ, read into entries that know where they stand."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ita.errors import UserError
from ita.vision.images import EXTENSIONS

NAMES = ("image_id", "image", "id")
TEXTS = ("caption", "captions", "text", "texts")
LINE = re.compile(rf"(?P<name>\S.*?(?:{'|'.join(map(re.escape, EXTENSIONS))})|[^\s:]+)\s*:(?P<text>.*)", re.IGNORECASE)


class Entry(NamedTuple):
    """What a file says about an image."""

    where: str
    """File and line, for messages."""
    image_id: str
    value: Any
    """A text, a list, or a mapping with the keys of the row."""


def entries(file: Path) -> Iterator[Entry]:
    """All entries of a file, whatever its format."""
    formats = {
        ".txt": lines,
        ".json": json_map,
        ".jsonl": json_lines,
        ".csv": csv_rows,
        ".parquet": parquet_rows,
        ".npz": detections,
    }
    reader = formats.get(file.suffix.lower())
    if reader is None:
        raise UserError(f"{file}: format '{file.suffix}' is not known; expected one of {', '.join(formats)}")
    try:
        yield from reader(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: expected UTF-8, found other bytes at position {error.start}") from None


def lines(file: Path) -> Iterator[Entry]:
    """``id.jpg :text`` lines; empty lines are passed over."""
    with open(file, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            match = LINE.match(line.strip())
            if match is None:
                raise wrong(f"{file}:{number}", line.strip(), "'id.jpg :text'")
            yield Entry(f"{file}:{number}", key(match["name"]), match["text"].strip())


def json_map(file: Path) -> Iterator[Entry]:
    """A map from image id to value."""
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{error.lineno}: not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(values, dict):
        raise wrong(f"{file}:1", values, "a map from image id to texts or objects")
    for name, value in values.items():
        yield Entry(f"{file}: '{name}'", key(name), value)


def json_lines(file: Path) -> Iterator[Entry]:
    """A JSON object per line."""
    with open(file, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            where = f"{file}:{number}"
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
            yield named(value, where)


def csv_rows(file: Path) -> Iterator[Entry]:
    """Rows of a CSV file with a header; empty cells count as not given."""
    with open(file, encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            for row in reader:
                where = f"{file}:{reader.line_num}"
                if None in row or None in row.values():
                    found = [cell for cell in row.values() if cell is not None]
                    raise wrong(where, found, f"{len(reader.fieldnames or [])} cells, as the header has")
                yield named({name: cell for name, cell in row.items() if cell.strip() or name in TEXTS}, where)
        except csv.Error as error:
            raise UserError(f"{file}:{reader.reader.line_num}: not CSV: {error}") from None


def parquet_rows(file: Path) -> Iterator[Entry]:
    """Rows of a Parquet file; nulls count as not given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(file).to_pylist()
    except pa.ArrowInvalid as error:
        raise UserError(f"{file}: not a Parquet file: {error}") from None
    for number, row in enumerate(rows, 1):
        yield named({name: cell for name, cell in row.items() if cell is not None}, f"{file}: row {number}")


def detections(file: Path) -> Iterator[Entry]:
    """The objects of the image that an .npz file is named after, as extractors of VinVL's features write them."""
    import numpy as np

    needed = ("objects", "scores", "bounding_boxes", "attr_obj", "attr_scores")
    try:
        with np.load(file, allow_pickle=False) as content:
            labels, scores, boxes, phrases, sure = (content[name].tolist() for name in needed)
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: expected arrays {', '.join(needed)} without pickled objects: {reason}") from None
    objects = [
        {
            "label": label,
            "score": score,
            "box": box,
            "attributes": [{"label": phrase.removesuffix(label).strip(), "score": best[0]}] if phrase != label else [],
        }
        for label, score, box, phrase, best in zip(labels, scores, boxes, phrases, sure, strict=True)
    ]
    yield Entry(str(file), key(file.stem), {"objects": objects})


def named(value: Any, where: str) -> Entry:
    """Finds the image id of a row."""
    if not isinstance(value, dict):
        raise wrong(where, value, "an object with the key image_id")
    for name in NAMES:
        if isinstance(value.get(name), str | int):
            return Entry(where, key(str(value[name])), value)
    raise wrong(where, value, f"an image id under one of {', '.join(NAMES)}")


def key(name: str) -> str:
    """The image id in the name of an image: without the extension of an image file."""
    stem, dot, extension = name.strip().rpartition(".")
    return stem if dot + extension.lower() in EXTENSIONS else name.strip()


def wrong(where: str, found: Any, expected: str) -> UserError:
    """The error for a malformed entry."""
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)
    return UserError(f"{where}: expected {expected}, found {text[:200]!r}")
