"""docs/configuration.md: every setting with its default and meaning, made from the JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ita.config.schema import config_schema

HEAD = """# Configuration

Written by: ita schema --markdown > docs/configuration.md

`config.yaml` holds every setting. A data set may override any of them under its name in `datasets`.

**Order of overrides.** An entry's own value wins over its section's; at each of the two the data set wins over the
general part; `--config` on the command line wins over all. For training, `encoders.*.defaults` lies below the section
`train`, and `systems.*.train` above it; with `train.recipe: upstream` the recipe of a system's published code,
`systems.*.upstream`, lies between these two. Planning reports a value that has no effect and where to write it instead;
`ita config DATASET STAGE NAME` prints the resolved settings of a job and the line that each value comes from.
"""
RANGES = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def render() -> str:
    """The page, one table per section or kind of entry."""
    schema = config_schema()
    parts = [HEAD]
    for name, definition in schema["$defs"].items():
        properties = definition.get("properties", {})
        settings = {key: value for key, value in properties.items() if "default" in value}
        if name in ("Config", "Dataset") or not settings:
            continue
        rows = "\n".join(_row(key, value) for key, value in settings.items())
        summary = _cell(definition.get("description", ""))
        parts.append(f"## {name}\n\n{summary}\n\n| setting | default | values | meaning |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _row(key: str, setting: Mapping[str, Any]) -> str:
    default = json.dumps(setting["default"], ensure_ascii=False)
    return f"| `{key}` | `{_cell(default)}` | {_cell(_values(setting))} | {_cell(setting.get('description', ''))} |"


def _values(setting: Mapping[str, Any]) -> str:
    """Type and range of a setting."""
    variants = [variant for variant in setting.get("anyOf", [setting]) if variant.get("type") != "null"]
    variant = {**setting, **(variants[0] if variants else {})}
    if "enum" in variant:
        return ", ".join(map(str, variant["enum"]))
    kind = variant.get("type", "")
    kind = kind if isinstance(kind, str) else " or ".join(kind)
    ranges = [f"{words} {variant[rule]}" for rule, words in RANGES.items() if rule in variant]
    return ", ".join([kind, *ranges])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
