"""Captions, texts and objects that somebody else computed, from TXT, JSON, JSONL, CSV, Parquet or NPZ files.

The format is told by the file name; images are named by id, with or without an extension.

=========  =====================================================================================================
.txt       lines ``id.jpg :caption``, or ``id.jpg :tag, tag`` for objects
.json      map from id to a text, a list of texts, a list of objects, or an object with the keys of JSONL
.jsonl     a JSON object per line: ``image_id`` (or image, id) and ``caption`` (captions, text, texts), or for objects
           ``objects``: ``[{"label", "score", "attributes": [{"label", "score"}, ...], "box": [x1, y1, x2, y2]}, ...]``,
           ``tags``: ``["red car", ...]``, or a single object's keys
.csv       header, then a row per caption or object: ``image_id`` and ``caption``, or ``label``, ``score``, ``x1`` ...
.parquet   the same columns; this project's own tables ``captions``, ``objects`` and ``ocr`` fit
.npz       objects of the one image that the file is named after, as extractors of VinVL's features write them
=========  =====================================================================================================
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ita.data.entries import TEXTS, entries, key, wrong
from ita.errors import UserError
from ita.vision.types import DetectedObject

T = TypeVar("T")
log = logging.getLogger("ita")

BOX = ("x1", "y1", "x2", "y2")


def read_texts(files: Sequence[Path]) -> dict[str, list[str]]:
    """Texts of each image.

    Args:
        files: files of any of the formats above. Texts of an image keep the order of the files and of their lines.

    Returns:
        Image id, without extension, -> texts. Empty texts are left out.

    Raises:
        UserError: for a file that is missing or malformed: file, line, what was found and what was expected.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for where, image_id, value in entries(file):
            cleaned = (" ".join(text.split()) for text in texts_of(value, where))
            texts[image_id] += [text for text in cleaned if text]
    return dict(texts)


def read_objects(files: Sequence[Path]) -> dict[str, list[DetectedObject]]:
    """Objects of each image, by falling score where all of them have one, else as they stand in the files.

    Args:
        files: files of any of the formats above.

    Returns:
        Image id, without extension, -> objects.

    Raises:
        UserError: as ``read_texts``.
    """
    objects: dict[str, list[DetectedObject]] = defaultdict(list)
    for file in files:
        for where, image_id, value in entries(file):
            objects[image_id] += objects_of(value, where)
    for found in objects.values():
        if all(one.score is not None for one in found):
            found.sort(key=lambda one: -(one.score or 0.0))
    return dict(objects)


def given(names: Sequence[str], setting: str) -> list[Path]:
    """The files that a setting names; a folder stands for the files in it.

    Raises:
        UserError: when there are none.
    """
    if not names:
        raise UserError(f"setting {setting}: backend precomputed needs at least one file")
    paths = [Path(name) for name in names]
    return [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]


def matched(found: Mapping[str, list[T]], rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[T]]]:
    """Image id and what the files have for it, for each row of images.parquet, whatever became of its download.

    Images that the files do not name are left out; names that are in no row are counted in the log.
    """
    wanted = {row["image_id"]: key(row["image_id"]) for row in rows}
    unknown = len(found.keys() - set(wanted.values()))
    missing = len(set(wanted.values()) - found.keys())
    log.info("precomputed: nothing for %d of %d images; %d names are of no image here", missing, len(wanted), unknown)
    for image_id, name in wanted.items():
        if name in found:
            yield image_id, found[name]


def texts_of(value: Any, where: str) -> list[str]:
    """The texts in a value: a string, a list of strings, or a mapping with one of these under a key of TEXTS."""
    if isinstance(value, Mapping):
        known = [name for name in TEXTS if name in value]
        if not known:
            raise wrong(where, value, f"texts under one of {', '.join(TEXTS)}")
        value = value[known[0]]
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    raise wrong(where, value, "a text or a list of texts")


def objects_of(value: Any, where: str) -> list[DetectedObject]:
    """The objects in a value: 'tag, tag', a list of tags or objects, or a mapping that holds one of these."""
    if isinstance(value, Mapping):
        if "label" in value:
            return [object_of(value, where)]
        known = [name for name in ("objects", "tags") if name in value]
        if not known:
            raise wrong(where, value, "objects under one of objects, tags, label")
        value = value[known[0]]
    if isinstance(value, str):
        value = [tag for tag in value.split(",") if tag.strip()]
    if not isinstance(value, list):
        raise wrong(where, value, "a list of tags or objects")
    return [object_of(one, where) for one in value]


def object_of(value: Any, where: str) -> DetectedObject:
    """One object: a tag, or a mapping with a label and what else is known."""
    if isinstance(value, str):
        value = {"label": value}
    if not isinstance(value, Mapping):
        raise wrong(where, value, "a tag or an object with a label")
    edges = [value[edge] for edge in BOX] if all(edge in value for edge in BOX) else value.get("box")
    if edges is not None and not (isinstance(edges, list | tuple) and len(edges) == len(BOX)):
        raise wrong(where, edges, "a box [x1, y1, x2, y2] in pixels")
    box = None
    if edges is not None:
        x1, y1, x2, y2 = (number(edge, where, "an edge of a box in pixels") for edge in edges)
        box = (x1, y1, x2, y2)
    attributes = value.get("attributes") or []
    if not isinstance(attributes, list):
        raise wrong(where, attributes, "a list of attributes")
    known = [attribute_of(one, where) for one in attributes]
    if all(score is not None for _, score in known):
        known.sort(key=lambda one: -(one[1] or 0.0))
    return DetectedObject(label(value.get("label"), where), score(value.get("score"), where), box, tuple(known))


def attribute_of(value: Any, where: str) -> tuple[str, float | None]:
    """One attribute: a word, ``[word, score]`` or ``{"label", "score"}``."""
    if isinstance(value, str):
        return label(value, where), None
    if isinstance(value, Mapping):
        return label(value.get("label"), where), score(value.get("score"), where)
    if isinstance(value, list) and len(value) == 2:
        return label(value[0], where), score(value[1], where)
    raise wrong(where, value, "an attribute: a word, [word, score] or {label, score}")


def label(value: Any, where: str) -> str:
    """A class or attribute in lower case."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(where, value, "a label")
    return " ".join(value.lower().split())


def score(value: Any, where: str) -> float | None:
    """A confidence or None."""
    if value is None:
        return None
    result = number(value, where, "a score from 0 to 1")
    if not 0.0 <= result <= 1.0:
        raise wrong(where, value, "a score from 0 to 1")
    return result


def number(value: Any, where: str, meaning: str) -> float:
    """A number, or the text of one, as in CSV."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise wrong(where, value, meaning) from None
