"""Predictions as the page reads them: for each system, seed and view the entities of each post, their posteriors and
what kind of error each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ita.data import VIEWS
from ita.data.tags import Span, spans
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.pages.post_data import Posts
from ita.reporting.pages.sources import per_mille
from ita.reporting.runs import RunId, read_predictions_id, single_label_version
from ita.significance.errors import INVENTED, kind_of_pair, pair_spans

ALONE = -1
"""In place of the number of a gold entity."""

Records = dict[str, list[list[list[int]]]]
"""View -> of each seed, in order, of each predicted post, in order: its entities."""


@dataclass
class SystemRuns:
    """Runs of one system with one encoder."""

    encoder: str
    system: str
    files: dict[int, Path] = field(default_factory=dict)
    """Seed -> predictions.parquet."""

    @property
    def seeds(self) -> list[int]:
        """Ascending."""
        return sorted(self.files)


def group_runs(predictions: Sequence[Path], dataset: str, label_version: str | None) -> list[SystemRuns]:
    """Runs by encoder and system, in the order in which they come.

    Raises:
        UserError: for a run on another data set or other labels, or one that is there twice.
    """
    groups: dict[tuple[str, str], SystemRuns] = {}
    for path in predictions:
        run_id = read_predictions_id(path)
        check_run(run_id, path, dataset)
        runs = groups.setdefault((run_id.encoder, run_id.system), SystemRuns(run_id.encoder, run_id.system))
        if run_id.seed in runs.files:
            raise UserError(f"{path} and {runs.files[run_id.seed]}: both are of the run {run_id}; give one")
        runs.files[run_id.seed] = path
    versions = {parquet.metadata(path).get("label_version") for runs in groups.values() for path in runs.files.values()}
    single_label_version(versions | {label_version})
    return list(groups.values())


def check_run(run_id: RunId, path: Path, dataset: str) -> None:
    """Raises UserError for a run on another data set."""
    if run_id.dataset != dataset:
        raise UserError(f"{path}: a run on {run_id.dataset!r}, expected runs on {dataset!r}")


def run_records(posts: Posts, runs: SystemRuns) -> dict[str, Any]:
    """What runs predicted, by view, seed and post.

    An entity is six numbers: first word, the one behind the last, type, posterior in thousandths, kind of error, number
    of the gold entity that it was paired with. Gold entities that no entity names were missed.

    Raises:
        UserError: when the posts of a run are not those of the data set, or runs were evaluated on different posts.
    """
    numbers = {post["post_id"]: number for number, post in enumerate(posts.rows)}
    reference: list[int] | None = None
    views: Records = {view: [] for view in VIEWS}
    for seed in runs.seeds:
        rows = [row for row in parquet.stream("predictions", runs.files[seed], 1024) if row["post_id"] in numbers]
        for view, records in views.items():
            of_view = sorted((numbers[row["post_id"]], row) for row in rows if row["view"] == view)
            predicted = [number for number, _ in of_view]
            if reference is not None and predicted != reference:
                raise UserError(f"{runs.files[seed]}: evaluated on different posts than other seeds; evaluate again")
            reference = predicted
            records.append([_entities(posts, number, row, runs.files[seed]) for number, row in of_view])
    return {"posts": reference or [], "seeds": runs.seeds, "views": views}


def _entities(posts: Posts, number: int, row: Mapping[str, Any], path: Path) -> list[int]:
    """Entities of one post, one after another."""
    post = posts.rows[number]
    if row["gold"] != post["tags"]:
        raise UserError(f"{path}: the gold tags of {post['post_id']} are not those of the posts; evaluate again")
    gold, predicted = spans(post["tags"]), spans(row["predicted"])
    posteriors = {Span(span["start"], span["end"], span["type"]): span["posterior"] for span in row["spans"] or ()}
    partners = {j: i for i, j in pair_spans(gold, predicted).pairs}
    record = []
    for j, span in enumerate(predicted):
        i = partners.get(j, ALONE)
        kind = INVENTED if i == ALONE else kind_of_pair(gold[i], span)
        posterior = per_mille(posteriors.get(span))
        record += [
            span.start,
            span.end,
            posts.type_number(span.type),
            ALONE if posterior is None else posterior,
            kind,
            i,
        ]
    return record
