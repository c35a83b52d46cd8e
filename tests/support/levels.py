"""Small configurations, and the settings of their jobs."""

from ita.config import ENTRIES, STAGES, Resolver
from ita.config.levels import merge
from ita.config.validation import defaults


def nested(path: tuple[str, ...], value: object) -> dict:
    """``{"a": {"b": value}}`` for (a, b)."""
    return {path[0]: nested(path[1:], value) if path[1:] else value}


def resolved(section: str, config: dict, command_line: dict, warn=None) -> tuple[dict, object]:
    """The resolved section of a job, and the whole of it with its levels."""
    there = {"datasets": {"d": {}}, "encoders": {"e": {}}, "systems": {"s": {}}, "losses": {"paper": {}, "one": {}}}
    there |= {"losses": {name: {} for name in ("paper", "one", "two", "three")}}
    there |= {name: {"x": {}} for name in {*ENTRIES.values(), "external_texts"}}
    for name in ("encoders", "systems", "losses"):
        there[name]["x"] = {}
    resolver = Resolver(merge(there, config), command_line, warn)
    if section == "train":
        return resolver.train("d", "e", "s")["train"], resolver.job("d", "train", "e/s")["train"]
    if section in STAGES:
        entry = "x" if section in ENTRIES else None
        return resolver.stage("d", section, entry), resolver.job("d", section, entry)[section]
    return resolver.entry("d", section, "x"), resolver.named("d", section, "x")


def notes_of(section: str, config: dict, command_line: dict | None = None) -> list[str]:
    """Lines about values without effect on the job."""
    notes: list[str] = []
    resolved(section, config, command_line or {}, notes.append)
    return notes


def written(note: str) -> tuple[str, bool]:
    """Where a line tells to write the value, and whether on the command line."""
    target = note.rpartition("to change it write ")[2]
    return target.removeprefix("--config "), target.startswith("--config ")


def set_values(stage: str) -> dict:
    """Built-in defaults of a stage but for null, which a job is not given."""
    return {key: value for key, value in defaults(stage).items() if value is not None}
