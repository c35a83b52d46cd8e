"""Notes that tables of runs share: updates, controls, single seeds, and what the entry of a system says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ita.config import Table
from ita.config.sections import BASELINE_KINDS
from ita.reporting.report_rows import ReportSettings
from ita.reporting.runs import Runs
from ita.reporting.updates import CONTROL_PREFIX, TRAINING, control_notes, longer_notes

SINGLE_SEED = (
    "Rows of one seed bear no mark: a test over seeds needs two of a row and of what it is compared with. The tests "
    "over posts (in the CSV) need one."
)

NER_ALONE = (
    "{rows}: no relation data, so the relation gate learned from NER alone; upstream's learns from 3,576 labelled "
    "tweets, too."
)
RELATION_DATA = "{rows}: the relation gate also learned from {posts:,.0f} posts of relation data."


LEAK = (
    "{row}: its encoder was trained on {posts:,} posts of this data set's test split, so the scores of the row say "
    "nothing about new posts."
)
OVERLAP = (
    "{posts:,} of the {of:,} test posts of {version} stand in the training posts: what is trained here must not be "
    "scored there."
)


def run_notes(
    runs: Runs,
    settings: ReportSettings,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    prefixes: Sequence[str] = ("",),
) -> list[str]:
    """Notes on the rows of a table.

    Args:
        runs: all runs of the table.
        settings: of the table.
        table: its section.
        rows: of the table; ``{prefix}gain`` is there where a row is compared with another.
        prefixes: of the columns of its comparisons.
    """
    gains = [f"{prefix}gain" for prefix in prefixes]
    tested = list(dict.fromkeys(row["system"] for row in rows if any(row.get(gain) is not None for gain in gains)))
    controls = [f"{prefix}{CONTROL_PREFIX}gain" for prefix in prefixes]
    controlled = any(row.get(gain) is not None for row in rows for gain in controls)
    notes = control_notes(settings, table, rows, prefixes)
    if any(row.get("updates") is not None for row in rows):
        notes.append(TRAINING)
    if table.kind in BASELINE_KINDS and table.baseline in settings.systems:
        notes += longer_notes(runs, settings, table, tested, controlled)
    return [
        *notes,
        *seed_notes(runs, table, tested),
        *system_notes(settings, table),
        *relation_notes(runs, settings, table),
        *overlap_notes(runs, settings, table),
    ]


def seed_notes(runs: Runs, table: Table, tested: Sequence[str]) -> list[str]:
    """Why marks are missing, where a row of a table with tests, or its baseline, has a single seed."""
    systems = {*table.systems, table.baseline} if tested else set()
    counts = [len(run_seeds) for run_seeds in runs.by_row(table.encoders, systems)]
    return [SINGLE_SEED] if 1 in counts else []


def system_notes(settings: ReportSettings, table: Table) -> list[str]:
    """The notes of the systems of a table, each after the name of its row."""
    return [
        f"{settings.joined_names([key], table.encoders)}: {settings.systems[key].note}"
        for key in table.systems
        if settings.systems[key].note
    ]


def overlap_notes(runs: Runs, settings: ReportSettings, table: Table) -> list[str]:
    """Rows that were trained on test posts: of this data set by way of their encoder, of others by their own posts."""
    notes = [
        LEAK.format(row=settings.system_name(system, encoder), posts=posts)
        for (encoder, system), posts in settings.leaks.items()
        if encoder in table.encoders and system in table.systems
    ]
    trained = {version: count for run in runs.all for version, count in run.metrics.get("test_overlap", {}).items()}
    other_versions = {version: count for version, count in sorted(trained.items()) if version != runs.label_version}
    return [*notes, *(OVERLAP.format(version=version, **count) for version, count in other_versions.items())]


def relation_notes(runs: Runs, settings: ReportSettings, table: Table) -> list[str]:
    """What trained the relation gate of each system that has one."""
    notes = []
    for key in table.systems:
        counts = (run.training("relation_posts") for row in runs.by_row(table.encoders, [key]) for run in row)
        rows = settings.joined_names([key], table.encoders)
        for posts in sorted({count for count in counts if count is not None}):
            notes.append((RELATION_DATA if posts else NER_ALONE).format(rows=rows, posts=posts))
    return notes
