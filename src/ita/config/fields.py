"""How a setting is declared and how a section is built from JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

T = TypeVar("T")

DEVICE = ["auto", "cpu", "cuda"]
PRECISION = ["auto", "fp32", "bf16"]


def setting(default: Any, meaning: str, **rules: Any) -> Any:
    """A dataclass field with its meaning, unit and JSON Schema rules (``minimum``, ``enum``, ...)."""
    metadata = {"meaning": meaning, "rules": rules}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(item: Field[Any]) -> Any:
    """The default value of a dataclass field."""
    return item.default_factory() if item.default_factory is not MISSING else item.default


def load(section: type[T], values: Mapping[str, Any]) -> T:
    """Builds a section from JSON values.

    Raises:
        ValueError: for an unknown key, a value of the wrong type, or one outside its range; the message names the key.
    """
    from ita.config.schema import check

    check(section, values)
    return section(**values)


def defaults(stage: str) -> dict[str, Any]:
    """The built-in settings of a stage."""
    from ita.config import STAGES

    return {item.name: default_of(item) for item in fields(STAGES[stage])}
