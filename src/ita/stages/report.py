"""report: runs, tables, posts, images and all texts of a data set -> a folder of pages to look at.

The pages open from disk and ask nobody for anything: their data are scripts beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.cli import read_section
from ita.config import Report
from ita.io.files import atomic_folder, write_json
from ita.io.provenance import provenance_of

if TYPE_CHECKING:
    from ita.reporting.pages.post_data import Posts
    from ita.reporting.report_rows import ReportSettings

PROVENANCE = "report.json"
"""What the report was made from."""


def work(
    settings: dict[str, Any],
    output: Path,
    posts: Path,
    images: Path,
    predictions: Sequence[Path] = (),
    run_settings: Sequence[Path] = (),
    tables: Sequence[Path] = (),
    numbers: Sequence[Path] = (),
    contexts: Sequence[Path] = (),
    objects: Sequence[Path] = (),
    captions: Sequence[Path] = (),
    ocr: Sequence[Path] = (),
    knowledge: Sequence[Path] = (),
    features: Sequence[Path] = (),
    histories: Sequence[Path] = (),
    benchmarks: Path | None = None,
) -> None:
    """Writes the pages; the folder takes its name when it is complete.

    Args:
        settings: ``report``, ``dataset``, ``note``, ``systems`` and ``encoders`` (those whose runs are shown),
            ``contexts`` (name and settings of each file, in their order), ``tables`` (objects, captions, ocr,
            knowledge: names of the files, in their order), ``features`` (detector of each file), and ``prices``
            (source of knowledge: price of a million tokens).
        output: the folder.
        posts: posts.parquet.
        images: images.parquet.
        predictions: predictions.parquet of every run.
        run_settings: settings.json of every run, also of those of the tables alone; the folder of a run has the
            tokenizer that tells what inputs had no room for.
        tables: {table}.json of the tables that are shown, in order.
        numbers: {table}.csv of the same tables.
        contexts: tables of contexts.
        objects: tables of objects.
        captions: tables of captions.
        ocr: tables of OCR text.
        knowledge: tables of knowledge.
        features: shards of region features that systems read beside their context.
        histories: history.csv of every run that is shown.
        benchmarks: folder of Snakemake's benchmark files of the data set; may be missing or incomplete.

    Raises:
        UserError: when runs were made on other posts, labels or data sets, or a context lacks a post.
    """
    from ita.reporting.pages import charts_page, frame, posts_page, tables_page
    from ita.reporting.pages.sources import tables_of
    from ita.reporting.report_rows import ReportSettings
    from ita.reporting.runs import read_predictions_id

    section = read_section(settings, "report", Report)
    report = ReportSettings.read(settings, name="report")
    kinds = {"objects": objects, "captions": captions, "ocr": ocr, "knowledge": knowledge}
    texts = tables_of(kinds, settings.get("tables", {}))
    files = posts_page.ReportFiles(
        predictions,
        run_settings,
        posts,
        images,
        posts_page.context_tables(contexts, settings.get("contexts", ()), texts),
        texts,
        shards_by_detector(features, settings.get("features", ())),
    )
    inputs = {"posts": posts, "images": images} | {f"{table.kind}/{table.name}": table.path for table in texts}
    inputs |= {f"{read_predictions_id(path)}/predictions.parquet": path for path in predictions}
    inputs |= {f"contexts/{table.name}": table.path for table in files.contexts.values()}
    inputs |= {path.name: path for path in (*tables, *numbers)}
    inputs |= {f"{'/'.join(path.parts[-4:])}": path for path in histories}
    with atomic_folder(output) as folder:
        shown_posts = posts_page.write_posts_page(folder, section, report, files)
        tables_page.write_tables_page(folder, report.dataset, tables, numbers, run_settings)
        charts_page.write_charts_page(
            folder,
            report,
            charts_page.ChartFiles(
                posts_page.runs_in_order(predictions, section, report, shown_posts.label_version),
                histories,
                {table.name: table.path for table in files.contexts.values()},
                benchmarks,
                knowledge[0].parent if knowledge else None,
                settings.get("prices", {}),
            ),
        )
        provenance = provenance_of(settings, inputs)
        frame.write_frame(
            folder,
            report.dataset,
            facts(shown_posts, section, report, provenance),
            [report.note] if report.note else [],
        )
        write_json(folder / PROVENANCE, {**provenance, "label_version": shown_posts.label_version})


def shards_by_detector(features: Sequence[Path], detectors: Sequence[str]) -> dict[str, list[Path]]:
    """Detector -> its shards."""
    shards: dict[str, list[Path]] = {}
    for path, detector in zip(features, detectors, strict=True):
        shards.setdefault(detector, []).append(path)
    return shards


def facts(
    posts: Posts, section: Report, report: ReportSettings, provenance: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """What the start page says of the data set."""
    from ita.reporting.footer import short_commit
    from ita.reporting.pages.post_data import SPLITS

    counts = {split: sum(post["split"] == split for post in posts.rows) for split in SPLITS}
    pictures = sum(post["image_id"] is not None for post in posts.rows)
    commit = provenance["commit"]
    values = {
        "Posts": ", ".join(f"{count:,} {split}" for split, count in counts.items() if count),
        "Posts with a picture": f"{pictures:,}",
        "Entity types": ", ".join(posts.types),
        "Labels": posts.label_version or "",
        "Systems": ", ".join(report.joined_names([key], section.encoders) for key in section.systems),
        "Encoders": ", ".join(report.encoders[key] for key in section.encoders),
        "Made by code": short_commit(commit) if commit else "",
    }
    return [(name, value) for name, value in values.items() if value]
