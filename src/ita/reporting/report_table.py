"""A table before it is rendered, and how its cells are formatted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class ReportTable:
    """The numbers of a table, the same formatted for reading, its notes and metadata."""

    title: str
    numbers: pd.DataFrame
    """For the CSV."""
    display: pd.DataFrame
    """Text only; the first columns name the row."""
    notes: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    """Seeds, label version, models of the encoders and more, as far as the table has them."""
    label_columns: int = 1
    """Columns that name a row: they are left-aligned, and a change of the first begins a block."""
    panels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Name -> columns of ``display``: parts of a wide table, shown one below another; none: it is shown whole."""


def mean_and_std(mean: Any, std: Any, digits: int) -> str:
    """``81.00 ± 1.00``; empty without a mean, without ± where there is no deviation."""
    if pd.isna(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if pd.isna(std) else f" ± {std:.{digits}f}")


def format_number(value: Any, spec: str) -> str:
    """A number by a format specification; empty where there is none."""
    return "" if pd.isna(value) else format(value, spec)


def format_column(column: Iterable[Any], spec: str) -> list[str]:
    """Every number of a column by a format specification."""
    return [format_number(value, spec) for value in column]


def format_marked(column: Iterable[Any], marks: Iterable[Any], spec: str) -> list[str]:
    """Every number of a column by a format specification, with its mark of significance."""
    pairs = zip(column, marks, strict=True)
    return [format_number(value, spec) + ("" if pd.isna(mark) else mark) for value, mark in pairs]


def summarise(values: Iterable[float | None]) -> dict[str, Any]:
    """Mean, sample standard deviation (none for a single value), count, and the values themselves."""
    series = pd.Series(list(values), dtype=float).dropna()
    return {
        "mean": series.mean() if len(series) else None,
        "std": series.std() if len(series) > 1 else None,
        "n": len(series),
        "seeds": " ".join(f"{value:.4f}" for value in series),
    }
