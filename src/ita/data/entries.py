"""Files keyed by image: TXT, JSON, JSONL, CSV, Parquet and NPZ, read into entries that know their file and line.

The format follows from the file name; images are named by id, with or without a suffix.

=========  =====================================================================================================
.txt       lines ``id.jpg :caption``, or ``id.jpg :tag, tag`` for objects
.json      map from id to a text, a list of texts, a list of objects, or an object with the keys of JSONL; or a list of
           the objects of JSONL
.jsonl     a JSON object per line: ``image_id`` (or image, id) and ``caption`` (captions, text, texts), or for objects
           ``objects``: ``[{"label", "score", "attributes": [{"label", "score"}, ...], "box": [x1, y1, x2, y2]}, ...]``,
           ``tags``: ``["red car", ...]``, or a single object's keys
.csv       header, then a row per caption or object: ``image_id`` and ``caption``, or ``label``, ``score``, ``x1`` ...
.parquet   the same columns; this project's own tables ``captions``, ``objects`` and ``ocr`` fit
.npz       objects of the one image that the file is named after, as extractors of VinVL's features write them
=========  =====================================================================================================
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ita.data.records import is_list, json_list, text_under
from ita.errors import UserError
from ita.io.image_formats import SUFFIX_PATTERN, composed, strip_image_suffix
from ita.io.text import check_header, csv_records, decode, numbered_lines, parse_json, quote
from ita.log import log

T = TypeVar("T")

ID_KEYS = ("image_id", "image", "id")
TEXT_KEYS = ("caption", "captions", "text", "texts")
TXT_LINE = re.compile(rf"(?P<name>\S.*?(?:{SUFFIX_PATTERN})|[^\s:]+)\s*:(?P<text>.*)", re.IGNORECASE)


class Entry(NamedTuple):
    """What a file says about an image."""

    location: str
    """File and line, for messages."""
    image_id: str
    value: Any
    """A text, a list, or a mapping with the keys of the row."""


def list_files(names: Sequence[str], setting: str) -> list[Path]:
    """The files that a setting names; a folder counts as the files in it.

    Raises:
        UserError: when there are none.
    """
    if not names:
        raise UserError(f"setting {setting}: backend precomputed needs at least one file")
    paths = [Path(name) for name in names]
    return [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]


def match_images(values: Mapping[str, list[T]], rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[T]]]:
    """Pairs each row of images.parquet, whatever became of its download, with the values that files have for it.

    Images without values are left out; names that are in no row are counted in the log.

    Args:
        values: image id without suffix -> values.
        rows: rows of images.parquet.

    Yields:
        Image id of the row, its values.
    """
    keys = matching_keys([row["image_id"] for row in rows], values)
    unknown = len(values.keys() - set(keys.values()))
    missing = len(set(keys.values()) - values.keys())
    log.info("precomputed: nothing for %d of %d images; %d names are of no image here", missing, len(keys), unknown)
    for image_id, key in keys.items():
        if key in values:
            yield image_id, values[key]


def matching_keys(image_ids: Sequence[str], names: Collection[str]) -> dict[str, str]:
    """The name of each image in files: its id, or where no other image ends like it a shorter or longer path of it.

    Args:
        image_ids: with or without suffix; they may be paths.
        names: of images in files, without suffix; they may be paths, too.
    """
    keys = {image_id: image_key(image_id) for image_id in image_ids}
    last_parts = Counter(key.rpartition("/")[2] for key in set(keys.values()))
    paths: dict[str, list[str]] = defaultdict(list)
    for name in names:
        paths[name.rpartition("/")[2]].append(name)
    for image_id, key in keys.items():
        last = key.rpartition("/")[2]
        if key not in names and last_parts[last] == 1 and len(paths[last]) == 1:
            (name,) = paths[last]
            if key.endswith(f"/{name}") or name.endswith(f"/{key}"):
                keys[image_id] = name
    return keys


def image_key(name: str) -> str:
    """The image id in the name of an image: without the suffix of an image file, accents in their letters."""
    return strip_image_suffix(composed(name.strip()))


def read_entries(file: Path) -> Iterator[Entry]:
    """All entries of a file of any of the formats above.

    Raises:
        UserError: for a file that is missing or malformed: file, line, what was found and what was expected.
    """
    formats = {
        ".txt": read_txt,
        ".json": read_json,
        ".jsonl": read_jsonl,
        ".csv": read_csv,
        ".parquet": read_parquet,
        ".npz": read_npz,
    }
    reader = formats.get(file.suffix.lower())
    if reader is None:
        raise UserError(f"{file}: format '{file.suffix}' is not known; expected one of {', '.join(formats)}")
    try:
        yield from reader(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or error}") from None


def read_txt(file: Path) -> Iterator[Entry]:
    """``id.jpg :text`` lines; empty lines are skipped."""
    for number, line in numbered_lines(file.read_bytes(), file):
        if not line.strip():
            continue
        match = TXT_LINE.match(line.strip())
        if match is None:
            raise malformed(f"{file}:{number}", line, "'id.jpg :text'")
        yield Entry(f"{file}:{number}", image_key(match["name"]), match["text"].strip())


def read_json(file: Path) -> Iterator[Entry]:
    """A map from image id to value, or a list of the objects of JSONL."""
    content = file.read_bytes()
    if is_list(content):
        for line, row in json_list(content, file):
            yield entry_of_row(row, f"{file}:{line}")
        return
    values = parse_json(decode(content, file), file)
    if not isinstance(values, dict):
        raise malformed(f"{file}:1", values, "a map from image id to texts or objects")
    for name, value in values.items():
        yield Entry(f"{file}: '{name}'", image_key(name), value)


def read_jsonl(file: Path) -> Iterator[Entry]:
    """A JSON object per line."""
    for number, line in numbered_lines(file.read_bytes(), file):
        if line.strip():
            yield entry_of_row(parse_json(line, file, number), f"{file}:{number}")


def read_csv(file: Path) -> Iterator[Entry]:
    """Rows of a CSV file with a header; empty cells count as missing."""
    for number, row in csv_records(numbered_lines(file.read_bytes(), file), file):
        filled = {name: cell for name, cell in row.items() if cell.strip() or name in TEXT_KEYS}
        yield entry_of_row(filled, f"{file}:{number}")


def read_parquet(file: Path) -> Iterator[Entry]:
    """Rows of a Parquet file; nulls count as missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
        check_header(table.column_names, file, None)
        rows = table.to_pylist()
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{file}: not a Parquet file that can be read: {quote(str(error))}") from None
    for number, row in enumerate(rows, 1):
        yield entry_of_row({name: cell for name, cell in row.items() if cell is not None}, f"{file}: row {number}")


