"""schema: print the JSON Schema of config.yaml."""

from ita.config.schema import main

__all__ = ["main"]
