"""Types that the sections of the configuration are declared with.

A section is a frozen dataclass of pydantic. Each field is ``Annotated`` with its range and its meaning, and has a
default, so that a part of a section is checked as a whole one is. Numbers and truth values are strict: ``64.0`` and
``true`` are no whole numbers, ``.nan`` and ``.inf`` no numbers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, Strict

SECTION = ConfigDict(extra="forbid", defer_build=True)
"""Of every section. Validators are built when they are first needed: a stage reads one section or four."""

Whole = Annotated[int, Strict()]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]
Split = Literal["train", "dev", "test"]
PostSplit = Literal["train", "dev", "test", "new"]
ColumnName = Whole | Annotated[str, Strict(), Field(min_length=1)]
"""Number or name of a column."""
PostRange = Annotated[str, Field(pattern="^[1-9][0-9]*-[1-9][0-9]*$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _unique(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        repeated = next(value for position, value in enumerate(values) if value in values[:position])
        raise ValueError(f"expected each value once, {repeated!r} is repeated")
    return values


UNIQUE: Any = AfterValidator(_unique)
"""Annotation of a list in which no value is repeated."""
UNIQUE_ITEMS: Any = {"uniqueItems": True}
"""The same for the JSON Schema."""


def is_whole(values: dict[str, Any] | None) -> bool:
    """Whether all of a section is there, so that what does not fit together can be told.

    It is told as ConfigError, which pydantic lets through: whoever builds a section by hand gets it as it is.

    Args:
        values: context of the validation: ``{"partial": True}`` where levels are checked one by one.
    """
    return not (values or {}).get("partial")
