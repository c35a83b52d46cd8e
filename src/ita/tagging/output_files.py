"""Answers as files: JSON lines, CSV, Parquet, CoNLL.

A stream is written as JSON lines or CoNLL. A file is made in two steps, so that a run can be continued and no
half-written file has the final name: answers are added to ``FILE.part/answers.jsonl`` as they come, and at the end
that is turned into the file.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self, TextIO

from ita.io.files import atomic, reporting_disk_errors
from ita.tagging.results import ANSWER_COLUMNS

FORMATS = ("jsonl", "csv", "parquet", "conll")
STREAMED = ("jsonl", "conll")
"""Formats whose answers stand for themselves; the columns of a table are known at the end alone."""
SUFFIXES = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".conll": "conll", ".bio": "conll", ".iob": "conll"}
SPACE = re.compile(r"\s+")
ROWS = 4096
"""Rows of a row group."""

Answer = Mapping[str, Any]


def format_of(path: str) -> str:
    """Format of a file by the end of its name."""
    return SUFFIXES.get(Path(path).suffix.lower(), "jsonl")


def jsonl_lines(answer: Answer) -> str:
    """An answer as a line of JSON."""
    return json.dumps(answer, ensure_ascii=False) + "\n"


def conll_lines(answer: Answer) -> str:
    """An answer as ``word TAB tag`` lines after comments with the rest of it; a blank line ends it."""
    comments = {name: value for name, value in answer.items() if name not in ("tokens", "entities")}
    lines = [f"# {name} = {comment(value)}" for name, value in comments.items() if value is not None]
    if "error" in answer:
        return "\n".join([*lines, "", ""])
    tags = ["O"] * len(answer["tokens"])
    for entity in answer["entities"]:
        first, last = entity["words"]
        tags[first:last] = [f"B-{entity['type']}"] + [f"I-{entity['type']}"] * (last - first - 1)
    # White space in a token would be taken for the end of a column.
    words = [f"{SPACE.sub('_', word)}\t{tag}" for word, tag in zip(answer["tokens"], tags, strict=True)]
    return "\n".join([*lines, *words, "", ""])


def comment(value: Any) -> str:
    """A value in one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return SPACE.sub(" ", text)


STREAM_WRITERS: dict[str, Callable[[Answer], str]] = {"jsonl": jsonl_lines, "conll": conll_lines}


def write_stream(answers: Iterable[Sequence[Answer]], format_name: str, target: TextIO) -> None:
    """Writes answers as they come, batch by batch."""
    for batch in answers:
        with reporting_disk_errors(Path("standard output")):
            target.write("".join(map(STREAM_WRITERS[format_name], batch)))
            target.flush()


