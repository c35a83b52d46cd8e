"""Tables of a million rows through the stages that hold no model: seconds of processor time and peak memory of each.

``python benchmarks/tables.py`` writes made-up posts, and for as many images three objects, five captions and a line of
OCR text each, in shards as detect, caption and ocr write them. Then it runs ``download`` (an empty folder: a row for
every image and no picture), ``gather`` of all shards and ``context`` as the workflow does. Memory must not grow with
the rows, except that of ``download``::

    python benchmarks/tables.py --rows 10000 100000 1000000 --shards 1000
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from run import execute
from tabulate import tabulate

from ita.io import parquet

Row = dict[str, Any]
VOCABULARY = 20_011
SHARDED = {"objects": 3, "captions": 5, "ocr": 1}
"""Table -> its rows for an image."""


def words(number: int, count: int) -> list[str]:
    """So many words, others for another number."""
    return [f"word{(number * 7919 + position * 104_729) % VOCABULARY}" for position in range(count)]


def posts(rows: int) -> Iterator[Row]:
    """New posts of 16 words with an image each."""
    for number in range(rows):
        tokens = words(number, 16)
        yield {"post_id": f"new-{number}", "split": "new", "image_id": f"{number}", "tokens": tokens, "repaired": 0}


def shard_rows(table: str, numbers: range) -> Iterator[Row]:
    """Rows of a vision stage for some images."""
    for number in numbers:
        for rank in range(SHARDED[table]):
            row: Row = {"image_id": f"{number}"}
            if table == "objects":
                attributes = [{"label": "red", "score": 0.5}]
                row |= {"rank": rank, "label": words(number + rank, 1)[0], "score": 0.9}
                row |= {"attributes": attributes} | dict.fromkeys(("x1", "y1", "x2", "y2"), 1.0)
            elif table == "captions":
                row |= {"rank": rank, "caption": " ".join(words(number + rank, 9)), "logprob": -1.0}
            else:
                row |= {"text": " ".join(words(number, 6)), "engine": "made up", "version": "1"}
            yield row


def write_tables(folder: Path, rows: int, shards: int) -> None:
    """posts.parquet, and the shards of the vision stages."""
    parquet.write("posts", posts(rows), folder / "posts.parquet", {"label_version": None})
    for table in SHARDED:
        (folder / table).mkdir()
        for number in range(shards):
            part = range(rows * number // shards, rows * (number + 1) // shards)
            metadata = {"counts": {"images": len(part)}}
            parquet.write(
                table, shard_rows(table, part), folder / table / f"{number + 1}-of-{shards}.parquet", metadata
            )


def commands(folder: Path, shards: int) -> Iterator[tuple[str, list[str], Path]]:
    """Stage and table, arguments and output of each job."""
    (folder / "pictures").mkdir()
    download = {"source": "folder", "folder": str(folder / "pictures"), "allow_all_missing": True}
    posts_table, images = folder / "posts.parquet", folder / "images.parquet"
    arguments = ["--posts", str(posts_table), "--store", str(folder / "store")]
    yield "download", ["--settings", json.dumps({"download": download}), *arguments], images
    for table in SHARDED:
        files = [str(folder / table / f"{number + 1}-of-{shards}.parquet") for number in range(shards)]
        yield f"gather {table}", ["--shards", *files], folder / f"{table}.parquet"
    context = {"kinds": ["la", "ga", "oca"]}
    arguments = ["--posts", str(posts_table), "--cache", str(folder / "cache")]
    arguments += [word for table in SHARDED for word in (f"--{table}", str(folder / f"{table}.parquet"))]
    yield "context", ["--settings", json.dumps({"context": context}), *arguments], folder / "contexts.parquet"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--shards", type=int, default=1000)
    options = parser.parse_args()
    results = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            shards = min(options.shards, rows)
            write_tables(folder, rows, shards)
            results.append([rows, "posts (file)", None, None, (folder / "posts.parquet").stat().st_size / 1e6])
            for job, arguments, output in commands(folder, shards):
                stage = job.partition(" ")[0]
                command = [sys.executable, "-m", "ita", stage, *arguments, "--output", str(output)]
                run = execute([*command, "--log", str(folder / "log")])
                results.append([rows, job, run["cpu"], run["peak"], output.stat().st_size / 1e6])
    print(tabulate(results, ["posts", "job", "CPU s", "peak MB", "file MB"], floatfmt=("", "", ".1f", ".0f", ".1f")))


if __name__ == "__main__":
    main()
