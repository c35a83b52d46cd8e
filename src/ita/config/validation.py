"""Checks of settings: of a whole configuration before anything runs, of one section where a stage reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ita.config import messages
from ita.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError

T = TypeVar("T")


def load(section: type[T], values: Mapping[str, Any], name: str | None = None) -> T:
    """Builds a section from JSON values.

    Args:
        section: its model.
        values: settings that differ from the defaults.
        name: what the section is called in messages (default: ``setting detect``).

    Raises:
        ConfigError: for an unknown key, a value of the wrong type or outside its range, or values that do not fit
            together; the message names the first of them.
    """
    name = name or f"setting {section.__name__.lower()}"
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name}: found {messages.text(values)}, expected a mapping of KEY: VALUE")
    try:
        return section(**values)
    except ValueError as error:
        if not hasattr(error, "errors"):
            raise
        first = error.errors()[0]
    location = ".".join([name, *map(str, first["loc"])])
    raise ConfigError(f"{location}: {_problem(first, section, name.rpartition(' ')[2])}")


def check(config: Mapping[str, Any]) -> None:
    """Checks a whole configuration, level by level.

    What does not fit together is told when the levels of a job are merged (see ``Resolver``).

    Raises:
        ConfigError: one message with every problem in a line of its own.
    """
    from pydantic import ValidationError

    from ita.config.models import Config

    if not isinstance(config, Mapping):
        raise ConfigError(f"config: found {messages.text(config)}, expected a mapping of KEY: VALUE")
    try:
        Config.model_validate(config, context={"partial": True})
    except ValidationError as error:
        raise ConfigError(messages.summary(_lines(error))) from None


def check_together(section: str, values: Mapping[str, Any], name: str) -> None:
    """Checks the merged settings of a job.

    Args:
        section: a stage, or a section of named entries.
        values: all its settings.
        name: what they are called in messages.

    Raises:
        ConfigError: for values that do not fit together.
    """
    from ita.config.models import MODELS

    try:
        load(MODELS[section], values, f"config: {name}")
    except ConfigError as error:
        message = str(error)
    else:
        return
    raise ConfigError(message if message.startswith("config: ") else f"config: {name}: {message}")


def defaults(stage: str) -> dict[str, Any]:
    """The built-in settings of a stage."""
    from dataclasses import asdict

    from ita.config.models import MODELS

    return asdict(MODELS[stage]())


def _lines(error: ValidationError) -> list[str]:
    """Every problem of a configuration in one line, in its order."""
    from ita.config.models import MODELS, Config, Overrides

    lines = []
    for problem in error.errors():
        location = [part for part in problem["loc"] if part != "[key]"]
        path = location
        model: Any = Config
        if path[0] == "datasets" and len(path) > 2:
            path, model = path[2:], Overrides
        section = str(path[0]) if len(path) > 1 else ""
        if section in MODELS:
            model = MODELS[section]
            if {"defaults", "train", "upstream"} & {*path[2:-1]}:  # of an encoder, of a system
                section, model = "train", MODELS["train"]
        lines.append(f"{_dotted(location)}: {_problem(problem, model, section)}")
    return list(dict.fromkeys(lines))


def _problem(problem: Any, model: Any, section: str) -> str:
    """What is wrong with one setting of a section, and what is allowed."""
    from ita.config.sections import ENTRIES

    stages = {entries: stage for stage, entries in ENTRIES.items()}
    section = stages.get(section, section)
    key = str(problem["loc"][-1]) if problem["loc"] else ""
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = getattr(model, "__pydantic_fields__", {})
        return messages.unknown(key, known, messages.RENAMED.get(section, {}))
    if key == "[key]" and problem["type"] == "string_pattern_mismatch":
        return "names are made of small letters, digits and _ . + -, and start with a letter or digit"
    if key == "[key]" and problem["type"] == "string_type":
        return f"YAML takes this name for {messages.kind(problem['input'])}; write it in quotes: '{problem['input']}'"
    return messages.unfit(problem, messages.RENAMED_VALUES.get((section, key), {}))


def _dotted(place: Sequence[str | int]) -> str:
    """A path as a user writes it: ``systems.crf.views[0]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{messages.name(str(part))}" for part in place)
    return "".join(parts).removeprefix(".")
