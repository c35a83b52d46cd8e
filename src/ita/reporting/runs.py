"""Runs of a data set: their metrics, predictions and histories, found by the identity that each file states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from ita.config.sections import RUN_ENCODER
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import read_json
from ita.reporting.evaluations import check_evaluations, evaluation_metadata

Tags = list[list[str]]


class RunId(NamedTuple):
    """What a run is called: names in ``datasets``, ``encoders`` and ``systems``, and its seed."""

    dataset: str
    encoder: str
    system: str
    seed: int

    def __str__(self) -> str:
        return f"{self.encoder}/{self.system}/seed{self.seed}"


@dataclass(frozen=True)
class SplitPredictions:
    """Predictions of one run in one view of one split: P posts."""

    posts: list[str]
    gold: Tags
    predicted: Tags
    spans: list[list[dict[str, Any]]]
    """Predicted spans with their posteriors."""


@dataclass(frozen=True)
class Run:
    """One trained and evaluated tagger."""

    id: RunId
    metrics_file: Path
    metrics: Mapping[str, Any]
    predictions_file: Path | None

    @property
    def seed(self) -> int:
        """Seed of its training."""
        return self.id.seed

    def scores(self, split: str, view: str, mode: str = "default") -> dict[str, Any]:
        """Precision, recall, f1 in percent, over all types and per type.

        Raises:
            UserError: when the run was not evaluated on the split.
        """
        try:
            return dict(self.metrics["scores"][split][view][mode])
        except (KeyError, TypeError):
            raise UserError(
                f"{self.metrics_file}: no scores on the split {split!r}; add it to evaluate.splits, or choose another"
            ) from None

    def training(self, name: str) -> float | None:
        """A number that its training states, such as ``updates``; None in metrics of an older version."""
        value = (self.metrics.get("training") or {}).get(name)
        return None if value is None else float(value)

    @property
    def names_encoders(self) -> bool:
        """Whether its system reads other encoders than the one of the run."""
        return bool(self.metrics["system"].get("encoders", [RUN_ENCODER]) != [RUN_ENCODER])

    @property
    def models(self) -> list[str]:
        """Models of its encoders."""
        encoder = self.metrics["encoder"]
        return [str(encoder.get("model")), *encoder.get("further_models", [])]

    def has_scores(self, split: str, view: str, mode: str) -> bool:
        """Whether it has the scores of a scorer that only some systems have."""
        return mode in self.metrics["scores"].get(split, {}).get(view, {})

    @cached_property
    def _predictions(self) -> Any:
        if self.predictions_file is None:
            raise UserError(f"{self.id}: predictions.parquet of this run is missing among --predictions")
        columns = ["post_id", "split", "view", "gold", "predicted", "spans"]
        return parquet.read("predictions", self.predictions_file, columns)

    def predictions(self, split: str, view: str) -> SplitPredictions:
        """Predictions on a split in a view.

        Raises:
            UserError: when its predictions.parquet is missing or cannot be read.
        """
        table = self._predictions
        rows = table.filter(pc.and_(pc.equal(table["split"], split), pc.equal(table["view"], view)))
        columns = [rows[name].to_pylist() for name in ("post_id", "gold", "predicted", "spans")]
        return SplitPredictions(*columns)


class Runs:
    """All runs that a table or figure reads."""

    def __init__(self, dataset: str, metrics: Sequence[Path], predictions: Sequence[Path] = ()) -> None:
        """Reads every metrics.json; predictions are read on demand.

        Args:
            dataset: the data set that all of them are of.
            metrics: metrics.json of every run.
            predictions: predictions.parquet of the same runs, in any order.

        Raises:
            UserError: for a file of another kind or data set, or for runs on different labels or inputs.
        """
        self._predictions = {read_predictions_id(path): path for path in predictions}
        self.all = [_read_run(path, self._predictions) for path in metrics]
        files: dict[RunId, Path] = {}
        for run in self.all:
            if run.id.dataset != dataset:
                raise UserError(f"{run.metrics_file}: a run on {run.id.dataset!r}, expected runs on {dataset!r}")
            if run.id in files:
                raise UserError(f"{run.metrics_file} and {files[run.id]}: both are of the run {run.id}; give one")
            files[run.id] = run.metrics_file
        self.label_version = single_label_version(run.metrics["label_version"] for run in self.all)
        check_evaluations({run.metrics_file: run.metrics for run in self.all})

    def of(self, encoder: str, system: str) -> list[Run]:
        """Runs of one system with one encoder, by seed.

        Raises:
            UserError: when there is none.
        """
        runs = [run for run in self.all if (run.id.encoder, run.id.system) == (encoder, system)]
        if not runs:
            raise UserError(f"no run of {system} with {encoder}: expected its metrics.json among --metrics")
        return sorted(runs, key=lambda run: run.seed)

    def by_row(self, encoders: Collection[str], systems: Collection[str | None]) -> list[list[Run]]:
        """Runs of each pair of encoder and system that has some."""
        rows: dict[tuple[str, str], list[Run]] = {}
        for run in self.all:
            if run.id.encoder in encoders and run.id.system in systems:
                rows.setdefault((run.id.encoder, run.id.system), []).append(run)
        return list(rows.values())

    @property
    def leaks(self) -> dict[tuple[str, str], int]:
        """Encoder and system of runs whose encoder was trained on test posts of this data set -> so many of them."""
        posts = {
            (run.id.encoder, run.id.system): run.metrics.get("encoder_overlap", {}).get(self.label_version)
            for run in self.all
        }
        return {row: count["posts"] for row, count in posts.items() if count}

    @property
    def metadata(self) -> dict[str, Any]:
        """Seeds, label version, models of the encoders and commits, for the footer of a table.

        Systems that name their encoders have their models in an entry of their own.
        """
        system_models = {run.id.system: run.models for run in self.all if run.names_encoders}
        return {
            "seeds": sorted({run.seed for run in self.all}),
            "label_version": self.label_version,
            "models": {
                run.id.encoder: run.metrics["encoder"].get("model") for run in self.all if not run.names_encoders
            },
            **({"system_models": system_models} if system_models else {}),
            "run_commits": sorted({str(run.metrics["commit"]) for run in self.all if run.metrics.get("commit")}),
            **evaluation_metadata({str(run.id): run.metrics for run in self.all}),
        }

    @property
    def files(self) -> dict[str, Path]:
        """All files by readable names, for the provenance."""
        metrics = {f"{run.id}/metrics.json": run.metrics_file for run in self.all}
        return metrics | {f"{run_id}/predictions.parquet": path for run_id, path in self._predictions.items()}


def read_predictions_id(path: Path) -> RunId:
    """The run that a predictions.parquet belongs to.

    Raises:
        UserError: when the file cannot be read or does not say.
    """
    parquet.read("predictions", path, [])  # checks that it is one
    return _run_id(path, parquet.metadata(path).get("run"))


def single_label_version(versions: Iterable[Any]) -> str | None:
    """The label version that all runs share; None without runs.

    Raises:
        UserError: for runs on different labels.
    """
    names = sorted({str(version) for version in versions})
    if len(names) > 1:
        raise UserError(f"runs were made on different labels ({', '.join(names)}): train them again on one version")
    return names[0] if names else None


def _read_run(path: Path, predictions: Mapping[RunId, Path]) -> Run:
    metrics = read_json(path, "the metrics of a run (ita evaluate writes them)")
    encoder, system = metrics.get("encoder"), metrics.get("system")
    if not (isinstance(encoder, dict) and isinstance(system, dict)):
        run_id = _run_id(path, None)
    else:
        run_id = _run_id(path, {**metrics, "encoder": encoder.get("key"), "system": system.get("key")})
    if missing := [key for key in ("label_version", "scores") if key not in metrics]:
        raise UserError(f"{path}: not the metrics of a run ({', '.join(missing)} missing); run evaluate again")
    return Run(run_id, path, metrics, predictions.get(run_id))


def _run_id(path: Path, run: Any) -> RunId:
    """Identity of a run as its file states it."""
    if not isinstance(run, dict) or any(run.get(name) is None for name in RunId._fields):
        raise UserError(
            f"{path}: does not say of which data set, encoder, system and seed it is, as files of this version do; "
            "run evaluate again"
        )
    return RunId(str(run["dataset"]), str(run["encoder"]), str(run["system"]), int(run["seed"]))
