"""Every setting of every stage: one frozen dataclass per section of ``config.yaml``.

This package is the only place where a setting is defined. ``ita.config.schema`` renders it as the JSON Schema in
``workflow/schemas``, which Snakemake checks before anything runs; tests hold ``config.yaml`` to the defaults given
here. It imports nothing outside the standard library, so that start-up stays instant.

"Our choice" in a description marks what the paper and its code leave open.
"""

from __future__ import annotations

from ita.config.data import Demo, Download, Posts
from ita.config.results import Cases, Figure, Paper, Table
from ita.config.tagger import Encoder, Evaluate, Loss, System, Train
from ita.config.vision import Caption, Context, Detect, Gather, Ocr, Text

STAGES: dict[str, type] = {
    "demo": Demo,
    "posts": Posts,
    "download": Download,
    "detect": Detect,
    "caption": Caption,
    "ocr": Ocr,
    "gather": Gather,
    "context": Context,
    "train": Train,
    "evaluate": Evaluate,
    "table": Table,
    "figure": Figure,
    "cases": Cases,
    "paper": Paper,
}
"""Stages in the order of the data flow; each name is also that of a module, a rule file and a section of
config.yaml."""

NAMED: dict[str, tuple[type, str | None]] = {
    "detectors": (Detect, "detect"),
    "captioners": (Caption, "caption"),
    "ocr_engines": (Ocr, "ocr"),
    "external_texts": (Text, None),
    "contexts": (Context, "context"),
    "encoders": (Encoder, None),
    "systems": (System, None),
    "losses": (Loss, None),
    "tables": (Table, "table"),
    "figures": (Figure, "figure"),
}
"""Sections of named entries: their dataclass, and the stage whose settings an entry overrides (if any)."""
