"""``ita <stage> ...``, ``ita predict ...``: one entry to every program of the package."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from ita.config import STAGES

COMMANDS = {
    **{stage: (section.__doc__ or "").splitlines()[0].partition(": ")[2] for stage, section in STAGES.items()},
    "predict": "tag new posts with a trained model.",
    "inspect": "say what detector, captioner and reader see in pictures.",
    "schema": "print the JSON Schema of config.yaml.",
}

MODULES = {"predict": "ita.commands.predict", "inspect": "ita.commands.inspect", "schema": "ita.config.schema"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; a reader that stops reading our output (``ita ... | head``) ends it quietly."""
    try:
        code = run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at exit
        return 0
    return code


def run(argv: Sequence[str] | None) -> int:
    """Dispatches to a command; nothing but that command's module is imported."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        print("usage: ita COMMAND [options]    (ita COMMAND --help explains one)\n")
        print("\n".join(f"  {name:{width}}  {meaning}" for name, meaning in COMMANDS.items()))
        return 0
    if arguments[0] in ("-V", "--version"):
        import ita

        print(ita.__version__)
        return 0
    if arguments[0] not in COMMANDS:
        print(f"ita: unknown command {arguments[0]!r}; expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = MODULES.get(arguments[0], f"ita.stages.{arguments[0]}")
    return int(importlib.import_module(module).main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
