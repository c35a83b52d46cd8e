"""card: the data card of a data set, as soon as its posts have been read.

    ita card twitter15
    ita card mine --configfile mine.yaml

Prints sources with their SHA-256, licence, label version, counts, repaired tags, leaks and, where they were fetched,
what became of the images, from results/DATASET/posts.parquet and images.parquet. The stage `paper` writes the same to
results/DATASET/data_card.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.config.levels import merge
from ita.config.sources import read_with_lines
from ita.errors import UserError
from ita.log import configure_log, log


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita card", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="name in the section datasets")
    parser.add_argument("--configfile", nargs="+", type=Path, default=[], help="further configuration, as Snakemake's")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        sys.stdout.write(card_of(options.dataset, options.configfile))
    except (UserError, OSError) as error:
        log.error("card: %s", error)
        return 1
    return 0


def card_of(dataset: str, configfiles: Sequence[Path]) -> str:
    """The card of a data set.

    Raises:
        UserError: for an unknown data set, or one whose posts have not been read.
    """
    from ita.config import check
    from ita.config.resolve import Resolver
    from ita.io import parquet
    from ita.reporting.data_card import data_card

    config: dict[str, Any] = {}
    for path in [Path("config.yaml"), *configfiles]:
        config = merge(config, read_with_lines(path)[0])
    check(config)
    if dataset not in config.get("datasets", {}):
        raise UserError(f"no data set {dataset!r}; there are: {', '.join(config.get('datasets', {}))}")
    posts, images = (Path("results", dataset, f"{name}.parquet") for name in ("posts", "images"))
    if not posts.is_file():
        raise UserError(f"{posts} is not there yet: snakemake --cores 1 {posts}")
    statuses = parquet.read("images", images, ["status"]).to_pylist() if images.is_file() else []
    resolver = Resolver(config)
    settings = {name: resolver.value(dataset, name) for name in ("note", "licence")}
    return data_card({"dataset": dataset, **settings}, parquet.metadata(posts), statuses)


if __name__ == "__main__":
    sys.exit(main())
