"""paper: tables and figures of a dataset -> a folder with all of them and a page that shows them.

The folder needs nothing outside itself: index.html shows every table and figure, index.md lists them, cost.* says what
each stage took, paper.json has the SHA-256 of every file. data_card.md describes the data set,
ro-crate-metadata.json the run of the workflow, which lies in workflow/.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ita
from ita.cli import read_section
from ita.config import Paper
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import atomic_folder, sha256, write_json, write_text
from ita.io.provenance import environment_of, provenance_of
from ita.log import log
from ita.reporting.crate import METADATA, crate


def work(
    settings: dict[str, Any],
    output: Path,
    card: Path,
    posts: Path,
    images: Path,
    files: Sequence[Path] = (),
    benchmarks: Path | None = None,
    knowledge: Path | None = None,
) -> None:
    """Copies the files and writes the pages; the folder takes its name when it is complete.

    Args:
        settings: ``paper``, ``dataset``, ``note``, ``licence`` of the data, ``left_out`` (table or figure: why the data
            set has none), and ``prices`` (source of knowledge: price of a million tokens).
        output: the folder.
        card: the data card, which the folder has a copy of.
        posts: posts.parquet.
        images: images.parquet.
        files: tables and figures in all their formats, and the cases.
        benchmarks: folder of Snakemake's benchmark files of the dataset; may be missing or incomplete.
        knowledge: folder of the tables that language models wrote; may be missing.

    Raises:
        UserError: when a table or figure that the settings name is not among the files.
    """
    from ita.reporting import paper_page
    from ita.reporting.data_card import data_card
    from ita.reporting.footer import footer_metadata
    from ita.reporting.render import TableFiles, write_table
    from ita.reporting.report_rows import ReportSettings
    from ita.reporting.tables import cost

    section = read_section(settings, "paper", Paper)
    report = ReportSettings.read(settings, name="cost")
    suffixes: dict[str, tuple[str, ...]] = dict.fromkeys(section.tables, paper_page.TABLE_FILES)
    suffixes |= dict.fromkeys(section.figures, paper_page.FIGURE_FILES)
    case_files = paper_page.CASE_FILES if section.cases else ()
    require_files(files, {**suffixes, "cases": case_files})
    of_posts = parquet.metadata(posts)
    write_text(card, data_card(settings, of_posts, parquet.read("images", images, ["status"]).to_pylist()))
    with atomic_folder(output) as folder:
        for path in files:
            shutil.copyfile(path, folder / path.name)
        costs = cost.build(benchmarks, report.dataset, knowledge, settings.get("prices", {}))
        metadata = footer_metadata(report, costs.metadata)
        provenance = {**provenance_of(settings), "environment": environment_of()}
        write_table(costs, TableFiles.in_folder(folder, "cost"), metadata, provenance)
        items = paper_page.read_items(folder, {**suffixes, "cost": paper_page.TABLE_FILES})
        notes = [report.note] if report.note else []
        notes += [f"Left out: {name} ({reason})." for name, reason in settings.get("left_out", {}).items()]
        write_text(folder / "index.md", paper_page.to_markdown(items, case_files, report.dataset, notes))
        write_text(folder / "index.html", paper_page.to_html(folder, items, case_files, report.dataset, notes))
        shutil.copyfile(card, folder / paper_page.DATA_CARD)
        outputs = {path.name: sha256(path) for path in sorted(folder.iterdir())}
        write_json(folder / "paper.json", {"dataset": report.dataset, **provenance, "outputs": outputs})
        if (snakefile := copy_workflow(folder)) is not None:
            write_json(folder / METADATA, crate(folder, snakefile, settings, of_posts))


def copy_workflow(folder: Path) -> str | None:
    """Copies the workflow of this package into a folder.

    Returns:
        Its Snakefile, relative to the folder; None, with a warning, where the package is installed without one.
    """
    root = Path(ita.__file__).parents[2]
    if not (root / "Snakefile").is_file():
        log.warning("paper: no Snakefile beside the package, so the folder gets no %s", METADATA)
        return None
    for path in (root / "Snakefile", root / "config.yaml", *sorted((root / "rules").glob("*.smk"))):
        target = folder / "workflow" / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return "workflow/Snakefile"


def require_files(files: Sequence[Path], suffixes: dict[str, tuple[str, ...]]) -> None:
    """Raises UserError when files are missing: name -> suffixes that are needed."""
    names = {path.name for path in files}
    for name, needed in suffixes.items():
        if missing := [f"{name}.{suffix}" for suffix in needed if f"{name}.{suffix}" not in names]:
            raise UserError(f"{', '.join(missing)}: not among --files; make it first")