class PartialAnswers:
    """The answers of a run that is not done, in a folder beside the file that it will make.

    Args:
        output: the file.
        identity: what the answers depend on; those of a run with another identity are dropped.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any]) -> None:
        self.output = output
        self.folder = output.with_name(f"{output.name}.part")
        self.answers = self.folder / "answers.jsonl"
        text = json.dumps(identity, sort_keys=True)
        self.identity = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.count = 0
        """Answers that are there."""

    def __enter__(self) -> Self:
        with reporting_disk_errors(self.output):
            self.folder.mkdir(parents=True, exist_ok=True)
            mark = self.folder / f"{self.identity}.id"
            if not mark.is_file():
                shutil.rmtree(self.folder)
                self.folder.mkdir()
                mark.touch()
            self.file = open(self.answers, "a+b")
            self.count = keep_whole_lines(self.file)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what a full disk has not taken; the error was told
            self.file.close()

    def drop(self) -> None:
        """Starts anew, for an input that cannot be read again."""
        self.file.truncate(0)
        self.count = 0

    def add(self, answers: Iterable[Answer]) -> None:
        """Adds answers."""
        with reporting_disk_errors(self.output):
            self.file.write("".join(map(jsonl_lines, answers)).encode())
            self.file.flush()

    def finish(self, format_name: str) -> None:
        """Makes the file and removes the folder."""
        self.file.close()
        with atomic(self.output) as part:
            if format_name == "jsonl":
                os.replace(self.answers, part)
            else:
                TABLE_WRITERS[format_name](self.answers, part)
        shutil.rmtree(self.folder, ignore_errors=True)


def keep_whole_lines(file: BinaryIO) -> int:
    """Counts the lines of a file and drops what a killed process left of the last one."""
    file.seek(0)
    count = end = 0
    for line in file:
        if line.endswith(b"\n"):
            count += 1
            end += len(line)
    file.truncate(end)
    file.seek(end)
    return count


def read_answers(path: Path) -> Iterator[dict[str, Any]]:
    """The answers of a file of JSON lines."""
    with open(path, "rb") as file:
        for line in file:
            yield json.loads(line)


def columns_of(path: Path) -> list[str]:
    """All columns of the answers: those of the input in the order in which they come, then ours."""
    input_columns: dict[str, None] = {}
    ours = {"text", "tokens", "view", "entities"}
    for answer in read_answers(path):
        for name in answer:
            if name in ANSWER_COLUMNS:
                ours.add(name)
            else:
                input_columns[name] = None
    return [*input_columns, *(name for name in ANSWER_COLUMNS if name in ours)]


def write_conll(answers: Path, part: Path) -> None:
    """CoNLL from JSON lines."""
    with open(part, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(map(conll_lines, read_answers(answers)))


def write_csv(answers: Path, part: Path) -> None:
    """CSV from JSON lines, a row a post; lists are JSON in their cells."""
    columns = columns_of(answers)
    with open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for answer in read_answers(answers):
            writer.writerow([cell(answer.get(name)) for name in columns])


def cell(value: Any) -> Any:
    """A value for a cell of CSV."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else value


def write_parquet(answers: Path, part: Path) -> None:
    """Parquet from JSON lines, a row a post; a column of the input whose values differ in type holds JSON text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = columns_of(answers)
    input_types = given_types([name for name in columns if name not in ANSWER_COLUMNS], answers)
    own_types = answer_types()
    schema = pa.schema([(name, input_types[name] if name in input_types else own_types[name]) for name in columns])
    texts = {name for name, kind in input_types.items() if pa.types.is_string(kind)}
    with pq.ParquetWriter(part, schema, compression="zstd") as file:
        for chunk in chunks(read_answers(answers)):
            rows = [
                {name: as_text(value) if name in texts else value for name, value in answer.items()} for answer in chunk
            ]
            file.write_table(pa.Table.from_pylist(rows, schema=schema))


def answer_types() -> dict[str, Any]:
    """Arrow types of the answer's own columns."""
    import pyarrow as pa

    fields = [("start", pa.int32()), ("end", pa.int32()), ("type", pa.string()), ("score", pa.float32())]
    entity = pa.struct([*fields, ("surface", pa.string()), ("words", pa.list_(pa.int32()))])
    lists = {"tokens": pa.list_(pa.string()), "entities": pa.list_(entity)}
    return {**dict.fromkeys(ANSWER_COLUMNS, pa.string()), **lists, "line": pa.int64()}


def given_types(names: list[str], answers: Path) -> dict[str, Any]:
    """Arrow types of the columns of the input: the one that fits all values of a column, else text."""
    import pyarrow as pa

    types = dict.fromkeys(names, pa.null())
    for chunk in chunks(read_answers(answers)):
        for name in names:
            types[name] = common_type(types[name], [answer.get(name) for answer in chunk])
    return {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in types.items()}


def common_type(so_far: Any, values: list[Any]) -> Any:
    """The Arrow type of a column so far and of further values; text where they have none in common."""
    import pyarrow as pa

    if pa.types.is_string(so_far):
        return so_far
    try:
        further = pa.array(values).type  # unlike infer_type, it looks at all of them
        pair = [pa.schema([("column", kind)]) for kind in (so_far, further)]
        kind = pa.unify_schemas(pair, promote_options="permissive").field("column").type
    except (pa.ArrowException, OverflowError):
        return pa.string()
    # Parquet has no structure without fields, which an empty JSON object would be.
    return pa.string() if "struct<>" in str(kind) else kind


def chunks(answers: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """ROWS answers at a time."""
    while chunk := list(islice(answers, ROWS)):
        yield chunk


def as_text(value: Any) -> Any:
    """Text as it is, anything else as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


TABLE_WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "conll": write_conll,
}
