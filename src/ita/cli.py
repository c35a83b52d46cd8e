"""Command line of a stage, derived from the signature of its ``work`` function.

``work(settings, output, images, shard=None)`` is run as
``ita ocr --settings JSON --output FILE --images FILE [--shard 2-of-7] [--log FILE]``:

- ``Path`` is a required option, ``Path | None`` an optional one (its value may be left out, too), ``Sequence[Path]``
  takes any number of files;
- ``str | None`` takes a text, ``bool`` is a flag;
- the help of an option is its line in the ``Args`` section of the docstring.
"""

from __future__ import annotations

import argparse
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ita.errors import UserError
from ita.io.disk_errors import explained
from ita.io.files import reporting_disk_errors
from ita.io.text import decode, load_json
from ita.log import configure_log, log
from ita.workflow.versions import VERSIONS

T = TypeVar("T")

OPTIONS: dict[Any, dict[str, Any]] = {
    Path: {"type": Path, "metavar": "FILE", "required": True},
    Path | None: {"type": Path, "metavar": "FILE", "nargs": "?"},
    Sequence[Path]: {"type": Path, "metavar": "FILE", "nargs": "*", "default": []},
    str | None: {"metavar": "TEXT"},
    bool: {"action": "store_true"},
}
"""Annotation of a parameter -> its option."""


def run_stage(module: ModuleType, argv: Sequence[str] | None = None) -> int:
    """Runs a stage from the command line.

    Args:
        module: of ``ita.stages``; its ``work`` is called with the settings as a dict and a keyword per option.
        argv: arguments, by default those of the process.

    Returns:
        Exit code: 0, 1 for a UserError (printed without a traceback), 130 when interrupted.
    """
    name = module.__name__.rpartition(".")[2]
    arguments = vars(stage_parser(name, module.work, module.__doc__).parse_args(argv))
    log_file = arguments.pop("log")
    try:
        with reporting_disk_errors(log_file or Path()):
            configure_log(log_file)
        settings = {**read_settings(arguments.pop("settings")), "version": VERSIONS[name]}
        module.work(settings, **arguments)
    except UserError as error:
        log.error("%s: %s", name, error)
        return 1
    except KeyboardInterrupt:
        log.error("%s: interrupted; finished parts are kept, run the same command again", name)
        return 130
    except Exception as error:
        message = explained(error)
        if isinstance(message, UserError):
            log.error("%s: %s", name, message)
        else:
            log.exception("%s: failed", name)
        return 1
    return 0


def stage_parser(name: str, work: Callable[..., None], description: str | None) -> argparse.ArgumentParser:
    """The parser of a stage's command line."""
    parser = argparse.ArgumentParser(prog=f"ita {name}", description=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--settings", metavar="JSON", default="{}", help="settings as JSON, or @FILE (default: all defaults)"
    )
    hints, meanings = typing.get_type_hints(work), argument_meanings(work.__doc__ or "")
    for parameter in inspect.signature(work).parameters:
        if parameter != "settings":
            flag = f"--{parameter.replace('_', '-')}"
            parser.add_argument(flag, help=meanings.get(parameter), **OPTIONS[hints[parameter]])
    parser.add_argument("--log", type=Path, metavar="FILE", help="file for the log (default: standard error)")
    return parser


def argument_meanings(docstring: str) -> dict[str, str]:
    """Parameter -> its text in the ``Args`` section of a docstring."""
    _, _, section = inspect.cleandoc(docstring).partition("\nArgs:\n")
    lines = re.split(r"^(?=\S)", section, maxsplit=1, flags=re.MULTILINE)[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", lines, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).replace("%", "%%") for name, text in entries}


def read_settings(text: str) -> dict[str, Any]:
    """Settings from JSON text or from ``@FILE``.

    Raises:
        UserError: when the text is not a JSON object.
    """
    try:
        settings = load_json(decode(Path(text[1:]).read_bytes(), text[1:]) if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise UserError(f"--settings is neither JSON nor @FILE with JSON in it: {error}") from None
    if not isinstance(settings, dict):
        raise UserError(f"--settings must be a JSON object, got {type(settings).__name__}")
    return settings


def read_section(settings: Mapping[str, Any], name: str, cls: type[T]) -> T:
    """One section of the settings, checked; results on storage by the paths of their local copies.

    Raises:
        UserError: naming the setting that is wrong.
    """
    from ita.config.storage import with_local_copies
    from ita.config.validation import load

    return load(cls, with_local_copies(settings.get(name, {})))
