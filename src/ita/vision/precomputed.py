"""Objects from files of other detectors: TXT, JSON, JSONL, CSV, Parquet or NPZ files (see ``ita.data.entries``)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.data.entries import malformed, read_entries
from ita.vision.types import DetectedObject

BOX_KEYS = ("x1", "y1", "x2", "y2")


def read_objects(files: Sequence[Path]) -> dict[str, list[DetectedObject]]:
    """Objects of each image, by falling score where all of them have one, else in the order of the files.

    Args:
        files: files of any format of ``entries``.

    Returns:
        Image id without suffix -> objects.

    Raises:
        UserError: for a file that is missing or malformed: file, line, what was found and what was expected.
    """
    objects_of_image: dict[str, list[DetectedObject]] = defaultdict(list)
    for file in files:
        for location, image_id, value in read_entries(file):
            objects_of_image[image_id] += parse_objects(value, location)
    for objects in objects_of_image.values():
        if all(item.score is not None for item in objects):
            objects.sort(key=lambda item: -(item.score or 0.0))
    return dict(objects_of_image)


def parse_objects(value: Any, location: str) -> list[DetectedObject]:
    """The objects in a value: 'tag, tag', a list of tags or objects, or a mapping that holds one of these."""
    if isinstance(value, Mapping):
        if "label" in value:
            return [parse_object(value, location)]
        keys = [key for key in ("objects", "tags") if key in value]
        if not keys:
            raise malformed(location, value, "objects under one of objects, tags, label")
        value = value[keys[0]]
    if isinstance(value, str):
        value = [tag for tag in value.split(",") if tag.strip()]
    if not isinstance(value, list):
        raise malformed(location, value, "a list of tags or objects")
    return [parse_object(item, location) for item in value]


def parse_object(value: Any, location: str) -> DetectedObject:
    """One object: a tag, or a mapping with a label and optionally score, box and attributes."""
    if isinstance(value, str):
        value = {"label": value}
    if not isinstance(value, Mapping):
        raise malformed(location, value, "a tag or an object with a label")
    attributes = value.get("attributes") or []
    if not isinstance(attributes, list):
        raise malformed(location, attributes, "a list of attributes")
    box = parse_box(value, location)
    scored = [parse_attribute(attribute, location) for attribute in attributes]
    if all(score is not None for _, score in scored):
        scored.sort(key=lambda attribute: -(attribute[1] or 0.0))
    label, score = parse_label(value.get("label"), location), parse_score(value.get("score"), location)
    return DetectedObject(label, score, box, tuple(scored))


def parse_box(value: Mapping[str, Any], location: str) -> tuple[float, float, float, float] | None:
    """The box of an object under the keys of BOX_KEYS or as a list under ``box``; None without one."""
    edges = [value[key] for key in BOX_KEYS] if all(key in value for key in BOX_KEYS) else value.get("box")
    if edges is None:
        return None
    if not (isinstance(edges, list | tuple) and len(edges) == len(BOX_KEYS)):
        raise malformed(location, edges, "a box [x1, y1, x2, y2] in pixels")
    x1, y1, x2, y2 = (parse_number(edge, location, "an edge of a box in pixels") for edge in edges)
    return x1, y1, x2, y2


def parse_attribute(value: Any, location: str) -> tuple[str, float | None]:
    """Label and score of an attribute: a word, ``[word, score]`` or ``{"label", "score"}``."""
    if isinstance(value, str):
        return parse_label(value, location), None
    if isinstance(value, Mapping):
        return parse_label(value.get("label"), location), parse_score(value.get("score"), location)
    if isinstance(value, list) and len(value) == 2:
        return parse_label(value[0], location), parse_score(value[1], location)
    raise malformed(location, value, "an attribute: a word, [word, score] or {label, score}")


def parse_label(value: Any, location: str) -> str:
    """A class or attribute in lower case."""
    if not isinstance(value, str) or not value.strip():
        raise malformed(location, value, "a label")
    return " ".join(value.lower().split())


def parse_score(value: Any, location: str) -> float | None:
    """A confidence or None."""
    if value is None:
        return None
    score = parse_number(value, location, "a score from 0 to 1")
    if not 0.0 <= score <= 1.0:
        raise malformed(location, value, "a score from 0 to 1")
    return score


def parse_number(value: Any, location: str, meaning: str) -> float:
    """A number, or the text of one, as in CSV."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise malformed(location, value, meaning) from None
    return number
