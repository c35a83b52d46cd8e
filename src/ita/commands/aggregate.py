"""aggregate: systems over several data sets and all their seeds.

    ita aggregate results/twitter15 results/twitter17
    ita aggregate results/twitter15 results/twitter17 --baseline crf --output results/both

Reads the metrics.json of every run of the data sets and compares the systems that all of them have with the baseline on
text: interquartile mean of F1, gain, probability of improvement, each with an interval over seeds. With --output also
performance profiles, and all of it in files. One data set is enough for a look at its seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.errors import UserError
from ita.log import configure_log, log

if TYPE_CHECKING:
    from ita.reporting.runs import Runs

RUNS = "runs/*/*/seed*/metrics.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita aggregate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="results/DATASET")
    parser.add_argument("--baseline", default="crf", help="system that others are compared with (default: crf)")
    parser.add_argument("--encoders", nargs="+", help="runs of these encoders alone")
    parser.add_argument("--systems", nargs="+", help="these systems alone, beside the baseline")
    parser.add_argument("--split", choices=["dev", "test"], default="test", help="whose F1 (default: test)")
    parser.add_argument("--resamples", type=int, default=10_000, help="of the seeds (default: 10000)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder for aggregate.* and profiles.*")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        aggregate(options)
    except (UserError, OSError) as error:
        log.error("aggregate: %s", error)
        return 1
    return 0


def aggregate(options: argparse.Namespace) -> None:
    """Prints the table; writes the files."""
    from ita.io.files import write_text
    from ita.io.provenance import git_commit, provenance_of
    from ita.reporting.across import Across, build, profiles
    from ita.reporting.escape import to_csv
    from ita.reporting.figures.style import save
    from ita.reporting.render import TableFiles, markdown_table, write_table

    if options.resamples < 1:
        raise UserError(f"--resamples: expected 1 or more, found {options.resamples}")
    runs: dict[str, Runs] = {}
    for folder in options.folders:
        dataset, of_folder = read_runs(folder)
        if dataset in runs:
            raise UserError(f"{folder}: runs on {dataset!r}, as those of another folder; give each data set once")
        runs[dataset] = of_folder
    selection = {name: getattr(options, name) for name in ("encoders", "systems", "baseline", "split")}
    across = Across(runs, **selection, samples=options.resamples, seed=1)
    table = build(across)
    rows = [[str(cell) for cell in row] for row in table.display.itertuples(index=False)]
    print(markdown_table(list(table.display.columns), rows), *table.notes, sep="\n\n")
    if options.output is None:
        return
    name = ", ".join(runs)
    metadata: dict[str, Any] = {
        "name": "aggregate",
        "dataset": name,
        "systems": {},
        "encoders": {},
        "commit": git_commit(),
    }
    metadata["label_version"] = "; ".join(f"{dataset}: {of_set.label_version}" for dataset, of_set in runs.items())
    settings = {key: value for key, value in vars(options).items() if key not in ("folders", "output")}
    inputs = {f"{dataset}/{file}": path for dataset, of_set in runs.items() for file, path in of_set.files.items()}
    options.output.mkdir(parents=True, exist_ok=True)
    write_table(table, TableFiles.in_folder(options.output, "aggregate"), metadata, provenance_of(settings, inputs))
    figure = profiles(across)
    title = f"{figure.title}: {name}"
    save(figure, options.output / "profiles.svg", options.output / "profiles.pdf", title, figure.notes)
    write_text(options.output / "profiles.csv", to_csv(figure.numbers))


def read_runs(folder: Path) -> tuple[str, Runs]:
    """Name of a data set, and its runs.

    Raises:
        UserError: for a folder without them.
    """
    from ita.io.files import read_json
    from ita.reporting.runs import Runs

    files = sorted(folder.glob(RUNS))
    if not files:
        raise UserError(f"{folder}: no {RUNS}; expected a folder results/DATASET with evaluated runs")
    dataset = str(read_json(files[0], "the metrics of a run").get("dataset"))
    return dataset, Runs(dataset, files)


if __name__ == "__main__":
    sys.exit(main())
