"""A table before it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ita.data import VIEWS as VIEWS


@dataclass(frozen=True)
class ReportTable:
    """Numbers, the same for reading, and what must be known to read them."""

    title: str
    numbers: pd.DataFrame
    readable: pd.DataFrame
    """Text only; the first columns name the row."""
    notes: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    """Dataset, systems, encoders, seeds, label version as far as the table has them."""
    names: int = 1
    """Columns that name a row: they are set flush left, and a change of the first begins a block."""


def name_of(system: Mapping[str, Any], key: str, encoder: str) -> str:
    """Name of a system in tables."""
    return str(system.get("name") or key).format(encoder=encoder)


def name_for(system: Mapping[str, Any], key: str, encoders: Iterable[str]) -> str:
    """Its names with several encoders."""
    return " / ".join(dict.fromkeys(name_of(system, key, encoder) for encoder in encoders))


def sees_images(system: Mapping[str, Any]) -> bool:
    """True for a system whose I+T view holds more than its text view."""
    return system.get("context", "none") != "none" or bool(system.get("regions"))


def views_of(system: Mapping[str, Any]) -> list[str]:
    """Views that a system is trained on."""
    return list(system.get("views", ["t"]))


def spread(mean: Any, std: Any, digits: int) -> str:
    """``81.00 ± 1.00``; empty without a mean, no deviation where there is none."""
    if pd.isna(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if pd.isna(std) else f" ± {std:.{digits}f}")


def plain(value: Any, form: str) -> str:
    """A number by a format, empty where there is none."""
    return "" if pd.isna(value) else format(value, form)


def summary(values: Iterable[float]) -> dict[str, Any]:
    """Mean, sample standard deviation (none for a single value), count, and the values themselves."""
    series = pd.Series(list(values), dtype=float).dropna()
    return {
        "mean": series.mean() if len(series) else None,
        "std": series.std() if len(series) > 1 else None,
        "n": len(series),
        "seeds": " ".join(f"{value:.4f}" for value in series),
    }
