"""Names of the sections of config.yaml, for code that needs no settings. It imports nothing."""

from __future__ import annotations

STAGES = (
    "demo",
    "posts",
    "download",
    "detect",
    "caption",
    "ocr",
    "gather",
    "knowledge",
    "context",
    "train",
    "evaluate",
    "tag",
    "table",
    "figure",
    "cases",
    "paper",
    "report",
)
"""Stages in the order of the data flow; each name is also that of a module, a rule file and a section."""

ENTRIES = {
    "detect": "detectors",
    "caption": "captioners",
    "ocr": "ocr_engines",
    "knowledge": "knowledge_sources",
    "context": "contexts",
    "table": "tables",
    "figure": "figures",
}
"""Stage -> section of named entries that override its settings."""

NAMED = (
    "detectors",
    "captioners",
    "ocr_engines",
    "knowledge_sources",
    "external_texts",
    "contexts",
    "encoders",
    "systems",
    "losses",
    "tables",
    "figures",
)
"""Sections of named entries; a name becomes part of a path."""

SYSTEM_TRAINING = ("train", "upstream")
"""Training settings that an entry of systems may carry beside those of the system itself."""

CONTEXT_TABLES = {"la": "objects", "ga": "captions", "oca": "ocr"}
"""Kind of a context -> the table it is made of; any other is a name of ``knowledge_sources`` or ``external_texts``."""

CONTEXT_SETTINGS = {"la": "detector", "ga": "captioner", "oca": "ocr_engine"}
"""Kind of a context -> setting that names the table it is made of."""

TEXT_SECTIONS = ("knowledge_sources", "external_texts")
"""Sections whose names are kinds of context."""

PRICES = ("prompt_price", "completion_price")
"""Settings of ``knowledge`` that change no text."""

BASELINE_KINDS = ("f1", "best", "types")
"""Kinds of tables whose rows are compared with ``table.baseline``."""

CONTROLLED_KINDS = ("f1", "best")
"""Kinds of tables whose rows of two views are also compared with ``table.updates_control``."""

REGION_CAPTIONERS = ("oscar", "updown")
"""Values of ``caption.backend`` that describe the regions of a detector instead of pixels."""


RUN_ENCODER = "{encoder}"
"""In ``systems.*.encoders`` and names of systems: the encoder of the run, a block of a table."""


def singular(section: str) -> str:
    """What an entry of a section is called in messages: "OCR engine" for ``ocr_engines``."""
    return {"ocr_engines": "OCR engine", "losses": "loss"}.get(section) or section.removesuffix("s").replace("_", " ")
