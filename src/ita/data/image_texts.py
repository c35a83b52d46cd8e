"""Texts of images from files: captions, OCR text, or any other text keyed by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.data.entries import TEXT_KEYS, malformed, read_entries


def read_texts(files: Sequence[Path]) -> dict[str, list[str]]:
    """Texts of each image.

    Args:
        files: files of any format of ``entries``. Texts of an image keep the order of the files and of their lines.

    Returns:
        Image id without suffix -> texts. Empty texts are left out.

    Raises:
        UserError: for a file that is missing or malformed: file, line, what was found and what was expected.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for location, image_id, value in read_entries(file):
            cleaned = (" ".join(text.split()) for text in parse_texts(value, location))
            texts[image_id] += [text for text in cleaned if text]
    return dict(texts)


def parse_texts(value: Any, location: str) -> list[str]:
    """The texts in a value: a string, a list of strings, or a mapping with one of these under a key of TEXT_KEYS."""
    if isinstance(value, Mapping):
        keys = [key for key in TEXT_KEYS if key in value]
        if not keys:
            raise malformed(location, value, f"texts under one of {', '.join(TEXT_KEYS)}")
        value = value[keys[0]]
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    raise malformed(location, value, "a text or a list of texts")
