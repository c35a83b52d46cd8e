"""Values by key, kept on disk: for joins of tables that need not fit into memory, in whatever order their rows are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ita.io.files import temporary_folder

CACHE_KIB = 16_384
"""Memory of an index."""


class DiskIndex:
    """JSON values by key; a key may have several."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE items (key TEXT, value TEXT)")

    def fill(self, items: Iterable[tuple[str, Any]]) -> None:
        """Adds all values, once."""
        self._database.execute("BEGIN")
        rows = ((key, json.dumps(value, ensure_ascii=False)) for key, value in items)
        self._database.executemany("INSERT INTO items VALUES (?, ?)", rows)
        self._database.execute("CREATE INDEX by_key ON items (key)")
        self._database.execute("COMMIT")

    def values(self, key: str) -> list[Any]:
        """The values of a key in the order in which they were added; none for a key that is not there."""
        rows = self._database.execute("SELECT value FROM items WHERE key = ? ORDER BY rowid", (key,))
        return [json.loads(value) for (value,) in rows]

    def close(self) -> None:
        """Frees the database."""
        self._database.close()


@contextmanager
def disk_index(output: Path, name: str) -> Iterator[DiskIndex]:
    """An index in a temporary folder beside an output.

    Args:
        output: file that is being made, on a disk with room.
        name: tells several indexes of one output apart.
    """
    with temporary_folder(output.with_name(f"{output.name}.{name}")) as folder:
        index = DiskIndex(folder / "index.sqlite")
        try:
            yield index
        finally:
            index.close()
