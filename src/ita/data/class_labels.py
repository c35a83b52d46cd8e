"""Names of tags that a file has as numbers, as data sets of the Hugging Face Hub do (ClassLabel)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io.text import decode, parse_json

DEEPEST = 8
"""Levels of a description that are looked into."""


def read_names(file: Path, columns: Sequence[str]) -> list[str]:
    """Names of tags from a JSON file.

    Args:
        file: ``dataset_info.json``, ``config.json`` of a model (id2label), ``label2id``, or a list of names.
        columns: names of the column of tags, the likelier first.

    Raises:
        UserError: for a file that cannot be read or has no names.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); posts.features names it") from None
    names = names_of_features(parse_json(decode(content, file), file), columns)
    if not names:
        raise UserError(
            f"{file}: expected names of tags: features of a data set with one of the columns {', '.join(columns)}, "
            "id2label, label2id, or a list"
        )
    return names


def names_of_features(value: Any, columns: Sequence[str]) -> list[str] | None:
    """Names of tags in a description of a data set or of a model; None where there are none."""
    if isinstance(value, Mapping):
        for key in ("id2label", "label2id"):
            if key in value:
                return names_in(value[key])
        for column in columns:
            for features in features_in(value, 0):
                if column in features and (names := class_label(features[column], 0)):
                    return names
    return names_in(value)


def features_in(value: Any, depth: int) -> list[Mapping[str, Any]]:
    """Every mapping under a key ``features``, and the value itself."""
    if not isinstance(value, Mapping) or depth > DEEPEST:
        return []
    inner = [item for key, part in value.items() if key != "names" for item in features_in(part, depth + 1)]
    direct = [value["features"]] if isinstance(value.get("features"), Mapping) else []
    return [*direct, *([value] if depth == 0 else []), *inner]


def class_label(value: Any, depth: int) -> list[str] | None:
    """Names of the ClassLabel within the feature of a column."""
    if depth > DEEPEST:
        return None
    if isinstance(value, Mapping):
        if "names" in value and (names := names_in(value["names"])):
            return names
        value = list(value.values())
    if not isinstance(value, list):
        return None
    return next((names for item in value if (names := class_label(item, depth + 1))), None)


def names_in(value: Any) -> list[str] | None:
    """Names in the order of their numbers, from a list, from {number: name} or from {name: number}."""
    if isinstance(value, Mapping):
        if value and all(isinstance(item, int) for item in value.values()):
            value = {number: name for name, number in value.items()}
        numbers = {str(number): name for number, name in value.items()}
        value = [numbers.get(str(number)) for number in range(len(numbers))]
    return value if value and isinstance(value, list) and all(isinstance(name, str) for name in value) else None
