"""Text from outside: the one way from bytes to lines, JSON and CSV, with errors that name file and line.

Text is UTF-8, with or without a byte order mark. Lines end in LF or CRLF and in nothing else: U+0085 and U+2028 are
characters within a line, as they are in tweets. Messages quote at most QUOTED characters of a file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ita.errors import UserError

BOM = "\ufeff"
QUOTED = 80
"""Most characters of a file in a message."""
DEEPEST = 100
"""Most levels of a JSON text: what walks through the values would come to the end of its stack."""
SAMPLE = 4096
"""Bytes at the start of a file that tell its encoding."""
LARGEST_CELL = 1 << 30
"""Bytes of a CSV cell; Python's own limit is 128 KB."""
BLANKS = b"\n\t "
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character. Those of BYTES are bytes that are not UTF-8, as Python's decoder hands them on."""
BYTES = range(0xDC80, 0xDD00)
ENCODED_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Byte order marks, longer ones first."""
BINARY = {
    b"PK\x03\x04": "a zip archive or a workbook",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"version https://git-lfs.github.com/spec/": "a pointer of Git LFS, whose file 'git lfs pull' gets",
}
"""First bytes of what is taken for text."""
WINDOWS_BYTES = re.compile(rb"[\x80-\x9f]")
"""Bytes that are letters and signs in Windows-1252, and controls in Latin-1."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = QUOTED
_short.maxlevel = 3


def quote(value: Any) -> str:
    """A value as it stands in a message: escaped, and no longer than QUOTED."""
    text = repr(value[: QUOTED + 1]) if isinstance(value, str) else _short.repr(value)
    return text if len(text) <= QUOTED else text[: QUOTED - 3] + "..."


def malformed(file: str | Path, line: int | None, expected: str, actual: str) -> UserError:
    """The error for a line that is not as its format has it."""
    location = str(file) if line is None else f"{file}:{line}"
    return UserError(f"{location}: expected {expected}, found {actual}")


