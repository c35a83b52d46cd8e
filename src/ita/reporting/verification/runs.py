"""Checks of a run folder: who it is, what it was evaluated on, and every number of its metrics.json."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from ita.data.evaluation_inputs import results_hash
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import read_json
from ita.reporting.model_card import model_card
from ita.reporting.verification.checks import Checks
from ita.reporting.verification.dataset import POSTS, DataSet
from ita.reporting.verification.recount import differences, lenient_entities, recount

METRICS, PREDICTIONS = "metrics.json", "predictions.parquet"
EVALUATE = "evaluate the run again: snakemake --cores 1 --force {metrics}"
RESTORE = "restore the file from a copy, or evaluate the run again: snakemake --cores 1 --force {metrics}"
NOT_STATED = "evaluated by an earlier version that states no hash of {what}; the rest is checked"
TRAINING = ("updates", "subwords")
BEFORE = 30
"""Characters that are quoted of a line before it differs."""

Scores = dict[str, dict[str, Any]]
"""split -> view -> scorer -> scores."""


class RunCheck:
    """The checks of one run.

    Attributes:
        folder: of the run.
        name: ``bert/crf/seed1``, by its folder.
        scores: recounted; None where it cannot be read.
    """

    def __init__(self, folder: Path, dataset: DataSet, checks: Checks) -> None:
        self.folder, self.dataset, self.checks = folder, dataset, checks
        runs = dataset.folder / "runs"
        self.name = folder.relative_to(runs).as_posix() if folder.is_relative_to(runs) else str(folder)
        self.metrics: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.scores: Scores | None = None
        self._remedies = {"metrics": dataset.target(folder / METRICS)}

    def check(self) -> Scores | None:
        """Makes all checks; gives the recounted scores, None where the run cannot be read."""
        failed = self.checks.failed
        try:
            self.metrics = read_json(self.folder / METRICS, "the metrics of a run (ita evaluate writes them)")
            rows = parquet.rows("predictions", self.folder / PREDICTIONS)
            self.metadata = parquet.metadata(self.folder / PREDICTIONS)
            self.check_identity()
            self.check_inputs()
            self.check_evaluation()
            self.scores = self.check_predictions(rows)
            self.check_numbers()
            self.check_training()
            self.check_card()
        except UserError as error:
            self.fail(str(error), EVALUATE)
        except (KeyError, TypeError, AttributeError) as error:
            self.fail(f"{METRICS} or {PREDICTIONS} lacks what files of a run have ({error!r})", EVALUATE)
        if self.checks.failed == failed and self.scores:
            posts = sum(len(self.dataset.by_split[split]) for split in self.scores)
            self.checks.ok(
                self.name,
                f"names, labels and inputs agree; all scores of {', '.join(self.scores)} follow from the tags of "
                f"{posts:,} posts in both views",
            )
        return self.scores

    def fail(self, problem: str, remedy: str) -> None:
        """A check that does not hold."""
        self.checks.fail(self.name, problem, remedy.format(**self._remedies))

    def check_identity(self) -> None:
        """All files are of the run that the folder is named after, on the labels of the posts."""
        encoder, system = self.metrics["encoder"].get("key"), self.metrics["system"].get("key")
        stated = {
            METRICS: {
                "encoder": encoder,
                "system": system,
                **{name: self.metrics[name] for name in ("dataset", "seed")},
            },
            PREDICTIONS: self.metadata["run"],
        }
        if (self.folder / "settings.json").is_file():
            settings = read_json(self.folder / "settings.json", "the settings of a run (ita train writes them)")
            stated["settings.json"] = settings.get("run") or {}
            self.compare_labels("settings.json", settings.get("label_version"))
        for file, run in stated.items():
            name = f"{run.get('encoder')}/{run.get('system')}/seed{run.get('seed')}"
            if name != self.name and self.folder.is_relative_to(self.dataset.folder):
                self.fail(f"{file} is of the run {name}: it was copied here from another run", RESTORE)
            if run.get("dataset") != stated[METRICS]["dataset"]:
                self.fail(f"{file} is of the data set {run.get('dataset')!r}, {METRICS} of another", RESTORE)
        self.compare_labels(METRICS, self.metrics["label_version"])
        self.compare_labels(PREDICTIONS, self.metadata.get("label_version"))

    def compare_labels(self, file: str, version: str | None) -> None:
        """A file names the label version of posts.parquet."""
        if version != self.dataset.label_version:
            self.fail(
                f"{file} was made with the labels {version!r}, {POSTS} has {self.dataset.label_version!r}: label "
                "versions are mixed",
                "restore the posts that the run was made from, or train and evaluate it on these: "
                "snakemake --cores 1 {metrics}",
            )

    def check_inputs(self) -> None:
        """Model, posts, context and regions are the files that were read.

        A table that was made again with the same words is another file: where hashes of the content are stated, those
        decide.
        """
        stated = self.metadata.get("inputs") or {}
        regions = [name for name in stated if name not in ("model", "posts", "context")]
        system = self.metrics["system"]
        files = {
            "model": self.folder / "model.safetensors",
            "posts": self.dataset.folder / POSTS,
            "context": self.dataset.context_file(system),
            **self.dataset.region_files(system, regions),
        }
        by_content = "evaluation" in self.metadata and self.evaluation_now() is not None
        for name, expected in stated.items():
            file = files[name]
            if not file.is_file():
                self.fail(f"{self.dataset.relative(file)} is not there", "make it again: snakemake --cores 1 {metrics}")
            elif (name == "model" or not by_content) and self.dataset.sha256(file) != expected:
                self.fail(
                    f"{self.dataset.relative(file)} is not the file that was read at evaluation (SHA-256 "
                    f"{self.dataset.sha256(file)[:12]}, expected {expected[:12]})",
                    RESTORE,
                )
        if "predictions_sha256" in self.metrics:
            actual = self.dataset.sha256(self.folder / PREDICTIONS)
            if actual != self.metrics["predictions_sha256"]:
                self.fail(f"{PREDICTIONS} is not the file that {METRICS} was written with", RESTORE)

    def evaluation_now(self) -> Any:
        """Hashes of what would be read now; None where it cannot be read."""
        system = self.metrics["system"]
        names = [name for name in self.metadata.get("inputs") or {} if name.endswith(".parquet")]
        try:
            return self.dataset.evaluation(
                system, list(self.metrics["scores"]), self.dataset.region_files(system, names)
            )
        except UserError:
            return None

    def check_evaluation(self) -> None:
        """The hashes of the evaluation's inputs are stated alike and are those of the files that lie here."""
        if "evaluation" not in self.metadata:
            self.checks.note(self.name, NOT_STATED.format(what="its inputs"))
            return
        if self.metrics.get("evaluation") != self.metadata["evaluation"]:
            self.fail(f"{METRICS} and {PREDICTIONS} state different hashes of what was evaluated", RESTORE)
        current = self.evaluation_now() or {}
        system = self.metrics["system"]
        context = self.dataset.relative(self.dataset.context_file(system))
        read = f"{context} or the regions of {system['regions']}" if system.get("regions") else context
        for split, expected in self.metadata["evaluation"].items():
            if current and current[split]["t"] != expected["t"]:
                self.fail(f"{POSTS} has other posts, words or labels of {split} than those that were scored", RESTORE)
            elif current and current[split]["it"] != expected["it"]:
                self.fail(f"{read}: holds other image texts of {split} than those that were read", RESTORE)

    def check_predictions(self, rows: list[dict[str, Any]]) -> Scores:
        """The predictions are of the posts, words and gold tags of posts.parquet; their scores, recounted."""
        scores: Scores = {}
        for split, views in self.metrics["scores"].items():
            posts = self.dataset.by_split.get(split, [])
            for view in views:
                of_view = [row for row in rows if (row["split"], row["view"]) == (split, view)]
                self.compare_posts(of_view, posts, f"{split}, view {view}")
                gold = {post["post_id"]: post["tags"] for post in posts}
                pairs = [(gold.get(row["post_id"], row["gold"]), row["predicted"]) for row in of_view]
                usable = [pair for pair in pairs if len(pair[0]) == len(pair[1])]
                scores.setdefault(split, {})[view] = recount(usable)
        return scores

    def compare_posts(self, rows: list[dict[str, Any]], posts: list[dict[str, Any]], location: str) -> None:
        """Predictions are of these posts, one after another."""
        names, expected = [row["post_id"] for row in rows], [post["post_id"] for post in posts]
        if names != expected:
            missing = sorted(set(expected) - set(names))
            first = f"; {missing[0]!r} is missing" if missing else ""
            self.fail(
                f"{PREDICTIONS} ({location}) has {len(names)} posts, {POSTS} {len(expected)}, or others{first}", RESTORE
            )
            return
        problems = [problem for row, post in zip(rows, posts, strict=True) for problem in _row_problems(row, post)]
        subject = f"{self.name}, {PREDICTIONS} ({location})"
        self.checks.fail_each(subject, problems, RESTORE.format(**self._remedies))

    def check_numbers(self) -> None:
        """Every score of metrics.json is that of the predictions, and nothing else in it was changed."""
        wrong = differences(self.metrics["scores"], self.scores, "scores")
        remedy = EVALUATE.format(**self._remedies)
        self.checks.fail_each(f"{self.name}, {METRICS}", wrong, remedy)
        if "results_sha256" not in self.metadata:
            return
        if not wrong and results_hash(self.metrics) != self.metadata["results_sha256"]:
            self.fail(f"{METRICS}: a name, time, distance or other result was changed since it was written", EVALUATE)

    def check_training(self) -> None:
        """Updates and subwords are those of history.csv."""
        history = self.folder / "history.csv"
        training = self.metrics.get("training") or {}
        if not history.is_file() or any(name not in training for name in TRAINING):
            return
        with open(history, newline="", encoding="utf-8") as file:
            epochs = list(csv.DictReader(file))
        try:
            expected = {name: sum(int(epoch[name]) for epoch in epochs) for name in TRAINING}
        except (KeyError, ValueError, TypeError):
            self.fail("history.csv is not the history of a training", "restore it from a copy, or train the run again")
            return
        wrong = differences(training, expected, "training")
        self.checks.fail_each(f"{self.name}, {METRICS}", wrong, EVALUATE.format(**self._remedies))

    def check_card(self) -> None:
        """The model card has the numbers of metrics.json; only cards with a hash of the results are made alike."""
        card, settings = self.folder / "README.md", self.folder / "settings.json"
        if not (card.is_file() and settings.is_file() and "results_sha256" in self.metadata):
            return
        evaluated = {**self.metrics, "licence": (self.metrics.get("settings") or {}).get("licence")}
        expected = model_card(read_json(settings, "the settings of a run"), evaluated).splitlines()
        actual = card.read_text(encoding="utf-8").splitlines()
        wrong = line_differences(actual, expected)
        self.checks.fail_each(f"{self.name}, README.md", wrong, EVALUATE.format(**self._remedies))


def _row_problems(row: dict[str, Any], post: dict[str, Any]) -> list[str]:
    """What is wrong with a row of predictions."""
    name = f"post {row['post_id']!r}"
    if row["tokens"] != post["tokens"]:
        return [f"{name} has other words than in {POSTS}"]
    if row["gold"] != post["tags"]:
        return [f"{name} has other gold tags than in {POSTS}"]
    spans = {(span["start"], span["end"], span["type"]) for span in row["spans"]}
    if len(row["predicted"]) != len(post["tags"]) or spans != lenient_entities(row["predicted"]):
        return [f"{name}: its predicted tags and its predicted spans differ"]
    return []


def line_differences(actual: list[str], expected: list[str]) -> list[str]:
    """Lines of a text that differ from the expected ones."""
    wrong = []
    for number, (was, should) in enumerate(zip(actual, expected, strict=False), 1):
        if was != should:
            start = max(len(os.path.commonprefix([was, should])) - BEFORE, 0)
            part = slice(start, start + 2 * BEFORE)
            wrong.append(f"line {number}: found {was[part]!r}, expected {should[part]!r}")
    if len(actual) != len(expected):
        wrong.append(f"has {len(actual)} lines, expected {len(expected)}")
    return wrong
