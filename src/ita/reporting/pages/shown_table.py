"""Tables as the page shows them: cells with what lies behind them, read from the CSV and the JSON of each table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ita.config import Table, load
from ita.errors import UserError
from ita.io.files import read_json
from ita.reporting.comparisons import TESTS
from ita.reporting.pages.table_scores import Numbers, Score, scores, sorting_value
from ita.reporting.pages.whiskers import Difference, Scale
from ita.reporting.report_rows import ReportSettings
from ita.reporting.updates import CONTROL_PREFIX, TRAINING_COLUMNS, training_display

ROW_HEADER = "Approach"
"""Column that names a row and stays in sight; other columns of names follow it."""
HIDDEN = "p "
"""What columns begin with that are hidden at first: intervals are drawn, p stands behind the cells."""


@dataclass(frozen=True)
class Column:
    """A column of a table on the page."""

    heading: str
    label: bool = False
    """Whether it names rows."""
    drawn: bool = False
    """Whether it has drawings of differences."""
    hidden: bool = False
    """Whether it is hidden at first."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table on the page."""

    text: str
    sort: float | str
    """What it is sorted by; an empty text is last."""
    detail: int | None = None
    """Number of the record of its score."""
    difference: Difference | None = None


@dataclass(frozen=True)
class Panel:
    """A table or a part of it."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    encoders: Sequence[str]
    """Encoder of each row; empty where the table has none."""
    scale: Scale


@dataclass(frozen=True)
class ShownTable:
    """A table as its files state it.

    Attributes:
        path: of the JSON.
        stated: its content.
        numbers: rows of the CSV.
        details: records of all scores so far, which the page reads; shared by all tables.
    """

    path: Path
    stated: Mapping[str, Any]
    numbers: Sequence[Numbers]
    details: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, numbers: Path, details: list[dict[str, Any]]) -> ShownTable:
        """From {table}.json and {table}.csv.

        Raises:
            UserError: for files that are none, or not of one table.
        """
        stated = read_json(path, "the JSON of a table (ita table writes it)")
        if "display" not in stated.get("metadata", {}) or path.stem != numbers.stem:
            raise UserError(f"{path}, {numbers}: not the JSON and the CSV of one table; make the table again")
        rows = list(csv.DictReader(io.StringIO(numbers.read_text(encoding="utf-8"))))
        return cls(path, stated, rows, details)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the table says about itself."""
        metadata: Mapping[str, Any] = self.stated["metadata"]
        return metadata

    @cached_property
    def section(self) -> Table:
        """Its settings."""
        return load(Table, self.stated.get("settings", {}).get("table", {}))

    @cached_property
    def report(self) -> ReportSettings:
        """Names of its systems and encoders."""
        return ReportSettings.read({"dataset": self.metadata["dataset"], **self.stated.get("settings", {})})

    @cached_property
    def scores(self) -> list[dict[str, Score]]:
        """Of each row: heading -> score."""
        return scores(self.section.kind, self.metadata["display"], self.numbers)

    @cached_property
    def scale(self) -> Scale:
        """Of all its differences."""
        drawn = (self.difference(score) for row in self.scores for score in row.values())
        return Scale.of(difference for difference in drawn if difference)

    def difference(self, score: Score, prefix: str = "") -> Difference | None:
        """Of a score to that of the text-only row, or to that of the control with its prefix."""
        gain, low, high = (score.number(f"{prefix}{column}") for column in ("gain", "gain_low", "gain_high"))
        return None if gain is None or low is None else Difference(gain, low, high)

    def panels(self) -> list[Panel]:
        """The table, or its parts."""
        display = self.metadata["display"]
        labels = list(display["columns"][: display["label_columns"]])
        labels.sort(key=lambda heading: heading != ROW_HEADER)
        parts = display.get("panels") or {"": display["columns"][len(labels) :]}
        return [self.panel(name, labels, headings) for name, headings in parts.items()]

    def panel(self, name: str, labels: Sequence[str], headings: Sequence[str]) -> Panel:
        """A part of the table."""
        display = self.metadata["display"]
        compared = {heading for row in self.scores for heading, score in row.items() if self.difference(score)}
        texts = [dict(zip(display["columns"], row, strict=True)) for row in display["rows"]]
        encoders = [cells.get("Encoder", "") for cells in texts]
        several = len(set(encoders)) > 1
        columns = [Column(heading, label=True, hidden=heading == "Encoder" and not several) for heading in labels]
        for heading in headings:
            columns.append(Column(heading, hidden=heading.startswith(HIDDEN) and bool(compared)))
            if heading in compared:
                columns.append(Column(heading, drawn=True))
        rows = [
            [self.cell(column, cells, of_row.get(column.heading)) for column in columns]
            for cells, of_row in zip(texts, self.scores, strict=True)
        ]
        return Panel(name, [self.named(column, name) for column in columns], rows, encoders, self.scale)

    def named(self, column: Column, panel: str) -> Column:
        """A column with the heading of the page: without the name of its panel, and what a difference is taken from."""
        heading = column.heading.removesuffix(f" ({panel})")
        if column.drawn:
            heading = f"{heading} − {self.compared_with}"
        return Column(heading, column.label, column.drawn, column.hidden)

    @property
    def compared_with(self) -> str:
        """Name of what differences are taken from."""
        if self.section.kind == "labels":
            return "X labels"
        names = self.report.system_names(str(self.section.baseline), self.section.encoders)
        return f"{' / '.join(names)} (T)"

    def cell(self, column: Column, cells: Mapping[str, str], score: Score | None) -> Cell:
        """A cell; one with a score leads to its record."""
        text = cells[column.heading]
        if column.drawn:
            difference = self.difference(score) if score else None
            return Cell(f"{difference.gain:+.2f}", difference.gain, None, difference) if difference else Cell("", "")
        if column.label:
            return Cell(text, text.casefold())
        if score is None:
            number = sorting_value(text)
            return Cell(text, text.casefold() if number is None else number)
        self.details.append(self.detail(column.heading, cells, score))
        mean = score.number("mean")
        return Cell(text, "" if mean is None else mean, len(self.details) - 1)

    def detail(self, heading: str, cells: Mapping[str, str], score: Score) -> dict[str, Any]:
        """What the page says of a score."""
        labels = [cells[name] for name in (ROW_HEADER, "Encoder") if cells.get(name)]
        return {
            "row": ", ".join(labels),
            "column": heading if "View" not in cells else f"{heading}, {cells['View']}",
            "table": self.metadata["title"],
            "text": cells[heading],
            "seeds": score.seeds,
            "mean": score.number("mean"),
            "std": score.number("std"),
            "compared": self.comparisons(score),
            "training": self.training(score.row),
            "runs": f"{self.encoder_key(score.row)}/{score.row['system']}",
        }

    def comparisons(self, score: Score) -> list[dict[str, Any]]:
        """Differences of a score with their intervals and p."""
        control = str(self.section.updates_control)
        control_name = self.report.joined_names([control], self.section.encoders) if self.has(control) else control
        records = []
        for prefix, name in (("", self.compared_with), (CONTROL_PREFIX, f"{control_name} (T), as many updates")):
            difference = self.difference(score, prefix)
            if difference:
                tests = [[score.number(f"{prefix}p_{test}{end}") for end in ("", "_holm")] for test in TESTS]
                record = {"with": name, "gain": difference.gain, "low": difference.low, "high": difference.high}
                records.append({**record, "p": tests})
        return records

    def has(self, system: str) -> bool:
        """Whether the settings have a system."""
        return system in self.report.systems

    def training(self, row: Numbers) -> list[list[str]]:
        """Updates and subwords of a row, as the table shows them."""
        import pandas as pd

        frame = pd.DataFrame([{column: float(row[column]) for column in TRAINING_COLUMNS if row.get(column)}])
        return [[heading, cells[0]] for heading, cells in training_display(frame).items()]

    def encoder_key(self, row: Numbers) -> str:
        """Key of the encoder that a row of the CSV names."""
        return next((key for key, name in self.report.encoders.items() if name == row["encoder"]), row["encoder"])
