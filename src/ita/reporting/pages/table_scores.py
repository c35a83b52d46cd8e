"""Where the numbers behind the cells of a table stand: rows and columns of its CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ita.data import VIEWS
from ita.errors import UserError
from ita.reporting.tables import analysis, types

Numbers = Mapping[str, str]
"""A row of the CSV."""
LABELS = {"Encoder": "encoder", "Approach": "approach", "View": "view"}
"""Columns that name a row of a table by types -> columns of its CSV."""
UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}
LEADING_NUMBER = re.compile(r"([-+−]?\d[\d,]*(?:\.\d+)?)(?: ([kMG])\b)?")


class Score(NamedTuple):
    """A score in a cell: its row of the CSV, and what the names of its columns begin with."""

    row: Numbers
    prefix: str

    def number(self, column: str) -> float | None:
        """A number; None where there is none."""
        text = self.row.get(self.prefix + column)
        return float(text) if text else None

    @property
    def seeds(self) -> list[float]:
        """The score of each seed, by seed."""
        return [float(value) for value in (self.row.get(f"{self.prefix}seeds") or "").split()]


def scores(kind: str, display: Mapping[str, Any], numbers: Sequence[Numbers]) -> list[dict[str, Score]]:
    """Of each row of a table: heading -> the score below it, where there is one.

    Args:
        kind: of the table.
        display: ``columns`` and ``rows`` of texts, as the table's JSON has them.
        numbers: rows of the table's CSV.

    Raises:
        UserError: when the CSV is not that of the table.
    """
    columns = list(display["columns"])
    if kind == "types":
        return [type_scores(dict(zip(columns, row, strict=True)), numbers) for row in display["rows"]]
    prefixes = prefixes_of(kind, display)
    if prefixes and len(numbers) < len(display["rows"]):
        raise UserError("the CSV has fewer rows than the table; make the table again")
    rows = numbers if prefixes else [{}] * len(display["rows"])
    of_rows = [row_scores(prefixes, row) for row, _ in zip(rows, display["rows"], strict=False)]
    return [{heading: score for heading, score in row.items() if score.seeds} for row in of_rows]


def prefixes_of(kind: str, display: Mapping[str, Any]) -> dict[str, str]:
    """Heading of a column of scores -> what the names of its columns in the CSV begin with."""
    if kind == "analysis":
        return {
            heading: f"{column}_"
            for panel, columns in analysis.PANELS.items()
            for column, name in columns.items()
            for heading in display.get("panels", {}).get(panel, ())
            if heading.removesuffix(f" ({panel})") == name
        }
    headings = {"f1": {name: f"{view}_" for view, name in VIEWS.items()}, "best": {"mean": ""}, "labels": {"F1": ""}}
    return {heading: prefix for heading, prefix in headings.get(kind, {}).items() if heading in display["columns"]}


def row_scores(prefixes: Mapping[str, str], row: Numbers) -> dict[str, Score]:
    """Scores of a row of the CSV by their headings."""
    return {heading: Score(row, prefix) for heading, prefix in prefixes.items()}


def type_scores(cells: Mapping[str, str], numbers: Sequence[Numbers]) -> dict[str, Score]:
    """Scores of a row of a table by types, whose CSV has a row for each type."""
    return {
        f"{row['type']} {short}": Score(row, f"{measure}_")
        for row in numbers
        if all(cells[heading] == row[column] for heading, column in LABELS.items())
        for measure, short in types.MEASURES.items()
    }


def sorting_value(text: str) -> float | None:
    """The number that a cell begins with, such as 81.2 of '81.20 ± 1.00' or 1200 of '1.2 k'; None where none does."""
    number = LEADING_NUMBER.match(text)
    if number is None:
        return None
    return float(number[1].replace(",", "").replace("−", "-")) * UNITS.get(number[2] or "", 1.0)
