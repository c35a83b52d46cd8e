"""Data of a page as scripts: pages that are opened from disk may run those beside them, but read no other file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

FOLDER = "data"
"""Of the scripts, in the folder of the report."""
CHUNK = 512
"""Posts in a script of posts."""


def write_script(folder: Path, name: str, value: Any, number: int | None = None) -> None:
    """Writes ``data/{name}.js``, or ``data/{name}-{number}.js``, which hands a value to ``store.js``.

    Args:
        folder: of the report.
        name: of the data.
        value: what JSON can hold. Texts in it end no script: it is none inside of HTML.
        number: of a chunk.
    """
    file = name if number is None else f"{name}-{number}"
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    path = folder / FOLDER / f"{file}.js"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"ita.put({json.dumps(file)},{text});\n", encoding="utf-8")


def chunks(values: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
    """Numbers and parts of ``CHUNK`` values; one part at least."""
    for number, start in enumerate(range(0, max(len(values), 1), CHUNK)):
        yield number, values[start : start + CHUNK]
