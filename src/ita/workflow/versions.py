"""Versions of the stages, in the order of the data flow."""

VERSIONS = {
    "demo": 3,
    "posts": 2,
    "download": 3,
    "detect": 2,
    "caption": 2,
    "ocr": 3,
    "gather": 1,
    "knowledge": 1,
    "context": 3,
    "train": 6,
    "evaluate": 7,
    "tag": 1,
    "table": 5,
    "figure": 3,
    "cases": 2,
    "paper": 3,
    "report": 3,
}
"""Raise the number of a stage when the meaning of its output changes: it and what lies below it then run again."""

ADDED_SETTINGS = {
    "download": ("single_files",),
    "external_texts": ("sha256", "replace"),
    "train": ("average_epochs", "context_dropout"),
}
"""Section -> settings that are younger than results made with it: at their default they are left out of its jobs, so
that those results stay up to date."""
