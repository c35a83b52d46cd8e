"""overlap: count training posts of one data set that stand in the test split of another.

    ita overlap                          all data sets of config.yaml whose posts can be read
    ita overlap twitter17 gmner          some of them
    ita overlap --hashes FILE twitter17  hashes of a test split, as the package holds them of public data sets

Posts are those of results/DATASET/posts.parquet where it is there, and are read anew otherwise (files at a URL are
downloaded once). A cell holds the test posts of the column whose text stands in the training split of the row, then
those whose image does. Texts are compared by letters and digits, without URLs; see ``ita.data.overlap``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ita.config import check
from ita.config.levels import merge
from ita.config.sources import read_with_lines
from ita.errors import UserError
from ita.log import configure_log, log


class Splits(NamedTuple):
    """What is compared of a data set."""

    train_texts: Any
    """Hashes of the training posts."""
    test_texts: Any
    train_images: frozenset[str]
    """Ids without suffix."""
    test_images: tuple[str, ...]
    test_posts: int


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita overlap", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="*", help="data sets (default: all of the configuration)")
    parser.add_argument("--configfile", nargs="+", type=Path, default=[], help="further configuration, as Snakemake's")
    parser.add_argument("--json", action="store_true", help="print counts as JSON")
    parser.add_argument("--hashes", type=Path, metavar="FILE", help="write the hashes of one data set's test split")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        overlap(options)
    except (UserError, OSError) as error:
        log.error("overlap: %s", error)
        return 1
    return 0


def overlap(options: argparse.Namespace) -> None:
    """Prints the matrix, or writes hashes."""
    config: dict[str, Any] = {}
    for path in [Path("config.yaml"), *options.configfile]:
        config = merge(config, read_with_lines(path)[0])
    check(config)
    known = list(config.get("datasets", {}))
    for name in options.datasets:
        if name not in known:
            raise UserError(f"no data set {name!r}; there are: {', '.join(known)}")
    datasets = {name: splits_of(name, config, named=bool(options.datasets)) for name in options.datasets or known}
    readable = {name: splits for name, splits in datasets.items() if splits is not None}
    if options.hashes:
        write_hashes(readable, options.hashes)
        return
    counts = {
        row: {column: count(trained, tested) for column, tested in readable.items()}
        for row, trained in readable.items()
    }
    sys.stdout.write(json.dumps(counts, indent=1) + "\n" if options.json else matrix(counts, readable))


def splits_of(name: str, config: Any, named: bool) -> Splits | None:
    """The splits of a data set; None, with a line in the log, where it has none that can be read.

    Raises:
        UserError: for a data set that was ``named`` and cannot be read.
    """
    from ita.config import Posts, load
    from ita.config.resolve import Resolver
    from ita.data.entries import image_key
    from ita.data.overlap import hashes_of
    from ita.io import parquet
    from ita.stages.posts import read_split

    folder = Path("results") / name
    try:
        if (folder / "posts.parquet").is_file():
            rows = parquet.rows("posts", folder / "posts.parquet")
        else:
            posts = load(Posts, Resolver(config).job(name, "posts")["posts"].values)
            rows = [row for split in ("train", "test") for row in read_split(split, posts, folder / "downloads")[0]]
    except UserError as error:
        if named:
            raise
        log.warning("overlap: %s is left out: %s", name, error)
        return None
    by_split = {split: [row for row in rows if row["split"] == split] for split in ("train", "test")}
    if not all(by_split.values()):
        log.warning("overlap: %s is left out: it has no train or no test split", name)
        return None
    texts = {split: hashes_of(row["tokens"] for row in part) for split, part in by_split.items()}
    images = {
        split: [image_key(row["image_id"]) for row in part if row["image_id"] is not None]
        for split, part in by_split.items()
    }
    return Splits(
        texts["train"], texts["test"], frozenset(images["train"]), tuple(images["test"]), len(by_split["test"])
    )


def count(trained: Splits, tested: Splits) -> dict[str, int]:
    """Test posts whose text and whose image stand in a training split."""
    import numpy as np

    return {
        "texts": int(np.isin(tested.test_texts, trained.train_texts).sum()),
        "images": sum(image in trained.train_images for image in tested.test_images),
        "of": tested.test_posts,
    }


def matrix(counts: dict[str, dict[str, dict[str, int]]], splits: dict[str, Splits]) -> str:
    """The counts as a table."""
    from tabulate import tabulate

    headers = ["train \\ test", *(f"{name} ({part.test_posts:,})" for name, part in splits.items())]
    rows = [
        [row, *(f"{cell['texts']:,} / {cell['images']:,}" for cell in columns.values())]
        for row, columns in counts.items()
    ]
    return (
        tabulate(rows, headers, disable_numparse=True) + "\n\ntexts / images of the test split in the training split\n"
    )


def write_hashes(read: dict[str, Splits], file: Path) -> None:
    """Writes the hashes of a test split."""
    import numpy as np

    from ita.io.files import atomic

    if len(read) != 1:
        raise UserError("--hashes takes one data set")
    with atomic(file) as part, open(part, "wb") as target:
        np.save(target, next(iter(read.values())).test_texts, allow_pickle=False)


if __name__ == "__main__":
    sys.exit(main())
