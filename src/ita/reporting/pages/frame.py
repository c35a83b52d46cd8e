"""What the pages of a report share: style, navigation, the start page."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from ita.reporting.render import render_page

STATIC = ("store.js",)
"""Scripts that all pages may use."""


class Page(NamedTuple):
    """A page of the report, as the navigation shows it."""

    file: str
    title: str
    summary: str
    """What there is to see, for the start page."""


START = Page("index.html", "Overview", "What the data set is, and where to go.")
TABLES = Page(
    "tables.html",
    "Tables",
    "Table 1 and its like: sort, filter, and open a score down to its seeds, settings and logs.",
)
CHARTS = Page(
    "charts.html",
    "Charts",
    "Learning curves, calibration, types that are confused, F1 over the length of contexts, cost of each stage.",
)
POSTS = Page(
    "posts.html",
    "Posts",
    "Every post with its picture, what was read in it, gold entities, and what any two systems predicted.",
)
PAGES = (START, TABLES, CHARTS, POSTS)
"""In the order of the navigation."""
ENTRY = "report.html"
"""Leads to the start page: Snakemake's report gives the file that it opens the name of the folder."""


def write_frame(folder: Path, dataset: str, facts: Sequence[tuple[str, str]], notes: Sequence[str]) -> None:
    """Writes style.css, the shared scripts and the start page.

    Args:
        folder: of the report.
        dataset: name of the data set.
        facts: (name, value) of the data set, for the start page.
        notes: paragraphs of the start page.
    """
    package = resources.files("ita.reporting")
    base = (package / "templates" / "style.css").read_text(encoding="utf-8")
    own = (package / "static" / "report.css").read_text(encoding="utf-8")
    (folder / "style.css").write_text(f"{base}\n{own}", encoding="utf-8")
    copy_static(folder, STATIC)
    values = {"facts": facts, "notes": notes, "further": [page for page in PAGES if page is not START]}
    write_page(folder, START, "report_start.html.j2", dataset, values)
    (folder / ENTRY).write_text(render_page("report_entry.html.j2", title=dataset, start=START.file), encoding="utf-8")


def write_page(folder: Path, page: Page, template: str, dataset: str, values: Mapping[str, Any]) -> None:
    """Writes a page from a template that extends report.html.j2; all values are escaped."""
    title = f"{page.title}: {dataset}"
    text = render_page(template, title=title, dataset=dataset, pages=PAGES, page=page, **values)
    (folder / page.file).write_text(text, encoding="utf-8")


def copy_static(folder: Path, names: Sequence[str]) -> None:
    """Copies files of ``ita.reporting.static`` into the report."""
    for name in names:
        with resources.as_file(resources.files("ita.reporting") / "static" / name) as path:
            shutil.copyfile(path, folder / name)
