"""The JSON Schema of config.yaml, made from the models, for editors.

A test fails when the file in ``workflow/schemas`` differs from it; ``ita schema`` writes it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any


def config_schema() -> dict[str, Any]:
    """Schema of the whole configuration: type, range, default and meaning of every setting."""
    from pydantic.json_schema import GenerateJsonSchema

    from ita.config.models import MODELS, Config

    class Untitled(GenerateJsonSchema):
        """Leaves out titles, which repeat the names."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    schema = Config.model_json_schema(schema_generator=Untitled)
    models = {model.__name__: model for model in MODELS.values()}
    for name, definition in schema["$defs"].items():
        definition.pop("title", None)
        if name in models:
            definition["description"] = definition["description"].splitlines()[0]
            for key, value in asdict(models[name]()).items():  # lists and mappings are lacking
                if "$ref" not in definition["properties"][key]:
                    definition["properties"][key].setdefault("default", value)
        _close(definition["properties"])
    _close(schema["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "ita configuration",
    }


def _close(properties: dict[str, Any]) -> None:
    """Refuses names that do not fit the pattern."""
    for definition in properties.values():
        if "patternProperties" in definition:
            definition["additionalProperties"] = False


def render() -> str:
    """The schema file, byte for byte."""
    import yaml

    body = yaml.safe_dump(config_schema(), sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by: ita schema > workflow/schemas/config.schema.yaml\n{body}"
