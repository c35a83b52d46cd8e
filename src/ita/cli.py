"""Command line of a stage.

A stage is a module with a ``VERSION``, a ``work`` function and::

    def main(argv=None):
        return run_stage("ocr", VERSION, work, inputs={"images": "images.parquet"}, argv=argv)

It is run as ``ita ocr --settings JSON --images FILE --output FILE``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ita.errors import UserError
from ita.log import configure_log, log

T = TypeVar("T")
SHARD = {"shard": "which part of the images: 2-of-7 (default: all)"}


def run_stage(
    name: str,
    version: int,
    work: Callable[..., None],
    inputs: Mapping[str, str],
    argv: Sequence[str] | None = None,
    options: Mapping[str, str] | None = None,
) -> int:
    """Runs a stage from the command line.

    Args:
        name: the stage.
        version: the module's VERSION, recorded with the output.
        work: called with ``settings`` (dict), ``output`` (Path) and one keyword per input: a Path, or None for an
            optional one that is not given, or a list of paths.
        inputs: input name -> help; every input is an option of that name, required but for a name ending in ``?``
            (optional) or ``[]`` (any number of files).
        argv: arguments, by default those of the process.
        options: option that takes a text -> help; ``work`` gets it as a keyword, None where it is not given.

    Returns:
        Exit code: 0, 1 for a UserError (printed without a traceback), 130 when interrupted.
    """
    parser = argparse.ArgumentParser(prog=f"ita {name}", description=sys.modules[work.__module__].__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--settings", default="{}", help="settings as JSON, or @FILE (default: all defaults)")
    parser.add_argument("--output", type=Path, required=True, help="file to write; it appears only when complete")
    parser.add_argument("--log", type=Path, help="file for the log (default: standard error)")
    for option, meaning in inputs.items():
        flag = f"--{option.rstrip('?[]')}"
        if option.endswith("[]"):
            parser.add_argument(flag, type=Path, help=meaning, nargs="*", default=[])
        else:
            parser.add_argument(flag, type=Path, help=meaning, required=not option.endswith("?"))
    for option, meaning in (options or {}).items():
        parser.add_argument(f"--{option}", help=meaning)
    arguments = vars(parser.parse_args(argv))
    configure_log(arguments.pop("log"))
    try:
        settings = read_settings(arguments.pop("settings"))
        settings["version"] = version
        work(settings, **arguments)
    except UserError as error:
        log.error("%s: %s", name, error)
        return 1
    except KeyboardInterrupt:
        log.error("%s: interrupted; finished parts are kept, run the same command again", name)
        return 130
    except Exception:
        log.exception("%s: failed", name)
        return 1
    return 0


def read_settings(text: str) -> dict[str, Any]:
    """Settings from JSON text or from ``@FILE``.

    Raises:
        UserError: when the text is not a JSON object.
    """
    try:
        settings = json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"--settings is neither JSON nor @FILE with JSON in it: {error}") from None
    if not isinstance(settings, dict):
        raise UserError(f"--settings must be a JSON object, got {type(settings).__name__}")
    return settings


def read_section(settings: Mapping[str, Any], name: str, cls: type[T]) -> T:
    """One section of the settings as its dataclass.

    Raises:
        UserError: naming the setting that is wrong.
    """
    from ita.config.fields import load

    try:
        return load(cls, settings.get(name, {}))
    except ValueError as error:
        raise UserError(str(error)) from None
