"""Settings: typed models of every section of config.yaml, their schema, and the one order of overrides.

This package is the only place where a setting is defined. ``resolve`` merges the levels of a job, ``validation``
checks a whole configuration and builds single sections, ``schema`` renders the JSON Schema for editors, ``sources``
knows the lines of YAML files. "Our choice" in a description marks what the paper and its code leave open.

Names are imported when they are first used: planning and ``ita --help`` need only those of the stages.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ita.config.sections import ENTRIES, NAMED, STAGES

if TYPE_CHECKING:
    from ita.config.data import Demo, Download, Posts
    from ita.config.knowledge import Knowledge
    from ita.config.resolve import Resolver
    from ita.config.results import Cases, Figure, Paper, Report, Table
    from ita.config.sources import read_yaml
    from ita.config.tagger import Encoder, Evaluate, Loss, System, Tag, Train
    from ita.config.validation import check, load
    from ita.config.vision import Caption, Context, Detect, ExternalText, Gather, Ocr
    from ita.errors import ConfigError

__all__ = [
    "ENTRIES",
    "NAMED",
    "STAGES",
    "Caption",
    "Cases",
    "ConfigError",
    "Context",
    "Demo",
    "Detect",
    "Download",
    "Encoder",
    "Evaluate",
    "ExternalText",
    "Figure",
    "Gather",
    "Knowledge",
    "Loss",
    "Ocr",
    "Paper",
    "Posts",
    "Report",
    "Resolver",
    "System",
    "Table",
    "Tag",
    "Train",
    "check",
    "load",
    "read_yaml",
]

MODULES = {
    "data": ("Demo", "Download", "Posts"),
    "vision": ("Caption", "Context", "Detect", "ExternalText", "Gather", "Ocr"),
    "knowledge": ("Knowledge",),
    "tagger": ("Encoder", "Evaluate", "Loss", "System", "Tag", "Train"),
    "results": ("Cases", "Figure", "Paper", "Report", "Table"),
    "resolve": ("Resolver",),
    "sources": ("read_yaml",),
    "validation": ("check", "load"),
}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module."""
    if name == "ConfigError":
        return importlib.import_module("ita.errors").ConfigError
    for module, names in MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"ita.config.{module}"), name)
    raise AttributeError(f"module 'ita.config' has no attribute {name!r}")
