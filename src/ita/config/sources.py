"""YAML files of settings: their values, the lines these stand in, and errors that name file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.errors import ConfigError, UserError
from ita.io.text import decode

if TYPE_CHECKING:
    import yaml

DEEPEST = 100
"""Levels of settings."""
Lines = Mapping[tuple[str, ...], int]


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The settings in a YAML file.

    Raises:
        ConfigError: naming file and line, where the text is not YAML, a key is repeated, or no settings are in it.
    """
    return read_with_lines(path)[0]


def read_with_lines(path: Path | str) -> tuple[dict[str, Any], Lines]:
    """The settings in a YAML file, and the line of each key, by the keys that lead to it.

    Raises:
        ConfigError: as ``read_yaml``.
    """
    import yaml

    try:
        text = decode(Path(path).read_bytes(), path)
    except OSError as error:
        raise ConfigError(f"{path}: the configuration cannot be read: {error.strerror}") from None
    except UserError as error:
        raise ConfigError(str(error)) from None
    lines: dict[tuple[str, ...], int] = {}
    try:
        node, values = _parse(text)
        if isinstance(values, dict):
            _collect(node, (), lines, str(path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: is not YAML: {_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: settings are nested too deeply, or an alias stands within its own anchor") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())[:200]}") from None
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected settings as KEY: VALUE")
    return values, lines


def _parse(text: str) -> tuple[Any, Any]:
    """Nodes and values of a YAML text, by libyaml where PyYAML was built with it: ten times as fast."""
    import yaml

    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=fast):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise RecursionError  # of libyaml's loader it would be a crash
        return yaml.compose(text, Loader=fast), yaml.load(text, Loader=fast)
    except yaml.YAMLError:
        yaml.compose(text, Loader=yaml.SafeLoader)  # says more about what is wrong, but takes halves of characters
        yaml.safe_load(text)
        raise


def line_of(lines: Lines, path: Sequence[str]) -> int | None:
    """The line of a setting, or of the nearest mapping around it that is written in one piece."""
    for end in range(len(path), 0, -1):
        if tuple(path[:end]) in lines:
            return lines[tuple(path[:end])]
    return None


def _problem(error: yaml.MarkedYAMLError) -> str:
    """What is wrong with the text, and a hint for the two usual causes."""
    problem = f"{error.context}, {error.problem}" if error.context else str(error.problem)
    if "\\t" in problem:
        return f"{problem}; indent with blanks, not tabs"
    if "mapping values are not allowed" in problem:
        return f"{problem}; check the indentation and quote values that hold ': '"
    return problem


def _collect(node: Any, path: tuple[str, ...], lines: dict[tuple[str, ...], int], file: str) -> None:
    """Notes the line of every key below a node.

    Raises:
        ConfigError: where a key is repeated: only its last value would count.
    """
    if not hasattr(node, "value") or node.id != "mapping":
        return
    lines_set: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.value in lines_set and key.value != "<<":
            key_path = ".".join((*path, key.value))
            raise ConfigError(
                f"{file}:{line}: '{key_path}' is set before, in line {lines_set[key.value]}; only one may be"
            )
        lines_set[key.value] = line
        lines.setdefault((*path, key.value), line)
        _collect(value, path if key.value == "<<" else (*path, key.value), lines, file)
