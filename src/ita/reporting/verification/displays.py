"""Checks of tables, figures and cases: made again from recounted runs and compared cell by cell, line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ita.config import Cases, load
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import read_json
from ita.reporting.cases import find_cases, read_compared_runs
from ita.reporting.escape import to_csv
from ita.reporting.figures import make_figure
from ita.reporting.figures.curves import Histories
from ita.reporting.paper_page import read_metadata
from ita.reporting.render import numbers_csv, render_table
from ita.reporting.report_table import ReportTable
from ita.reporting.runs import Run, Runs
from ita.reporting.tables import make_table
from ita.reporting.verification.checks import Checks
from ita.reporting.verification.dataset import DataSet
from ita.reporting.verification.runs import METRICS, PREDICTIONS, RunCheck, Scores, line_differences

ROW = ("encoder", "approach", "system", "view", "type", "seed", "epoch", "ocr_engine", "split")
"""Columns that name a row in a message."""
AGAIN = "make it again: snakemake --cores 1 --force {file}"
WRITTEN_LAST = {"paper.json", "ro-crate-metadata.json"}
"""Files of a paper folder whose hashes it does not state."""
NOT_PREDICTED = {"upstream"}
"""Scorers that read labels which the predictions do not keep."""


class Displays:
    """Checks of what shows runs; each run is checked once, however many tables show it."""

    def __init__(self, dataset: DataSet, checks: Checks) -> None:
        self.dataset, self.checks = dataset, checks
        self._runs: dict[str, Scores | None] = {}
        self._reported: set[Path] = set()  # files of which cells were reported

    def again(self, file: Path) -> str:
        """What to do about a file that does not hold."""
        return AGAIN.format(file=self.dataset.target(file))

    def run_in(self, folder: Path) -> Scores | None:
        """Checks the run of a folder; its recounted scores."""
        runs = self.dataset.folder / "runs"
        return self.run(folder.relative_to(runs).as_posix() if folder.is_relative_to(runs) else str(folder))

    def run(self, name: str) -> Scores | None:
        """Checks a run, by a name such as ``bert/crf/seed1``; its recounted scores."""
        if name not in self._runs:
            folder = self.dataset.folder / "runs" / name
            if (folder / METRICS).is_file() or (folder / PREDICTIONS).is_file():
                self._runs[name] = RunCheck(folder, self.dataset, self.checks).check()
            else:
                remedy = f"restore it, or make it again: snakemake --cores 1 {self.dataset.target(folder / METRICS)}"
                self.checks.fail(name, "the run was deleted: its folder has no results", remedy)
                self._runs[name] = None
        return self._runs[name]

    def check(self, json_file: Path) -> None:
        """Checks a table or figure.

        Args:
            json_file: its JSON, in the folder of the data set or a copy elsewhere.
        """
        subject = self.dataset.relative(json_file.with_suffix(""))
        try:
            content = read_json(json_file, "the .json of a table or figure")
            metadata = read_metadata(json_file)
        except UserError as error:
            self.checks.fail(subject, str(error), self.again(json_file.with_suffix(".csv")))
            return
        failed = self.checks.failed
        settings, inputs = content.get("settings") or {}, content.get("inputs") or {}
        complete = self.check_inputs(subject, inputs)
        counts = ""
        if not complete:
            self.checks.note(subject, "not recomputed, since what it was made from is not whole")
        elif "table" in settings:
            counts = self.check_table(json_file, settings, inputs, metadata)
        elif "figure" in settings:
            counts = self.check_figure(json_file, settings, inputs, metadata)
        else:
            self.checks.note(subject, "measured while the pipeline ran; its files are checked by their hashes alone")
        self.check_files(json_file, metadata, content.get("outputs") or {})
        if self.checks.failed == failed:
            self.checks.ok(subject, counts or "its files are as they were written")

    def check_inputs(self, subject: str, inputs: Mapping[str, str], context: Path | None = None) -> bool:
        """Runs and tables are those that it was made from; whether all are there.

        Args:
            subject: what was made.
            inputs: name of an input -> SHA-256.
            context: the file of the input ``context``.
        """
        runs = dict.fromkeys(name.rpartition("/")[0] for name in inputs if name.count("/") == 3)
        runs_hold = [self.run(name) is not None for name in runs]
        for name, expected in inputs.items():
            file = context if name == "context" and context else self.file_of(name)
            if not file.is_file():
                if name.count("/") != 3 or file.name not in (METRICS, PREDICTIONS):
                    self.checks.fail(
                        subject, f"{self.dataset.relative(file)} is not there", f"snakemake --cores 1 {file}"
                    )
                runs_hold.append(False)
            elif self.dataset.sha256(file) != expected:
                self.checks.fail(
                    subject,
                    f"{self.dataset.relative(file)} is not the file that it was made from (SHA-256 "
                    f"{self.dataset.sha256(file)[:12]}, expected {expected[:12]})",
                    "restore that file, or make the table or figure again, if it was changed on purpose",
                )
        return all(runs_hold)

    def file_of(self, name: str) -> Path:
        """The file of an input: ``bert/crf/seed1/metrics.json``, ``posts``, ``ocr/tesseract``."""
        folder = self.dataset.folder
        return folder / "runs" / name if name.count("/") == 3 else folder / f"{name}.parquet"

    def recounted(self, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> Runs:
        """The runs of a table, with the scores that their predictions give."""
        files = [self.file_of(name) for name in inputs]
        predictions = [file for file in files if file.name == PREDICTIONS]
        runs = Runs(str(settings["dataset"]), [file for file in files if file.name == METRICS], predictions)
        runs.all = [self.with_scores(run) for run in runs.all]
        return runs

    def with_scores(self, run: Run) -> Run:
        """A run with recounted scores; those that need other labels than the predictions stay as they are."""
        scores = self.run(str(run.id)) or {}
        stated = run.metrics["scores"]
        merged = {
            split: {
                view: {
                    **{name: stated[split][view][name] for name in NOT_PREDICTED & stated[split][view].keys()},
                    **modes,
                }
                for view, modes in views.items()
            }
            for split, views in scores.items()
        }
        return replace(run, metrics={**run.metrics, "scores": merged})

    def check_table(
        self, json_file: Path, settings: Mapping[str, Any], inputs: Mapping[str, str], metadata: dict[str, Any]
    ) -> str:
        """A table is what its runs give; says how many numbers that are."""
        subject = self.dataset.relative(json_file.with_suffix(""))
        files = {name: self.file_of(name) for name in inputs if name.count("/") != 3}
        ocr = [file for name, file in files.items() if name.startswith("ocr/")]
        try:
            runs = self.recounted(settings, inputs)
            table, expected = make_table(settings, runs, files.get("posts"), files.get("images"), ocr)
        except UserError as error:
            self.checks.fail(subject, str(error), self.again(json_file.with_suffix(".csv")))
            return ""
        expected["commit"] = metadata.get("commit")
        numbers = self.check_csv(json_file.with_suffix(".csv"), numbers_csv(table.numbers, expected))
        wrong = [*_display_differences(metadata.get("display") or {}, table), *_stated_differences(metadata, expected)]
        self.checks.fail_each(json_file.name, wrong, self.again(json_file.with_suffix(".csv")))
        source = f"the predictions of {len(runs.all)} runs" if runs.all else " and ".join(sorted(files))
        return f"{numbers:,} numbers of {len(table.numbers)} rows follow from {source}"

    def check_figure(
        self, json_file: Path, settings: Mapping[str, Any], inputs: Mapping[str, str], metadata: dict[str, Any]
    ) -> str:
        """The numbers of a figure are what its runs give; says how many that are."""
        subject = self.dataset.relative(json_file.with_suffix(""))
        try:
            runs: Runs | Histories
            if settings["figure"].get("kind") == "curves":
                files = [self.file_of(name) for name in inputs]
                runs = Histories(files, [file.with_name("settings.json") for file in files])
            else:
                runs = self.recounted(settings, inputs)
            figure, expected = make_figure(settings, runs)
        except UserError as error:
            self.checks.fail(subject, str(error), self.again(json_file.with_suffix(".csv")))
            return ""
        import matplotlib.pyplot as plt

        plt.close(figure.canvas)
        numbers = self.check_csv(json_file.with_suffix(".csv"), to_csv(figure.numbers))
        wrong = _stated_differences(metadata, {**expected, "commit": metadata.get("commit")})
        self.checks.fail_each(json_file.name, wrong, self.again(json_file.with_suffix(".csv")))
        return f"{numbers:,} numbers follow from {len(inputs)} files of runs"

    def check_csv(self, file: Path, expected: str) -> int:
        """Every cell of a CSV is the one that was computed; how many cells hold numbers."""
        if not file.is_file():
            self._reported.add(file)
            self.checks.fail(self.dataset.relative(file), "is not there", self.again(file))
            return 0
        with open(file, newline="", encoding="utf-8") as stream:
            actual = list(csv.reader(stream))
        cells = list(csv.reader(io.StringIO(expected)))
        if wrong := list(cell_differences(actual, cells)):
            self._reported.add(file)
        self.checks.fail_each(file.name, wrong, self.again(file))
        return sum(_is_number(cell) for row in cells for cell in row)

    def check_files(self, json_file: Path, metadata: dict[str, Any], outputs: Mapping[str, str]) -> None:
        """The other files are as they were written, by their hashes or, where those differ, line by line."""
        rendered = render_table(metadata) if "display" in metadata else {}
        for suffix in dict.fromkeys([*rendered, *outputs]):
            file = json_file.with_suffix(f".{suffix}")
            remedy = self.again(json_file.with_suffix(".csv"))
            if not file.is_file():
                if file not in self._reported:
                    self.checks.fail(self.dataset.relative(file), "is not there", remedy)
            elif suffix in outputs and self.dataset.sha256(file) == outputs[suffix]:
                continue
            elif suffix in rendered:
                actual = file.read_text(encoding="utf-8", errors="replace").splitlines()
                wrong = line_differences(actual, rendered[suffix].splitlines())
                if suffix in outputs and not wrong:  # its JSON states another hash than it was written with
                    wrong = [f"not the file whose hash {json_file.name} states"]
                self.checks.fail_each(file.name, wrong, remedy)
            elif file not in self._reported:
                self.checks.fail(file.name, "not the file that was written: its SHA-256 differs", remedy)
        if not outputs:
            self.checks.note(json_file.stem, "made by an earlier version that states no hashes of its files")

    def check_cases(self, file: Path) -> None:
        """The cases are what the predictions give, and their pages are as they were written."""
        subject, remedy = self.dataset.relative(file), self.again(file)
        failed = self.checks.failed
        try:
            cases, metadata = parquet.rows("cases", file), parquet.metadata(file)
            inputs = metadata.get("inputs") or {}
            section = load(Cases, metadata["settings"]["cases"])
            predictions = [self.file_of(name) for name in inputs if name.endswith(PREDICTIONS)]
            if not self.check_inputs(subject, inputs, self.context_of(predictions, section.image_text)):
                self.checks.note(subject, "not recomputed, since what it was made from is not whole")
                return
            expected = find_cases(read_compared_runs(predictions, str(metadata["settings"]["dataset"]), section))
        except UserError as error:
            self.checks.fail(subject, str(error), remedy)
            return
        wrong = case_differences(cases, expected)
        self.checks.fail_each(subject, wrong, remedy)
        for suffix, expected_hash in (metadata.get("outputs") or {}).items():
            page = file.with_suffix(f".{suffix}")
            if not page.is_file() or self.dataset.sha256(page) != expected_hash:
                self.checks.fail(self.dataset.relative(page), "not the file that was written", remedy)
        if self.checks.failed == failed:
            self.checks.ok(subject, f"{len(cases)} cases follow from the predictions")

    def context_of(self, predictions: Sequence[Path], system: str) -> Path | None:
        """The context table that a system among some runs reads."""
        for file in predictions:
            metrics = file.with_name(METRICS)
            if file.parent.parent.name == system and metrics.is_file():
                return self.dataset.context_file(read_json(metrics, "the metrics of a run")["system"])
        return None

    def check_folder(self, folder: Path) -> None:
        """All tables, figures and cases of a folder."""
        for json_file in sorted(folder.glob("*.json")):
            if is_display(json_file):
                self.check(json_file)
        if (folder / "cases.parquet").is_file():
            self.check_cases(folder / "cases.parquet")

    def check_paper(self, folder: Path) -> None:
        """Every table and figure of the folder, and all its files by their hashes."""
        self.check_folder(folder)
        subject, remedy = self.dataset.relative(folder), self.again(folder)
        if not (folder / "paper.json").is_file():
            self.checks.note(subject, "made by an earlier version: no paper.json has the hashes of its files")
            return
        outputs = read_json(folder / "paper.json", "what a folder of tables holds").get("outputs") or {}
        paths = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        files = {path.name: self.dataset.sha256(path) for path in paths if path.name not in WRITTEN_LAST}
        wrong = [
            f"{name} is not the file that was put there" for name, sha in files.items() if outputs.get(name) != sha
        ]
        wrong += [f"{name} is not there" for name in outputs if name not in files]
        self.checks.fail_each(subject, wrong, remedy)
        if not wrong:
            self.checks.ok(subject, f"{len(files)} files are those that were put there")


def is_display(file: Path) -> bool:
    """Whether a JSON is that of a table or figure, or should be: one that cannot be read is told when it is checked."""
    try:
        return "metadata" in read_json(file, "the .json of a table or figure")
    except UserError:
        return True


def case_differences(actual: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> list[str]:
    """Cases that differ from those that the predictions give, whose columns are compared."""
    was, should = ({(case["kind"], case["post_id"]): case for case in cases} for cases in (actual, expected))
    wrong = [f"post {post!r} ({kind}) is missing" for kind, post in should if (kind, post) not in was]
    wrong += [
        f"post {post!r} is no case ({kind}) by the predictions" for kind, post in was if (kind, post) not in should
    ]
    return wrong + [
        f"post {key[1]!r}: {column} is not what the predictions give"
        for key, case in should.items()
        for column in case
        if key in was and was[key][column] != case[column]
    ]


def cell_differences(actual: Sequence[Sequence[str]], expected: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells of a CSV that differ, by row and column."""
    if not expected or not actual or actual[0] != expected[0]:
        yield "has other columns than its runs give"
        return
    columns = expected[0]
    if len(actual) != len(expected):
        yield f"has {len(actual) - 1} rows, its runs give {len(expected) - 1}"
    for number, (was, should) in enumerate(zip(actual[1:], expected[1:], strict=False), 1):
        row = ", ".join(value for name, value in zip(columns, should, strict=False) if name in ROW and value)
        if len(was) != len(should):
            yield f"row {number} ({row}) has {len(was)} cells, expected {len(should)}"
        for column, cell, value in zip(columns, was, should, strict=False):
            if cell != value:
                yield f"row {number} ({row}), column {column}: found {cell!r}, recomputed {value!r}"


def _display_differences(display: Mapping[str, Any], table: ReportTable) -> list[str]:
    """Cells for reading in a table's JSON that differ from the recomputed ones."""
    columns = [str(name) for name in table.display.columns]
    rows = [[str(value) for value in row] for row in table.display.itertuples(index=False)]
    if display.get("columns") != columns or len(display.get("rows") or ()) != len(rows):
        return ["its display has other rows or columns than its runs give"]
    return [
        f"row {number} ({', '.join(should[: table.label_columns])}), {column}: shows {cell!r}, recomputed {value!r}"
        for number, (was, should) in enumerate(zip(display["rows"], rows, strict=True), 1)
        for column, cell, value in zip(columns, was, should, strict=True)
        if cell != value
    ]


def _stated_differences(metadata: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What a JSON says of its runs (seeds, labels, hashes, models) against what these say."""
    return [
        f"{name}: states {str(metadata[name])[:60]}, its runs {str(value)[:60]}"
        for name, value in expected.items()
        if name in metadata and name not in ("notes", "title") and metadata[name] != value
    ]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
