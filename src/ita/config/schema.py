"""JSON Schema of ``config.yaml``, rendered from the dataclasses of ``ita.config``.

``python -m ita schema > workflow/schemas/config.schema.yaml`` rewrites the file that Snakemake checks before it plans;
a test fails when the two differ.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ita.config import NAMED, STAGES
from ita.config.fields import default_of

TYPES: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "list[str]": {"type": "array", "items": {"type": "string"}},
    "dict[str, str]": {"type": "object", "additionalProperties": {"type": "string"}},
    "dict[str, int]": {"type": "object", "additionalProperties": {"type": "integer"}},
}
NAME = "^[a-z0-9][a-z0-9_.+-]*$"
"""Names of entries become parts of paths, so they hold no slash and no leading dot."""


def section_schema(section: type) -> dict[str, Any]:
    """Schema of one section: a description, type, range and default for every setting, and no unknown keys."""
    properties: dict[str, Any] = {}
    for item in fields(section):
        kind = str(item.type)
        schema = dict(TYPES[kind.removesuffix(" | None")])
        if kind.endswith(" | None"):
            schema["type"] = [schema["type"], "null"]
        for rule, value in item.metadata["rules"].items():
            merges = isinstance(value, dict) and isinstance(schema.get(rule), dict)
            schema[rule] = {**schema[rule], **value} if merges else value
        properties[item.name] = {"description": item.metadata["meaning"], **schema, "default": default_of(item)}
    summary = (section.__doc__ or "").strip().splitlines()[0]
    return {"description": summary, "type": "object", "additionalProperties": False, "properties": properties}


def config_schema() -> dict[str, Any]:
    """Schema of the whole configuration. A dataset may override any part of it."""
    sections: dict[str, Any] = {stage: {"$ref": f"#/$defs/{stage}"} for stage in STAGES}
    definitions = {stage: section_schema(section) for stage, section in STAGES.items()}
    for plural, (section, stage) in NAMED.items():
        entry: dict[str, Any] = {"$ref": f"#/$defs/{stage}"} if stage else section_schema(section)
        if plural == "encoders":
            entry["properties"]["train"] = {"$ref": "#/$defs/train"}
        sections[plural] = {
            "type": "object",
            "propertyNames": {"pattern": NAME},
            "additionalProperties": entry,
        }
    # A text is a kind of context by its own name, which must not be one that has a meaning already.
    sections["external_texts"]["propertyNames"]["not"] = {"enum": ["la", "ga", "oca", "sep"]}
    seeds = {
        "description": "Seeds: one run of every system for each.",
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "minItems": 1,
        "uniqueItems": True,
    }
    jobs = {
        "description": "Jobs that share one GPU at a time, such as several seeds of a system.",
        "type": "integer",
        "minimum": 1,
    }
    override: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {**sections, "seeds": seeds},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ita configuration",
        "type": "object",
        "additionalProperties": False,
        "required": [*STAGES, *NAMED, "seeds", "jobs_per_gpu", "datasets"],
        "properties": {
            **override["properties"],
            "jobs_per_gpu": jobs,
            "datasets": {
                "description": "Dataset -> settings that differ from the ones above; any of them may be named.",
                "type": "object",
                "propertyNames": {"pattern": NAME},
                "additionalProperties": override,
            },
        },
        "$defs": definitions,
    }


def check(section: type, values: Mapping[str, Any]) -> None:
    """Checks the values of one section.

    Raises:
        ValueError: naming the key, what was found and what is expected.
    """
    import jsonschema

    validator = jsonschema.Draft202012Validator(section_schema(section))
    errors = sorted(validator.iter_errors(dict(values)), key=lambda error: list(error.absolute_path))
    if errors:
        where = ".".join([section.__name__.lower(), *map(str, errors[0].absolute_path)])
        raise ValueError(f"setting {where}: {errors[0].message}")


def render() -> str:
    """The schema file, byte for byte."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes repeated parts in full; aliases are hard to read."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    body = yaml.dump(config_schema(), Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by: python -m ita schema > workflow/schemas/config.schema.yaml\n{body}"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the schema."""
    sys.stdout.write(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
