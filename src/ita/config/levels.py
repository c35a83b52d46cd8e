"""Levels of settings: the places where a value may stand, and how they are merged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Path = tuple[str, ...]
Kind = Literal["defaults", "section", "recipe", "entry"]
RANK: dict[Kind, int] = {"defaults": 0, "section": 1, "recipe": 2, "entry": 3}
"""Which kind of level wins over which."""
WORDS = {"true": True, "false": False, "null": None, "~": None}
NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,17}|\d{0,17}\.\d{1,17})([eE][-+]?\d{1,3})?")


@dataclass(frozen=True)
class Level:
    """One place where a setting may be given.

    Attributes:
        path: where it stands in the configuration, for example ("datasets", "demo", "caption").
        values: what is set there.
        kind: defaults of an encoder, section of a stage, published recipe of a system, or named entry.
        command_line: given by --config.
    """

    path: Path
    values: Mapping[str, Any]
    kind: Kind
    command_line: bool

    @property
    def of_dataset(self) -> bool:
        """Whether it applies to one data set only."""
        return self.path[0] == "datasets"

    def name(self, *path: str) -> str:
        """A setting of this level, as a user writes it."""
        return ("--config " if self.command_line else "") + ".".join((*self.path, *path))


@dataclass(frozen=True)
class Resolved:
    """Settings of one section of a job, and the levels that they were merged from, later ones winning."""

    values: dict[str, Any]
    levels: tuple[Level, ...]

    def origin(self, path: Path) -> Level | None:
        """The level that a value comes from; None for a built-in default."""
        holders = [level for level in self.levels if holds(level.values, path)]
        return holders[-1] if holders else None


def merge(base: Any, over: Any) -> Any:
    """`base` with the values of `over`, nested mappings merged key by key; neither is changed."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def typed(value: Any) -> Any:
    """Values from the command line: numbers, truth values and null written as text are read as YAML would."""
    if isinstance(value, Mapping):
        return {key: typed(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, str):
        return value
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    for number in (int, float):
        try:
            return number(value) if NUMBER.fullmatch(value) else value
        except ValueError:
            continue
    return value


def leaves(values: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no mapping (or an empty one), with the keys that lead to it."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def lookup(values: Any, path: Path) -> Any:
    """The value that `path` leads to; None where there is none."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def holds(values: Any, path: Path) -> bool:
    """Whether `path` leads to a value, be it null."""
    parent = lookup(values, path[:-1])
    return isinstance(parent, Mapping) and path[-1] in parent


def copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested mappings and lists that a caller may change."""
    return {key: _copied(value) for key, value in values.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return copied(value)
    return [_copied(item) for item in value] if isinstance(value, list) else value
