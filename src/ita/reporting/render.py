"""A table in all its forms: CSV, Markdown, LaTeX, HTML, and what it was made from."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ita.io.files import write_json, write_text
from ita.reporting import footer, latex
from ita.reporting.report_table import ReportTable

STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:right;white-space:nowrap}"
    "caption{text-align:left;padding-bottom:1em;font-weight:bold}p{max-width:60em;font-size:90%;color:#333}"
)


@dataclass(frozen=True)
class Forms:
    """Files of a table."""

    csv: Path
    markdown: Path
    latex: Path
    html: Path
    provenance: Path

    @classmethod
    def beside(cls, stem: Path) -> Forms:
        """All forms under one name in one folder."""
        return cls(*(stem.with_suffix(suffix) for suffix in (".csv", ".md", ".tex", ".html", ".json")))


def write(made: ReportTable, forms: Forms, stated: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
    """Writes a table in all its forms, the CSV last.

    Args:
        made: the table.
        forms: the files.
        stated: facts of ``statement.facts``.
        provenance: settings, versions and hashes of the inputs.
    """
    notes = [*made.notes, *footer.sentences(stated)]
    title = f"{footer.heading(str(stated['name']))}. {made.title}: {stated['dataset']}"
    write_text(forms.markdown, markdown(made.readable, title, notes))
    label = f"tab:{stated['dataset']}-{stated['name']}"
    write_text(forms.latex, latex.render(made.readable, title, notes, label, made.names))
    write_text(forms.html, page(made.readable, title, notes, made.names))
    write_json(forms.provenance, {"about": {"title": title, **stated}, **provenance})
    origin = {"label_version": stated.get("label_version"), "commit": stated.get("commit")}
    write_text(forms.csv, made.numbers.assign(**origin).to_csv(index=False, float_format="%.6g"))


def markdown(table: pd.DataFrame, title: str, notes: list[str]) -> str:
    """A Markdown table with its title above and its notes below."""
    return "\n\n".join([f"**{title}**", table.to_markdown(index=False, disable_numparse=True), *notes]) + "\n"


def page(table: pd.DataFrame, title: str, notes: list[str], names: int) -> str:
    """A page of its own."""
    left = f"th:nth-child(-n+{names}),td:nth-child(-n+{names}){{text-align:left}}"
    head = f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title><style>{STYLE}{left}</style>"
    return head + fragment(table, title, notes) + "\n"


def fragment(table: pd.DataFrame, title: str, notes: list[str]) -> str:
    """The table and its notes as HTML."""
    body = table.to_html(index=False, border=0).replace("<thead>", f"<caption>{html.escape(title)}</caption><thead>", 1)
    return body + "".join(f"<p>{html.escape(note)}</p>" for note in notes)
