"""Numbers of the charts: calibration, confusion of types, F1 over the length of the context; from predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ita.data.tags import Span, spans
from ita.data.visual_context import SEPARATOR
from ita.errors import UserError
from ita.io import parquet
from ita.significance.calibration import Bin, expected_calibration_error, reliability
from ita.significance.counts import GOLD, IntArray, count_spans, micro_f1
from ita.significance.errors import pair_spans
from ita.significance.resampling import Resamples

MISSED, INVENTED = "missed", "invented"
LENGTHS = (0, 10, 25, 50, 100)
"""Most words of a context in each bin but the last, which has all longer ones."""
FEWEST = 10
"""Gold spans that a bin needs."""
SAMPLES, SEED = 1000, 1
"""Of the bootstrap."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class ViewPredictions:
    """Predictions of all seeds of one system in one view of one split: S seeds, P posts.

    Attributes:
        seeds: of each seed the rows, in the same order of posts.
    """

    seeds: Sequence[Sequence[Row]]

    @classmethod
    def read(cls, paths: Sequence[Path], split: str, view: str) -> ViewPredictions:
        """From predictions.parquet of each seed.

        Raises:
            UserError: when seeds were evaluated on different posts.
        """
        columns = ["post_id", "split", "view", "gold", "predicted", "spans"]
        seeds: list[Sequence[Row]] = []
        for path in paths:
            rows = parquet.stream("predictions", path, 1024, columns)
            shown = sorted(
                (row for row in rows if (row["split"], row["view"]) == (split, view)), key=lambda row: row["post_id"]
            )
            if seeds and [row["post_id"] for row in shown] != [row["post_id"] for row in seeds[0]]:
                raise UserError(f"{path}: evaluated on different posts than other seeds; evaluate again")
            seeds.append(shown)
        return cls(seeds)

    @property
    def posts(self) -> list[str]:
        """Names of the posts."""
        return [row["post_id"] for row in self.seeds[0]]

    @cached_property
    def counts(self) -> IntArray:
        """(S, P, 3): true positives, predicted and gold spans."""
        return np.stack(
            [count_spans([row["gold"] for row in rows], [row["predicted"] for row in rows]) for rows in self.seeds]
        )

    def posteriors(self, seed: int) -> tuple[list[float], list[bool]]:
        """Posterior of each predicted span of a seed, and whether the span is a gold one."""
        posteriors, right = [], []
        for row in self.seeds[seed]:
            gold = set(spans(row["gold"]))
            for span in row["spans"] or ():
                if span["posterior"] is not None:
                    posteriors.append(span["posterior"])
                    right.append(Span(span["start"], span["end"], span["type"]) in gold)
        return posteriors, right

    def calibration(self) -> tuple[list[Bin], float | None]:
        """Bins over the predicted spans of all seeds, and the mean of the seeds' calibration errors in percent."""
        of_seeds = [self.posteriors(seed) for seed in range(len(self.seeds))]
        confidences = [posterior for posteriors, _ in of_seeds for posterior in posteriors]
        correct = [right for _, hits in of_seeds for right in hits]
        errors = [expected_calibration_error(*seed) for seed in of_seeds if seed[0]]
        return reliability(confidences, correct), fmean(errors) if errors else None

    def confusion(self) -> dict[tuple[str, str], float]:
        """Gold and predicted type of spans that share words -> how many, as a mean over seeds.

        Spans without a partner are missed, or invented.
        """
        counts: Counter[tuple[str, str]] = Counter()
        for rows in self.seeds:
            for row in rows:
                gold, predicted = spans(row["gold"]), spans(row["predicted"])
                paired = pair_spans(gold, predicted)
                counts.update((gold[i].type, predicted[j].type) for i, j in paired.pairs)
                counts.update((gold[i].type, MISSED) for i in paired.missed)
                counts.update((INVENTED, predicted[j].type) for j in paired.invented)
        return {pair: count / len(self.seeds) for pair, count in counts.items()}

    def over_lengths(self, lengths: Mapping[str, int]) -> list[LengthBin]:
        """F1 over the length of contexts; bins of fewer than ``FEWEST`` gold spans are left out.

        Args:
            lengths: words in the context of each post.
        """
        words = np.array([lengths[post] for post in self.posts])
        edges = np.searchsorted(LENGTHS, words, side="left")
        bins = []
        for number in range(len(LENGTHS) + 1):
            counts = self.counts[:, edges == number]
            gold = int(counts[0, :, GOLD].sum())
            if gold >= FEWEST:
                low, high = Resamples(counts.shape[1], SAMPLES, SEED).interval(counts)
                bins.append(LengthBin(number, counts.shape[1], gold, float(np.mean(micro_f1(counts))), low, high))
        return bins


@dataclass(frozen=True)
class LengthBin:
    """F1 in percent of the posts whose contexts are of like length, with its 95 % interval over posts."""

    number: int
    posts: int
    entities: int
    f1: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """Such as 11–25 words."""
        if self.number == len(LENGTHS):
            return f"> {LENGTHS[-1]}"
        low = LENGTHS[self.number - 1] + 1 if self.number else 0
        return str(low) if low == LENGTHS[self.number] else f"{low}–{LENGTHS[self.number]}"


def first_split(path: Path) -> str:
    """The split whose predictions are shown: test, or dev where there is no other."""
    splits = {row["split"] for row in parquet.stream("predictions", path, 1024, ["split"])}
    return "test" if "test" in splits or not splits else "dev"


def context_lengths(path: Path) -> dict[str, int]:
    """Words in the context of each post, without separators."""
    rows = parquet.stream("contexts", path, 1024, ["post_id", "kinds"])
    return {row["post_id"]: sum(kind != SEPARATOR for kind in row["kinds"]) for row in rows}