def foreign_encoding(start: bytes) -> str | None:
    """The encoding of a text that is not UTF-8, by its byte order mark or by the NULs beside its letters.

    Args:
        start: the first bytes of the text.
    """
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    sample = start[: min(len(start), SAMPLE) // 4 * 4] or start[: len(start) // 2 * 2]
    if 0 not in sample:
        return None
    for order, width in (("LE", 4), ("BE", 4), ("LE", 2), ("BE", 2)):
        first = 0 if order == "LE" else width - 1
        letters = sample[first::width]
        others = bytes(byte for position, byte in enumerate(sample) if position % width != first)
        blanks = sum(sample.count(blank) for blank in BLANKS)
        wide = [letter for index, letter in enumerate(letters) if not any(others[index * (width - 1) :][: width - 1])]
        paired = sum(letter in BLANKS for letter in wide)
        if 2 * paired > blanks or (blanks == 0 and 2 * len(wide) > len(letters)):
            return f"UTF-{8 * width}-{order}"
    return None


def check_encoding(start: bytes, name: str | Path) -> None:
    """Checks that a file begins as UTF-8 text does.

    Raises:
        UserError: naming the encoding or the kind of file, and how to convert it.
    """
    encoding = foreign_encoding(start)
    if encoding:
        raise UserError(
            f"{name}:1: the file is {encoding}; expected UTF-8: convert it (iconv -f {encoding} -t UTF-8 {name})"
        )
    for first, kind in BINARY.items():
        if start.startswith(first):
            raise UserError(f"{name}:1: the file is {kind}; expected UTF-8 text")


def decode(content: bytes, name: str | Path) -> str:
    """The text of a whole UTF-8 file, without a byte order mark.

    Raises:
        UserError: naming file and line, for bytes that are not UTF-8 and for NULs.
    """
    check_encoding(content[:SAMPLE], name)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise malformed(name, line, "UTF-8 text", _undecodable(error, content, name)) from None
    if "\0" in text:
        raise malformed(name, text.count("\n", 0, text.index("\0")) + 1, "text", "a NUL character")
    return text.removeprefix(BOM)


def numbered_lines(content: bytes, name: str | Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 text without their ends, counted from 1.

    Raises:
        UserError: naming file and line, for other encodings, NULs, and line ends of CR alone.
    """
    check_encoding(content[:SAMPLE], name)
    for number, raw in enumerate(io.BytesIO(content.removeprefix(codecs.BOM_UTF8)), 1):
        try:
            line = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise malformed(name, number, "UTF-8 text", _undecodable(error, raw, name)) from None
        if "\r" in line:
            actual = f"CR alone; convert the file (tr '\\r' '\\n' < {name})"
            raise malformed(name, number, "lines that end in LF or CRLF", actual)
        if "\0" in line:
            raise malformed(name, number, "text", "a NUL character")
        yield number, line


def _undecodable(error: UnicodeDecodeError, content: bytes, name: str | Path) -> str:
    """What stands where UTF-8 was expected."""
    if ENCODED_SURROGATE.match(content, error.start):
        return "half a character (a surrogate, as CESU-8 and some exports write it)"
    if error.reason == "unexpected end of data" and error.end - error.start > 1:
        return "a character that is cut off"
    encoding = "WINDOWS-1252" if WINDOWS_BYTES.search(content) else "LATIN1"
    convert = f"convert the file, perhaps by iconv -f {encoding} -t UTF-8 {name}"
    return f"byte {content[error.start]:#04x}, as Windows-1252 or Latin-1 may have it; {convert}"


class JsonError(ValueError):
    """What is wrong with a JSON text, and the line where that is known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


def load_json(text: str) -> Any:
    """The value of a JSON text that can be written as UTF-8.

    Raises:
        JsonError: as ``load_any_json``, and for half a character.
    """
    value = load_any_json(text)
    problem = half_character(value) if "\\u" in text else None
    if problem:
        raise JsonError(f"a text {problem}")
    return value


def load_any_json(text: str) -> Any:
    """The value of a JSON text, which may have halves of characters in it.

    Raises:
        JsonError: saying in a few words what is wrong: no JSON, a key twice in an object, brackets too deep.
    """
    try:
        value = json.loads(text.removeprefix(BOM), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg} at column {error.colno}", error.lineno) from None
    except RecursionError:
        raise JsonError("brackets are nested too deeply") from None
    except ValueError as error:
        raise JsonError(re.sub(r";.*", "", str(error))) from None
    if text.count("[") + text.count("{") > DEEPEST and depth(value) > DEEPEST:
        raise JsonError("brackets are nested too deeply")
    return value


def depth(value: Any) -> int:
    """Levels of lists and objects within each other."""
    level, levels = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        levels += 1
        level = [item for part in level for item in (part.values() if isinstance(part, dict) else part)]
    return levels


def parse_json(text: str, name: str | Path, line: int | None = None, load: Callable[[str], Any] = load_json) -> Any:
    """The value of a JSON text in a file.

    Raises:
        UserError: naming file and line.
    """
    try:
        return load(text)
    except JsonError as error:
        line = error.line if line is None else line
        raise UserError(f"{name if line is None else f'{name}:{line}'}: not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError(f"the key {quote(first_repeated(key for key, _ in pairs))} is there twice")
    return values


def half_character(value: Any) -> str | None:
    """What is wrong with a string within a value that cannot be written as UTF-8; None where all can."""
    for text in strings_in(value):
        if surrogate := SURROGATE.search(text):
            code = ord(surrogate[0])
            problem = f"the surrogate U+{code:04X} alone, half a character"
            if code in BYTES:
                problem = f"the byte 0x{code - 0xDC00:02X}, which is not UTF-8"
            return f"has at character {surrogate.start()} {problem}"
    return None


def strings_in(value: Any) -> Iterator[str]:
    """All strings in a value, keys included; however deeply it is nested."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting += [*item.values(), *item]
        elif isinstance(item, list | tuple):
            waiting += item


def csv_records(
    lines: Iterable[tuple[int, str]], name: str | Path, escape: str | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV text by the names in its header, each with the number of its first line.

    Commas, semicolons or TABs separate the cells, whichever the header has most of; blank lines are skipped.

    Args:
        lines: numbered lines without their ends.
        name: of the file, for messages.
        escape: character that escapes a quote within a cell; else it is doubled.

    Raises:
        UserError: naming file and line.
    """
    csv.field_size_limit(min(sys.maxsize, LARGEST_CELL))
    iterator = iter(lines)
    first = next(((number, line) for number, line in iterator if line.strip()), None)
    if first is None:
        return
    number, line = first
    delimiter = max(",;\t", key=line.count)
    rows = csv.reader(
        (text + "\n" for _, text in chain([first], iterator)), delimiter=delimiter, escapechar=escape, strict=True
    )
    header: list[str] | None = None
    while True:
        start = number + rows.line_num
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise malformed(name, start, "a row of a CSV file", str(error)) from None
        if row is None:
            return
        if not row:
            continue
        if header is None:
            header = [cell.strip() for cell in row]
            check_header(header, name, start)
        elif len(row) != len(header):
            raise malformed(name, start, f"{len(header)} cells, as the header has", f"{len(row)}: {quote(row)}")
        else:
            yield start, dict(zip(header, row, strict=True))


def check_header(columns: Sequence[str], name: str | Path, line: int | None = 1) -> None:
    """Checks that no two columns of a table have the same name.

    Raises:
        UserError: naming the column.
    """
    repeated = first_repeated(filter(None, columns))
    if repeated is not None:
        raise malformed(name, line, "columns of different names", f"{quote(repeated)} twice")


def first_repeated(names: Iterable[str]) -> str | None:
    """The first name that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
