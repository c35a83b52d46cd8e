"""Names of the classes that a zero-shot detector looks for, from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io.text import decode

SETTING = "detect.classes"


def read_class_names(path: str | None) -> list[str]:
    """The names of a file, in its order, lower case, each once.

    Args:
        path: text with a name per line, of which the first counts where commas separate several (Bottom-Up
            Attention's objects_vocab.txt); JSON list of names; or JSON map with ``label_to_idx`` or ``idx_to_label``
            (VinVL's names).

    Raises:
        UserError: without a file, and for a broken or an empty one.
    """
    if not path:
        raise UserError(
            f"setting {SETTING}: a zero-shot detector looks for classes that a file names, a name per line or a list "
            "in JSON; VinVL's 1594 are in VG-SGG-dicts-vgoi6-clipped.json beside its weights"
        )
    file = Path(path).expanduser()
    try:
        text = decode(file.read_bytes(), file)
    except OSError as error:
        raise UserError(f"setting {SETTING}: {file} cannot be read: {error.strerror}") from None
    lines = [line.partition(",")[0] for line in text.splitlines()]
    written = names_in(text, file) if file.suffix == ".json" else lines
    names = dict.fromkeys(" ".join(str(name).lower().split()) for name in written)
    names.pop("", None)
    if not names:
        raise UserError(f"setting {SETTING}: {file} names no class")
    return list(names)


def names_in(text: str, file: Path) -> list[Any]:
    """The names in a JSON text; of a map of numbers by number, without 0, the background."""
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            table = content.get("label_to_idx") or {name: index for index, name in content["idx_to_label"].items()}
            numbered = sorted((int(index), name) for name, index in table.items())
            content = [name for index, name in numbered if index]
        if not isinstance(content, list):
            raise TypeError(f"found {type(content).__name__}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"setting {SETTING}: {file}: expected a list of names, or a map with label_to_idx ({error})"
        ) from None
    return content
