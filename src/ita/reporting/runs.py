"""Runs of a dataset: their metrics and predictions, by encoder and system."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from ita.errors import UserError
from ita.io import parquet

Tags = list[list[str]]


@dataclass(frozen=True)
class SplitPredictions:
    """Predictions of one run in one view of one split: P posts."""

    posts: list[str]
    gold: Tags
    predicted: Tags
    spans: list[list[dict[str, Any]]]


@dataclass(frozen=True)
class Run:
    """One trained and evaluated tagger; its folder is {encoder}/{system}/seed{seed}."""

    metrics: Path
    encoder: str
    system: str
    facts: dict[str, Any]
    predictions_file: Path | None

    @property
    def seed(self) -> int:
        """Seed of its training."""
        return int(self.facts["seed"])

    def scores(self, split: str, view: str, mode: str = "default") -> dict[str, Any]:
        """Precision, recall, f1 in percent, over all types and per type.

        Raises:
            UserError: when the run was not evaluated on the split.
        """
        try:
            return dict(self.facts["scores"][split][view][mode])
        except (KeyError, TypeError):
            raise UserError(
                f"{self.metrics}: no scores on the split {split!r}; name it in evaluate.splits, or choose another"
            ) from None

    @cached_property
    def _predictions(self) -> Any:
        if self.predictions_file is None:
            raise UserError(f"{self.metrics}: the predictions of this run are missing among --predictions")
        columns = ["post_id", "split", "view", "gold", "predicted", "spans"]
        return parquet.read("predictions", self.predictions_file, columns)

    def predictions(self, split: str, view: str) -> SplitPredictions:
        """What it found. Raises UserError when its predictions.parquet can not be read."""
        table = self._predictions
        mine = table.filter(pc.and_(pc.equal(table["split"], split), pc.equal(table["view"], view)))
        columns = [mine[name].to_pylist() for name in ("post_id", "gold", "predicted", "spans")]
        return SplitPredictions(*columns)


class Runs:
    """All runs that a table or figure reads."""

    def __init__(self, metrics: Sequence[Path], predictions: Sequence[Path] = ()) -> None:
        """Reads every metrics.json; predictions are read when they are asked for.

        Raises:
            UserError: for a file that is none, or runs on different labels.
        """
        by_folder = {path.parent: path for path in predictions}
        self.all = [_read(path, by_folder.get(path.parent)) for path in metrics]
        versions = sorted({str(run.facts["label_version"]) for run in self.all})
        if len(versions) > 1:
            raise UserError(
                f"runs were made on different labels ({', '.join(versions)}): train them again on one version"
            )
        self.label_version = versions[0] if versions else None

    def of(self, encoder: str, system: str) -> list[Run]:
        """Runs of one system with one encoder, by seed.

        Raises:
            UserError: when there is none.
        """
        mine = [run for run in self.all if (run.encoder, run.system) == (encoder, system)]
        if not mine:
            raise UserError(f"no run of {system} with {encoder}: expected its metrics.json among --metrics")
        return sorted(mine, key=lambda run: run.seed)

    def about(self) -> dict[str, Any]:
        """Seeds, label version and models of the encoders, for the statement under a table."""
        return {
            "seeds": sorted({run.seed for run in self.all}),
            "label_version": self.label_version,
            "models": {run.encoder: run.facts["encoder"]["model"] for run in self.all},
            "run_commits": sorted({str(run.facts["commit"]) for run in self.all if run.facts.get("commit")}),
        }


def _read(path: Path, predictions: Path | None) -> Run:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        {facts[key] for key in ("seed", "label_version")}, facts["scores"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a metrics.json ({error}); run its evaluate stage again") from None
    encoder, system = path.parts[-4:-2]
    return Run(path, encoder, system, facts, predictions)
