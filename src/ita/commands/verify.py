"""verify: recompute every number of tables, figures and runs from the predictions, and check every file.

    ita verify results/twitter17/table1.csv           a table or figure, with all its runs
    ita verify results/twitter17/paper                a folder of tables and figures
    ita verify results/twitter17/runs/bert/crf/seed1  a run, or a folder of runs
    ita verify results/twitter17                      all of these of a data set

Scores are counted anew from predictions.parquet and the gold tags of posts.parquet; means, deviations, tests and marks
are made from them again and compared with every cell. Model, posts, contexts and regions must be those that were
evaluated, labels of one version, and every file the one that was written. Each check is a line; the exit code is 0
where all hold, and 1 otherwise.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ita.errors import UserError
from ita.io.disk_errors import explained
from ita.log import configure_log, log, progress

if TYPE_CHECKING:
    from ita.reporting.verification.displays import Displays

RUN_FILES = ("metrics.json", "predictions.parquet")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="file or folder to check")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="folder of the data set's results (default: the one around PATH that holds posts.parquet)",
    )
    options = parser.parse_args(argv)
    configure_log(None, logging.WARNING)
    try:
        return verify(options.paths, options.results)
    except BrokenPipeError:
        raise  # nobody reads on: the caller ends quietly
    except (UserError, OSError) as error:
        log.error("verify: %s", explained(error))
        return 1


def verify(paths: Sequence[Path], results: Path | None) -> int:
    """Checks all paths; the exit code.

    Raises:
        UserError: for a path that is nothing that can be checked.
    """
    from ita.reporting.verification.checks import Checks
    from ita.reporting.verification.dataset import DataSet
    from ita.reporting.verification.displays import Displays

    checks = Checks(sys.stdout)
    displays: dict[Path, Displays] = {}
    for path in paths:
        folder = (results or results_of(path)).absolute()
        if folder not in displays:
            displays[folder] = Displays(DataSet(folder), checks)
        check(path.absolute(), displays[folder])
    print(checks.summary())
    return 1 if checks.failed else 0


def results_of(path: Path) -> Path:
    """The folder of a data set's results around a path.

    Raises:
        UserError: where there is none.
    """
    for folder in (path.absolute(), *path.absolute().parents):
        if (folder / "posts.parquet").is_file():
            return folder
    raise UserError(f"{path}: no folder around it holds posts.parquet; name the folder of the data set with --results")


def check(path: Path, displays: Displays) -> None:
    """Checks one path.

    Raises:
        UserError: for a path that is nothing that can be checked.
    """
    if path == displays.dataset.folder:
        check_dataset(displays)
    elif (path / "index.html").is_file() or (path / "paper.json").is_file():
        displays.check_paper(path)
    elif path.is_dir():
        check_runs(path, displays)
    elif path.stem == "cases":
        displays.check_cases(path.with_suffix(".parquet"))
    elif path.name in RUN_FILES or (path.parent / RUN_FILES[0]).is_file():
        check_runs(path.parent, displays)
    elif path.with_suffix(".json").is_file():
        displays.check(path.with_suffix(".json"))
    else:
        raise UserError(
            f"{path}: expected a table or figure with its .json beside it, cases, a folder of them (paper), a run, or "
            "the folder of a data set"
        )


def check_runs(folder: Path, displays: Displays) -> None:
    """Checks a run, or all runs below a folder.

    Raises:
        UserError: where there is none.
    """
    runs = sorted({file.parent for name in RUN_FILES for file in folder.rglob(name)})
    if not runs:
        raise UserError(f"{folder}: holds no run: no {' or '.join(RUN_FILES)}")
    for run in progress(runs, len(runs), "verify", "run"):
        displays.run_in(run)


def check_dataset(displays: Displays) -> None:
    """Checks all runs, tables, figures and cases of a data set."""
    folder = displays.dataset.folder
    if (folder / "runs").is_dir():
        check_runs(folder / "runs", displays)
    displays.check_folder(folder)
    if (folder / "paper").is_dir():
        displays.check_paper(folder / "paper")


if __name__ == "__main__":
    sys.exit(main())
