"""The page of the tables of a data set: sorted, filtered, and opened down to seeds, settings and logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.reporting.comparisons import TESTS
from ita.reporting.footer import heading
from ita.reporting.pages.frame import TABLES, copy_static, write_page
from ita.reporting.pages.run_facts import run_facts
from ita.reporting.pages.scripts import write_script
from ita.reporting.pages.shown_table import ShownTable
from ita.reporting.pages.whiskers import HEIGHT, WIDTH

STATIC = ("tables.css", "tables.js", "cell.js")
"""Files of the page, in the order in which its scripts run."""
NAMED_ROWS = 3
"""Most rows that a table is told from another by."""
TEST_NAMES = {
    "welch": "Welch's t-test over seeds",
    "paired_t": "paired t-test over seeds",
    "bootstrap": "paired bootstrap over posts",
    "randomisation": "approximate randomisation over posts",
}


def write_tables_page(
    folder: Path, dataset: str, tables: Sequence[Path], numbers: Sequence[Path], run_settings: Sequence[Path]
) -> None:
    """Writes the page and all that it reads.

    Args:
        folder: of the report.
        dataset: name of the data set.
        tables: {table}.json of each table, in order.
        numbers: {table}.csv of each table, in the same order.
        run_settings: settings.json of their runs; links lead there from a folder ``report`` beside ``runs``.

    Raises:
        UserError: when files do not fit together, or two tables have one name.
    """
    details: list[dict[str, Any]] = []
    shown_tables = [ShownTable.read(*paths, details) for paths in zip(tables, numbers, strict=True)]
    titles = [title_of(table, shown_tables) for table in shown_tables]
    if repeated := {title for title in titles if titles.count(title) > 1}:
        raise UserError(f"two tables are called {sorted(repeated)[0]!r}; give one of them another name in 'tables'")
    records = [
        {"id": table.path.stem, "title": title, "notes": table.metadata["notes"], "panels": table.panels()}
        for table, title in zip(shown_tables, titles, strict=True)
    ]
    runs = run_facts(run_settings, folder)
    write_script(folder, "tables", {"cells": details, "runs": runs, "tests": [TEST_NAMES[test] for test in TESTS]})
    copy_static(folder, STATIC)
    values = {"tables": records, "scripts": STATIC[1:], "width": WIDTH, "height": HEIGHT}
    write_page(folder, TABLES, "report_tables.html.j2", dataset, values)


def title_of(table: ShownTable, tables: Sequence[ShownTable]) -> str:
    """Title of a table without its data set; where one before it says the same, with rows that only this one has."""
    number, title = heading(str(table.metadata["name"])), bare_title(table)
    namesakes = [earlier for earlier in tables[: tables.index(table)] if bare_title(earlier) == title]
    if not namesakes:
        return f"{number}. {title}"
    rows_before = {row for earlier in namesakes for row in rows_of(earlier)}
    own_rows = [row for row in rows_of(table) if row not in rows_before] or rows_of(table)
    remainder = f" and {len(own_rows) - NAMED_ROWS} more" if len(own_rows) > NAMED_ROWS else ""
    return f"{number}. {title}: {', '.join(own_rows[:NAMED_ROWS])}{remainder}"


def bare_title(table: ShownTable) -> str:
    """Title of a table without its number and data set."""
    title = str(table.metadata["title"]).removesuffix(f": {table.metadata['dataset']}")
    return title.removeprefix(f"{heading(str(table.metadata['name']))}. ")


def rows_of(table: ShownTable) -> list[str]:
    """Names of its rows, each once."""
    display = table.metadata["display"]
    column = display["columns"].index("Approach") if "Approach" in display["columns"] else 0
    return list(dict.fromkeys(row[column] for row in display["rows"]))
