"""compare: print how two runs, or two systems over their seeds, differ on the same posts.

    ita compare results/twitter17/runs/bert/crf results/twitter17/runs/bert/ita-all-cva
    ita compare RUN RUN --view t --limit 20
    ita compare RUN RUN --json > comparison.json

RUN is a run folder, its predictions.parquet, or the folder of a system with a run per seed; seeds that both have are
compared. Printed are F1 over all entities, per type and per slice (entities seen in training or not, posts with an
image or OCR text) with intervals, the difference with its interval and p, which types were taken for which, and posts
that one side has right and the other wrong, with their gold entities and both predictions.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ita.errors import UserError
from ita.io.disk_errors import explained
from ita.log import configure_log, log

RESAMPLES = 10_000


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", type=Path, metavar="RUN", help="run or system that is compared with")
    parser.add_argument("b", type=Path, metavar="RUN", help="run or system whose difference is printed")
    parser.add_argument("--split", default="test", help="posts to compare on (default: test)")
    parser.add_argument(
        "--view",
        choices=("t", "it"),
        help="t (text) or it (image text and text); default: of each side I+T, where it is trained on it, else T",
    )
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="posts shown of each kind (default: 5)")
    parser.add_argument(
        "--resamples", type=int, default=RESAMPLES, metavar="N", help="of the bootstrap (default: 10000)"
    )
    parser.add_argument("--json", action="store_true", help="print all of it as JSON, every post that changed included")
    options = parser.parse_args(argv)
    if options.limit < 0 or options.resamples < 1:
        parser.error("--limit must be at least 0, --resamples at least 1")
    configure_log(None, logging.WARNING)
    try:
        print_comparison(options)
    except BrokenPipeError:
        raise  # nobody reads on: the caller ends quietly
    except (UserError, OSError) as error:
        log.error("compare: %s", explained(error))
        return 1
    return 0


def print_comparison(options: argparse.Namespace) -> None:
    """Prints the comparison as text or JSON.

    Raises:
        UserError: for runs that cannot be read or compared.
    """
    from ita.reporting.run_comparison import compare, paired, read_facts, read_side
    from ita.reporting.run_comparison_text import lines_of
    from ita.reporting.terminal import has_colours

    sides = (read_side(path, options.split, options.view) for path in (options.a, options.b))
    a, b = paired(*sides)
    comparison = compare(a, b, read_facts(a.folder), options.resamples)
    if options.json:
        print(json.dumps({"split": options.split, **comparison}, indent=1, ensure_ascii=False))
        return
    for line in lines_of(comparison, options.split, options.limit, has_colours(sys.stdout)):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
