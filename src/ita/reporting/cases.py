"""Qualitative examples: posts where image text helped, and where it misled and alignment did not.

Three systems are compared: ``text_only``, ``image_text`` and ``aligned``. A post is right when its predicted spans are
exactly its gold spans. A case is what holds in more than half of the seeds, each compared with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ita.config import Cases
from ita.data.tags import spans
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.runs import RunId, read_predictions_id, single_label_version

ROLE_VIEWS = {"text_only": "t", "image_text": "it", "aligned": "it"}
"""Role of a system -> the view in which it is read."""
KINDS = ("helped", "misled")

Predictions = dict[str, dict[str, Any]]
"""post_id -> row of predictions"""


@dataclass(frozen=True)
class ComparedRuns:
    """Predictions of the three systems on one split."""

    by_role: Mapping[str, Mapping[int, Predictions]]
    """Role -> seed -> predictions in the view of the role."""
    label_version: str
    files: Mapping[str, Path]
    """Files that were read, by readable names."""
    evaluation: str | None
    """Hash of the posts, words and labels that they were scored on; None where no run states it."""

    @property
    def seeds(self) -> list[int]:
        """The seeds, the same of all three systems."""
        return sorted(self.by_role["text_only"])

    @property
    def posts(self) -> list[str]:
        """Names of the posts, the same in all runs."""
        return list(self.by_role["text_only"][self.seeds[0]])


def read_compared_runs(predictions: Sequence[Path], dataset: str, cases: Cases) -> ComparedRuns:
    """Predictions of the runs of the three systems; files of other runs are passed over.

    Raises:
        UserError: when a run is missing, or when runs differ in data set, labels or posts.
    """
    by_role: dict[str, dict[int, Predictions]] = {role: {} for role in ROLE_VIEWS}
    files: dict[str, Path] = {}
    for path in predictions:
        run_id = read_predictions_id(path)
        roles = _roles_of(run_id, cases)
        if not roles:
            continue
        if run_id.dataset != dataset:
            raise UserError(f"{path}: a run on {run_id.dataset!r}, expected runs on {dataset!r}")
        rows = [row for row in parquet.stream("predictions", path, 1024) if row["split"] == cases.split]
        for role in roles:
            of_view = {row["post_id"]: row for row in rows if row["view"] == ROLE_VIEWS[role]}
            by_role[role][run_id.seed] = of_view
        files[f"{run_id}/predictions.parquet"] = path
    stated = [parquet.metadata(path) for path in files.values()]
    version = single_label_version(metadata.get("label_version") for metadata in stated)
    hashes = {metadata.get("evaluation", {}).get(cases.split, {}).get("t") for metadata in stated} - {None}
    _require_same_seeds(by_role, cases)
    _require_same_posts(by_role, cases)
    if len(hashes) > 1:
        raise UserError("the runs were evaluated on different posts, words or labels; evaluate all of them again")
    return ComparedRuns(by_role, str(version), files, next(iter(hashes), None))


def find_cases(runs: ComparedRuns) -> list[dict[str, Any]]:
    """Rows of cases.parquet without image and context: first those in which most seeds agree, then by post id."""
    rows = [case for post_id in runs.posts for case in _cases_of_post(runs, post_id)]
    return sorted(rows, key=lambda case: (-case["agreeing"], case["post_id"]))


def _roles_of(run_id: RunId, cases: Cases) -> list[str]:
    """Roles that a run has; one system may have several."""
    if run_id.encoder != cases.encoder:
        return []
    return [role for role in ROLE_VIEWS if getattr(cases, role) == run_id.system]


def _require_same_seeds(by_role: Mapping[str, Mapping[int, Predictions]], cases: Cases) -> None:
    seeds = sorted({seed for runs in by_role.values() for seed in runs})
    for role, runs in by_role.items():
        system = getattr(cases, role)
        if not runs:
            raise UserError(f"no run of {system} with {cases.encoder}: expected its predictions among --predictions")
        if sorted(runs) != seeds:
            raise UserError(f"{system} has the seeds {sorted(runs)}, the three systems together {seeds}")


def _require_same_posts(by_role: Mapping[str, Mapping[int, Predictions]], cases: Cases) -> None:
    reference: dict[str, Any] | None = None
    for role, runs in by_role.items():
        for seed, predictions in runs.items():
            run = f"{getattr(cases, role)}, seed {seed}"
            if not predictions:
                raise UserError(f"{run}: no {cases.split} posts; add the split to evaluate.splits")
            gold = {post_id: row["gold"] for post_id, row in predictions.items()}
            if reference is not None and gold != reference:
                raise UserError(f"{run}: evaluated on different posts; evaluate all runs again")
            reference = gold


def _cases_of_post(runs: ComparedRuns, post_id: str) -> Iterator[dict[str, Any]]:
    """The kinds of case that a post is in most seeds."""
    kinds = {seed: _kind_of(runs, post_id, seed) for seed in runs.seeds}
    for kind in KINDS:
        agreeing = [seed for seed in runs.seeds if kinds[seed] == kind]
        if 2 * len(agreeing) <= len(runs.seeds):
            continue
        rows = {role: runs.by_role[role][agreeing[0]][post_id] for role in ROLE_VIEWS}
        yield {
            "kind": kind,
            "post_id": post_id,
            "agreeing": len(agreeing),
            "seeds": len(runs.seeds),
            "shown_seed": agreeing[0],
            "tokens": rows["text_only"]["tokens"],
            "gold": rows["text_only"]["gold"],
            **{role: row["predicted"] for role, row in rows.items()},
        }


def _kind_of(runs: ComparedRuns, post_id: str, seed: int) -> str | None:
    """What a post is a case of in one seed."""
    rows = {role: runs.by_role[role][seed][post_id] for role in ROLE_VIEWS}
    correct = {role: spans(row["predicted"]) == spans(row["gold"]) for role, row in rows.items()}
    if correct["image_text"] and not correct["text_only"]:
        return "helped"
    if correct["text_only"] and correct["aligned"] and not correct["image_text"]:
        return "misled"
    return None