def read_npz(file: Path) -> Iterator[Entry]:
    """The objects of the image that an .npz file is named after, as extractors of VinVL's features write them."""
    import numpy as np

    arrays = ("objects", "scores", "bounding_boxes", "attr_obj", "attr_scores")
    objects = []
    try:
        with np.load(file, allow_pickle=False) as content:
            columns = [content[name].tolist() for name in arrays]
        for label, score, box, phrase, (attribute_score, *_) in zip(*columns, strict=True):
            attribute = {"label": phrase.removesuffix(label).strip(), "score": attribute_score}
            attributes = [attribute] if phrase != label else []
            objects.append({"label": label, "score": score, "box": box, "attributes": attributes})
    except (KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: expected arrays {', '.join(arrays)} without pickled objects: {reason}") from None
    yield Entry(str(file), image_key(file.stem), {"objects": objects})


def entry_of_row(row: Any, location: str) -> Entry:
    """The entry in a row, which has its image id under one of ID_KEYS."""
    if not isinstance(row, dict):
        raise malformed(location, row, "an object with the key image_id")
    for key in ID_KEYS:
        try:
            image_id = text_under(row, key)
        except ValueError as error:
            raise UserError(f"{location}: {error}") from None
        if image_id is not None:
            return Entry(location, image_key(image_id), row)
    raise malformed(location, row, f"an image id under one of {', '.join(ID_KEYS)}")


def malformed(location: str, value: Any, expected: str) -> UserError:
    """The error for a malformed entry."""
    return UserError(f"{location}: expected {expected}, found {quote(value)}")
