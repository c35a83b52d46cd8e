"""Values that were set by hand and do not reach a job: what wins over them, and where to write them instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ita.config.levels import RANK, Level, Path, Resolved, holds, leaves, lookup
from ita.config.messages import text
from ita.config.sections import singular


@dataclass(frozen=True)
class Job:
    """The job that settings were merged for.

    Attributes:
        dataset: its data set.
        stage: its stage.
        entry: section and name of the entry whose values win, such as ("captioners", "vinvl1").
        encoder: of a training job.
    """

    dataset: str
    stage: str
    entry: Path
    encoder: str = ""


def values_without_effect(
    job: Job, resolved: Resolved, builtins: Mapping[str, Any], entry_is_of_dataset: bool
) -> Iterator[str]:
    """One line for each value that was set by hand and that a closer level replaces.

    Args:
        job: the job.
        resolved: its settings.
        builtins: default settings of its stage.
        entry_is_of_dataset: the data set itself names the entry, so that its author has seen it.
    """
    for path, value in leaves(resolved.values):
        holders = [level for level in resolved.levels if holds(level.values, path)]
        below = [level for level in holders if RANK[level.kind] < RANK[holders[-1].kind]]
        if not below or lookup(below[-1].values, path) == value:
            continue
        hidden, winner = below[-1], holders[-1]
        if winner.kind == "entry" and entry_is_of_dataset and not hidden.command_line:
            continue
        if _is_unexpected(job, path, hidden, winner, lookup(builtins, path)):
            yield _line(job, path, hidden, winner)


def _is_unexpected(job: Job, path: Path, hidden: Level, winner: Level, builtin: Any) -> bool:
    """Whether a replaced value was set by hand, by somebody who may not know that it is replaced."""
    if hidden.command_line:
        return True
    if winner.command_line:  # it wins over all, and whoever gave it knows
        return False
    if winner.kind == "recipe" and hidden.kind == "defaults":  # a recipe is one of an encoder, too
        return False
    if hidden.of_dataset:
        restricts = job.stage == "table" and path[0] in ("systems", "encoders")  # all tables of the data set
        return not restricts and not (hidden.kind == "defaults" and winner.of_dataset)
    if hidden.kind == "defaults":  # replaced by a value of the section that nobody set
        return winner.kind == "section" and bool(lookup(winner.values, path) == builtin)
    return bool(lookup(hidden.values, path) != builtin)


def _line(job: Job, path: Path, hidden: Level, winner: Level) -> str:
    prefix: Path = ("datasets", job.dataset) if hidden.of_dataset or hidden.kind == "defaults" else ()
    if winner.kind == "section":
        who = f"encoder {job.encoder}, since the value"
        target: Path = ("train",)
    else:
        who = f"{singular(job.entry[0])} {job.entry[1]}, whose own value"
        target = (*job.entry, "train") if job.stage == "train" else job.entry
    instead = Level((*prefix, *target), {}, "entry", hidden.command_line).name(*path)
    return (
        f"{hidden.name(*path)}: {text(lookup(hidden.values, path))} does not reach {who} "
        f"{text(lookup(winner.values, path))} wins ({winner.name(*path)}); to change it write {instead}"
    )
