"""Templates of prompts: text with named slots, in the parts ``[system]``, ``[demonstration]`` and ``[user]``.

Slots stand in braces: ``{text}`` the post, ``{caption}`` the best caption, ``{captions}`` all of them, ``{objects}``,
``{ocr}``, ``{demonstrations}`` (each made by the part ``[demonstration]``, where ``{answer}`` is), and ``{image}``: the
picture is sent too, before the text. A line all of whose slots are empty is left out, so that a post without a picture
has no dangling "Picture:". Planning reads templates to know which tables a prompt needs, so nothing large is imported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from ita.errors import ConfigError
from ita.io.text import decode

PARTS = ("system", "demonstration", "user")
SLOT = re.compile(r"\{(\w+)\}")
SHARED = {"text", "caption", "captions", "objects", "ocr"}
"""Slots that a post fills."""
ALLOWED = {
    "system": set[str](),
    "demonstration": SHARED | {"answer"},
    "user": SHARED | {"demonstrations", "image"},
}
"""Part -> its slots."""
HEADING = re.compile(r"^\[(\w+)\][ \t]*$", re.MULTILINE)
SUFFIX = ".txt"


@dataclass(frozen=True)
class Template:
    """A template.

    Attributes:
        sha256: of the file.
        parts: name -> text; a missing part is empty.
        path: the file, of one that does not come with the package.
    """

    sha256: str
    parts: Mapping[str, str]
    path: str | None = None

    @property
    def slots(self) -> set[str]:
        """Slots of all parts."""
        return {slot for text in self.parts.values() for slot in SLOT.findall(text)}

    def fill(self, slots: Mapping[str, str], demonstrations: Iterable[Mapping[str, str]] = ()) -> str:
        """The text of the user's part.

        Args:
            slots: name -> text of the post; a missing one is empty.
            demonstrations: the same of each demonstration, with its ``answer``.
        """
        examples = "\n\n".join(fill_text(self.parts["demonstration"], example) for example in demonstrations)
        return fill_text(self.parts["user"], {**slots, "demonstrations": examples})


def fill_text(text: str, slots: Mapping[str, str]) -> str:
    """A text with its slots filled, in one pass: braces in what is filled in stay as they are."""
    lines = []
    for line in text.split("\n"):
        names = SLOT.findall(line)
        if names and not any(slots.get(name, "").strip() for name in names):
            continue
        lines.append(SLOT.sub(lambda match: slots.get(match[1], "").strip(), line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def shipped() -> list[str]:
    """Names of the templates that come with the package."""
    files = resources.files("ita.knowledge").joinpath("templates").iterdir()
    return sorted(file.name.removesuffix(SUFFIX) for file in files if file.name.endswith(SUFFIX))


@cache
def load_template(name: str) -> Template:
    """A template by its name, or from a file.

    Raises:
        ConfigError: for a name that is not known, a file that is missing, or one that is no template.
    """
    setting = "config: knowledge.template"
    if name in shipped():
        content, path = resources.files("ita.knowledge").joinpath("templates", name + SUFFIX).read_bytes(), None
    else:
        path = name
        try:
            content = Path(name).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{setting}: {name!r} is neither {', '.join(shipped())} nor a file that can be read "
                f"({error.strerror}; looked for in {Path.cwd()})"
            ) from None
    parts = parse(decode(content, name).replace("\r\n", "\n"), f"{setting}: {name}")
    return Template(hashlib.sha256(content).hexdigest(), parts, path)


def parse(text: str, source: str) -> dict[str, str]:
    """The parts of a template.

    Raises:
        ConfigError: for an unknown or repeated part, an unknown slot, or a template without a part for the user.
    """
    leading, *sections = HEADING.split(text)
    if leading.strip():
        raise ConfigError(f"{source}: text before the first part; expected a line [user], [system] or [demonstration]")
    parts = dict.fromkeys(PARTS, "")
    for name, content in zip(sections[::2], sections[1::2], strict=True):
        if name not in PARTS or parts[name]:
            problem = "twice" if name in PARTS else "unknown"
            raise ConfigError(f"{source}: part [{name}] is {problem}; expected each of {', '.join(PARTS)} at most once")
        parts[name] = content.strip("\n")
        unknown = [slot for slot in SLOT.findall(content) if slot not in ALLOWED[name]]
        if unknown:
            expected = ", ".join(sorted(ALLOWED[name])) or "none"
            raise ConfigError(f"{source}: part [{name}] has no slot {{{unknown[0]}}}; expected some of: {expected}")
    if not parts["user"].strip():
        raise ConfigError(f"{source}: the part [user] is missing or empty")
    return parts
