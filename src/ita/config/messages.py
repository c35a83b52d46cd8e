"""Messages about wrong settings: where it stands, what was found, what is allowed, the nearest right name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

MOST_LINES = 10
"""Problems told at a time; the rest are counted."""
MOST_NAMES = 12
"""Names listed where one is unknown."""

EXPONENT = re.compile(r"\d+e[-+]?\d+")
"""A number as YAML 1.1 does not read it."""

RENAMED = {
    "": {"readers": "ocr_engines", "texts": "external_texts"},
    "encoders": {"train": "defaults"},
    "context": {"reader": "ocr_engine"},
    "train": {
        "accumulation": "gradient_accumulation",
        "clip": "clip_grad_norm",
        "max_pieces": "max_subwords",
        "prune_vocabulary": "trim_vocabulary",
    },
    "evaluate": {"max_pieces": "max_subwords"},
    "table": {
        "level": "significance_level",
        "random": "control_systems",
        "reader": "ocr_engine",
        "readers": "ocr_engines",
        "samples": "resamples",
    },
}
"""Section -> old name of a setting -> the present one."""

RENAMED_VALUES = {("table", "kind"): {"scores": "f1", "characters": "ocr"}}
"""Section and setting -> old value -> the present one."""


def nearest(name: str, known: Collection[str]) -> str:
    """A hint for a typo: ``"; did you mean 'crf'?"``, or nothing."""
    matches = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def unknown(name: str, known: Collection[str], renamed: Mapping[str, str]) -> str:
    """What to do about a setting that does not exist."""
    if name in renamed:
        return f"is now called {renamed[name]!r}"
    hint = nearest(name, known)
    if hint:
        return f"no such setting{hint}"
    names = list(known)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"no such setting; there are: {', '.join(names[:MOST_NAMES])}{more}"


def unfit(error: Mapping[str, Any], renamed: Mapping[Any, str]) -> str:
    """What was found and what is allowed, of an error of pydantic."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    value = error["input"]
    allowed = expected(error)
    if isinstance(value, str) and value in renamed:
        return f"{value!r} is now called {renamed[value]!r}"
    hint = ""
    if error["type"] == "literal_error" and isinstance(value, str):
        hint = nearest(value, [name.strip("'") for name in error["ctx"]["expected"].replace(" or ", ", ").split(", ")])
    if error["type"] == "float_type" and isinstance(value, str) and EXPONENT.fullmatch(value):
        hint = f"; YAML takes this for text, write {value.replace('e', '.0e')}"
    return f"found {json.dumps(value, default=str)[:60]}, expected {allowed}{hint}"


def expected(error: Mapping[str, Any]) -> str:
    """What is allowed, in words."""
    kind, limits = error["type"], error.get("ctx", {})
    words = {
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "string_type": "text",
        "list_type": "a list",
        "dict_type": "a mapping of KEY: VALUE",
        "model_type": "a mapping of KEY: VALUE",
        "dataclass_type": "a mapping of KEY: VALUE",
    }
    if kind in words:
        return words[kind]
    if kind == "literal_error":
        return f"one of {limits['expected']}".replace("'", "").replace(" or ", ", ")
    if kind == "string_pattern_mismatch":
        return f"text that matches {limits['pattern']}"
    if kind == "string_too_long":
        return f"at most {limits['max_length']} letters"
    if kind == "too_short":
        return f"{limits['min_length']} item or more"
    bounds = {"ge": "{} or more", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
    for limit, phrase in bounds.items():
        if limit in limits:
            return phrase.format(f"{limits[limit]:g}")
    if "multiple_of" in limits:
        return f"a multiple of {limits['multiple_of']}"
    return str(error["msg"])


def text(value: Any) -> str:
    """A value as a user writes it, shortened where it is long."""
    written = value if isinstance(value, str) and value else json.dumps(value, default=str)
    return written if len(written) <= 60 else written[:57] + "..."


def name(part: str) -> str:
    """A part of a setting's path: shortened where it is long, as JSON where it could not be told from the rest."""
    written = part if part.isprintable() and not set(part) & set(" .\"'") else json.dumps(part)
    return written if len(written) <= 60 else written[:57] + "..."


def kind(value: Any) -> str:
    """What YAML has made of a word that was meant as text."""
    kinds = {bool: "a truth value", int: "a number", float: "a number", type(None): "nothing"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def summary(lines: Collection[str]) -> str:
    """One message for several problems."""
    if len(lines) == 1:
        return f"config: {next(iter(lines))}"
    shown = [*lines][:MOST_LINES]
    more = [f"... and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return "\n  ".join([f"config: {len(lines)} settings are wrong:", *shown, *more])
