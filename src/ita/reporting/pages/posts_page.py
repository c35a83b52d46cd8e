"""The page of all posts of a data set: its data as scripts, the thumbnails, the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ita.config import Context, Report, System
from ita.data.visual_context import VisualContext
from ita.errors import UserError
from ita.io import parquet
from ita.log import progress
from ita.reporting.pages import context_data, post_data, run_data
from ita.reporting.pages.context_data import ContextTable, Kinds
from ita.reporting.pages.frame import POSTS, copy_static, write_page
from ita.reporting.pages.post_data import Posts
from ita.reporting.pages.run_data import SystemRuns
from ita.reporting.pages.scripts import CHUNK, chunks, write_script
from ita.reporting.pages.sources import Table, objects_of
from ita.reporting.report_rows import ReportSettings
from ita.significance.errors import KINDS

STATIC = (
    "posts.css",
    "state.js",
    "model.js",
    "filters.js",
    "list.js",
    "sentence.js",
    "post.js",
    "posts.js",
)
"""Files of the page, in the order in which its scripts run."""
KIND_NAMES = {"la": "tags", "ga": "captions", "oca": "OCR", "sep": "separator"}
"""What kinds of context are called on the page; others are names of sources."""


@dataclass(frozen=True)
class ReportFiles:
    """What the page is made of."""

    predictions: Sequence[Path]
    run_settings: Sequence[Path]
    posts: Path
    images: Path
    contexts: Mapping[str, ContextTable]
    tables: Sequence[Table]
    """Objects, captions, OCR text and knowledge."""
    features: Mapping[str, Sequence[Path]]
    """Detector -> shards of its region features."""


def write_posts_page(folder: Path, section: Report, report: ReportSettings, files: ReportFiles) -> Posts:
    """Writes the page and all that it reads.

    Args:
        folder: of the report.
        section: settings of the stage.
        report: names of systems and encoders.
        files: what the page is made of.

    Raises:
        UserError: when files do not fit together.
    """
    posts = Posts.read(files.posts, section.splits)
    pictures = write_posts(folder, section, posts, files)
    kinds = Kinds()
    context_rows = {name: table.contexts(posts.rows) for name, table in files.contexts.items()}
    for number, (name, table) in enumerate(files.contexts.items()):
        records = list(context_data.context_records(table, context_rows[name], posts.rows, kinds))
        for part_number, part in chunks(records):
            write_script(folder, f"context-{number}", part, part_number)
    contexts = {name: {post: context for post, (context, _) in rows.items()} for name, rows in context_rows.items()}
    groups = runs_in_order(files.predictions, section, report, posts.label_version)
    systems = []
    for number, runs in enumerate(progress(groups, len(groups), "predictions", "systems")):
        record = run_data.run_records(posts, runs)
        record["without_room"] = without_room(runs, report, files, posts, contexts)
        write_script(folder, f"run-{number}", record)
        systems.append(system_record(runs, report, files.contexts))
    about = {**about_record(report, posts, files, kinds), "pictures": pictures > 0, "systems": systems}
    write_script(folder, "about", about)
    copy_static(folder, STATIC)
    write_page(folder, POSTS, "report_posts.html.j2", report.dataset, {"scripts": STATIC[1:]})
    return posts


def write_posts(folder: Path, section: Report, posts: Posts, files: ReportFiles) -> int:
    """Writes thumbnails, posts with their texts, and objects; the number of thumbnails."""
    seen = post_data.seen_in_training(files.posts)
    statuses = post_data.picture_statuses(files.images)
    pictures = post_data.write_pictures(folder, posts.rows, files.images, section.thumbnail)
    texts = [table for table in files.tables if table.kind != "objects"]
    detectors = [table for table in files.tables if table.kind == "objects"]
    for number, part in chunks(posts.rows):
        write_script(folder, "posts", post_data.post_records(posts, part, seen, pictures, statuses, texts), number)
        write_script(folder, "objects", list(objects_of(detectors, part)), number)
    return len(pictures)


def about_record(report: ReportSettings, posts: Posts, files: ReportFiles, kinds: Kinds) -> dict[str, Any]:
    """What the page has to know before it reads anything else."""
    counts = {split: sum(post["split"] == split for post in posts.rows) for split in post_data.SPLITS}
    return {
        "dataset": report.dataset,
        "posts": len(posts.rows),
        "chunk": CHUNK,
        "splits": {split: count for split, count in counts.items() if count},
        "types": posts.types,
        "errors": KINDS,
        "kinds": [KIND_NAMES.get(kind, kind) for kind in kinds.names],
        "detectors": [table.name for table in files.tables if table.kind == "objects"],
        "texts": [[table.kind, table.name] for table in files.tables if table.kind != "objects"],
        "contexts": list(files.contexts),
    }


def system_record(
    runs: SystemRuns, report: ReportSettings, contexts: Mapping[str, context_data.ContextTable]
) -> dict[str, Any]:
    """A system with an encoder: names, seeds, number of its context, whether that is of other posts, and first view."""
    system = report_system(runs, report)
    several = len(report.encoders) > 1 and "{encoder}" not in (system.name or "")
    name = report.system_name(runs.system, runs.encoder)
    return {
        "key": f"{runs.encoder}/{runs.system}",
        "name": f"{name} ({report.encoders[runs.encoder]})" if several else name,
        "seeds": runs.seeds,
        "context": list(contexts).index(system.context) if system.context in contexts else -1,
        "control": system.context in contexts and contexts[system.context].section.shuffle_seed is not None,
        "view": "it" if "it" in system.views else "t",
        "regions": bool(system.regions),
    }


def runs_in_order(
    predictions: Sequence[Path], section: Report, report: ReportSettings, label_version: str | None
) -> list[SystemRuns]:
    """Runs of each system as tables have them. Errors as of ``group_runs``, and for a system without settings."""
    groups = run_data.group_runs(predictions, report.dataset, label_version)
    for runs in groups:
        report_system(runs, report)
    return sorted(groups, key=lambda runs: table_order(runs, section))


def table_order(runs: SystemRuns, section: Report) -> tuple[int, int]:
    """Where runs stand in a table: by encoder, then by system; those that the settings do not name are last."""
    return place(runs.encoder, section.encoders), place(runs.system, section.systems)


def place(name: str, names: Sequence[str]) -> int:
    """Place of a name among others."""
    return names.index(name) if name in names else len(names)


def report_system(runs: SystemRuns, report: ReportSettings) -> System:
    """Settings of the system of some runs.

    Raises:
        UserError: when the settings do not have it, or its encoder.
    """
    if runs.system not in report.systems or runs.encoder not in report.encoders:
        raise UserError(
            f"predictions of {runs.encoder}/{runs.system}: not among the systems ({', '.join(report.systems)}) and "
            f"encoders ({', '.join(report.encoders)}) of the settings; leave them out, or name them in report.systems"
        )
    return report.systems[runs.system]


def without_room(
    runs: SystemRuns,
    report: ReportSettings,
    files: ReportFiles,
    posts: Posts,
    contexts: Mapping[str, Mapping[str, VisualContext]],
) -> list[list[int]] | None:
    """Posts and words of their contexts that did not fit into the input of a tagger; None where nobody knows."""
    system = report_system(runs, report)
    by_folder = {path.parent.resolve(): path for path in files.run_settings}
    settings = by_folder.get(runs.files[runs.seeds[0]].parent.resolve())
    if settings is None or system.context not in contexts:
        return None
    shards = files.features.get(system.regions or "", ())
    regions = context_data.count_regions(shards) if shards else None
    counts = context_data.words_without_room(settings, posts.rows, contexts[system.context], regions)
    return None if counts is None else [list(counts), list(counts.values())]


def context_tables(
    paths: Sequence[Path], sections: Sequence[tuple[str, Mapping[str, Any]]], tables: Sequence[Table]
) -> dict[str, ContextTable]:
    """Tables of contexts by name.

    Args:
        paths: of the tables.
        sections: name and settings of each.
        tables: what they are made of.

    Raises:
        UserError: when a table says that it has another name.
    """
    from ita.config import load

    contexts = {}
    for (name, section), path in zip(sections, paths, strict=True):
        stated = (parquet.metadata(path).get("settings") or {}).get("name", name)
        if stated != name:
            raise UserError(
                f"{path}: the context {stated!r}, expected {name!r}; give --contexts in the order of the settings"
            )
        contexts[name] = ContextTable(name, load(Context, section), path, tables)
    return contexts
