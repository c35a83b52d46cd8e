"""``ita <stage> ...``, ``ita predict ...``: one entry to every program of the package."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from ita.workflow.versions import VERSIONS


def stages() -> list[str]:
    """Stages in the order of the data flow."""
    return list(VERSIONS)


def commands() -> list[str]:
    """Commands that are no stages."""
    names = (file.name for file in resources.files("ita.commands").iterdir())
    return sorted(name.removesuffix(".py") for name in names if name.endswith(".py") and not name.startswith("_"))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; a program that stops reading our output (``ita ... | head``) ends it quietly."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # answers are UTF-8 in every locale
    try:
        code = run(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:  # closed by the caller
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return 0
    except OSError as error:
        from ita.io.disk_errors import os_error

        discard_output()
        message = os_error(error)
        if message is None:
            raise
        print(f"ita: {message}", file=sys.stderr)
        return 1
    return code


def discard_output() -> None:
    """What is left in the buffer of standard output goes nowhere, so that nothing fails at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: Sequence[str]) -> int:
    """Dispatches to a command; nothing but that command's module is imported."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        import ita

        print(ita.__version__)
        return 0
    name, *rest = arguments
    if name in stages():
        from ita.cli import run_stage

        return run_stage(importlib.import_module(f"ita.stages.{name}"), rest)
    if name in commands():
        return int(importlib.import_module(f"ita.commands.{name}").main(rest))
    print(f"ita: unknown command {name!r}; expected one of {', '.join([*stages(), *commands()])}", file=sys.stderr)
    return 2


def usage() -> str:
    """The help text: every stage and command with the first line of its module, none of which is imported."""
    lines = ["usage: ita COMMAND [options]    (ita COMMAND --help explains one)"]
    for group, names in (("stages", stages()), ("commands", commands())):
        folder = resources.files(f"ita.{group}")
        lines += ["", f"{group}:", *(f"  {name:<10} {summary(folder / f'{name}.py')}" for name in names)]
    return "\n".join(lines)


def summary(module: Traversable) -> str:
    """What stands after ``name: `` in the first line of a module's docstring."""
    with module.open(encoding="utf-8") as file:
        return file.readline().strip().strip('"').partition(": ")[2]


if __name__ == "__main__":
    sys.exit(main())
