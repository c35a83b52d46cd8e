"""Tables and pages in their formats: CSV, Markdown, LaTeX, HTML, and JSON that says what they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ita.io.files import write_text
from ita.reporting.escape import escape_latex, escape_markdown, to_csv
from ita.reporting.footer import footer_sentences, heading
from ita.reporting.report_table import ReportTable


@dataclass(frozen=True)
class TableFiles:
    """Files of a table."""

    csv: Path
    markdown: Path
    latex: Path
    html: Path
    provenance: Path

    @classmethod
    def in_folder(cls, folder: Path, name: str) -> TableFiles:
        """All formats under one name in one folder."""
        return cls(*(folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex", "html", "json")))


def write_table(
    table: ReportTable, files: TableFiles, metadata: Mapping[str, Any], provenance: Mapping[str, Any]
) -> None:
    """Writes a table in all its formats, the CSV last; the JSON has the SHA-256 of the others.

    Args:
        table: the table.
        files: where to write it.
        metadata: ``footer_metadata`` of the table.
        provenance: settings, versions and hashes of the inputs.
    """
    notes = [*table.notes, *footer_sentences(metadata)]
    title = title_of(table.title, metadata)
    display = {
        "columns": [str(name) for name in table.display.columns],
        "rows": [[str(value) for value in row] for row in table.display.itertuples(index=False)],
        "label_columns": table.label_columns,
        **({"panels": {name: [*columns] for name, columns in table.panels.items()}} if table.panels else {}),
    }
    stated = {**metadata, "title": title, "notes": notes, "display": display}
    texts = {**render_table(stated), "csv": numbers_csv(table.numbers, metadata)}
    outputs = {suffix: hashlib.sha256(text.encode()).hexdigest() for suffix, text in texts.items()}
    write_text(files.markdown, texts["md"])
    write_text(files.latex, texts["tex"])
    write_text(files.html, texts["html"])
    write_text(files.provenance, to_json({"metadata": stated, **provenance, "outputs": outputs}))
    write_text(files.csv, texts["csv"])


def render_table(metadata: Mapping[str, Any]) -> dict[str, str]:
    """A table for reading, by suffix, from what its JSON says: title, display, notes, name and data set."""
    display, title, notes = metadata["display"], metadata["title"], metadata["notes"]
    label = f"{metadata['dataset']}-{metadata['name']}"
    return {
        "md": to_markdown(display, title, notes),
        "tex": to_latex(display, title, notes, label),
        "html": render_page("table.html.j2", title=title, notes=notes, panels=panels_of(display)),
    }


def numbers_csv(numbers: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """The CSV of a table: its numbers, label version and commit."""
    return to_csv(numbers.assign(**{name: metadata.get(name) for name in ("label_version", "commit")}))


def title_of(title: str, metadata: Mapping[str, Any]) -> str:
    """Title of a table or figure with its number and data set."""
    return f"{heading(str(metadata['name']))}. {title}: {metadata['dataset']}"


def to_json(value: Mapping[str, Any]) -> str:
    """Indented JSON, keys in their order."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def to_markdown(display: Mapping[str, Any], title: str, notes: Sequence[str]) -> str:
    """A Markdown table with its title above and its notes below."""
    paragraphs = [f"**{escape_markdown(title)}**"]
    for panel in panels_of(display):
        paragraphs += [f"*{escape_markdown(panel['name'])}*"] if panel["name"] else []
        paragraphs.append(markdown_table(panel["columns"], panel["rows"]))
    return "\n\n".join([*paragraphs, *map(escape_markdown, notes)]) + "\n"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, escaped."""
    from tabulate import tabulate

    cells = [[escape_markdown(cell) for cell in row] for row in rows]
    headers = [escape_markdown(column) for column in columns]
    return str(tabulate(cells, headers, tablefmt="pipe", disable_numparse=True))


def panels_of(display: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables that a table is shown as: itself, or one for each of its panels.

    Args:
        display: ``columns``, ``rows`` of texts, ``label_columns``, and maybe ``panels``: name -> columns.

    Returns:
        Of each ``name`` (empty: it has none), ``columns``, ``rows`` and ``label_columns``, the same in all.
    """
    columns, labels = display["columns"], display["label_columns"]
    panels = display.get("panels") or {"": columns[labels:]}
    tables = []
    for name, of_panel in panels.items():
        indices = [*range(labels), *map(columns.index, of_panel)]
        rows = [[row[index] for index in indices] for row in display["rows"]]
        shown = [columns[index].removesuffix(f" ({name})") for index in indices]
        tables.append({"name": name, "columns": shown, "rows": rows, "label_columns": labels})
    return tables


def to_latex(display: Mapping[str, Any], title: str, notes: Sequence[str], label: str) -> str:
    r"""A floating table; needs ``\usepackage{booktabs}``.

    Args:
        display: cells as text; the columns that name a row are left-aligned, a change in the first begins a block.
        title: caption.
        notes: paragraphs below the table.
        label: for ``\ref``, behind ``tab:``.
    """
    tabulars: list[str] = []
    for panel in panels_of(display):
        tabulars += [rf"\par\medskip \textit{{{escape_latex(panel['name'])}}}\par\smallskip"] if panel["name"] else []
        tabulars += latex_tabular(panel)
    safe_label = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in label)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(title)}}}",
            rf"\label{{tab:{safe_label}}}",
            *tabulars,
            *(rf"\par\smallskip {{\footnotesize {escape_latex(note)}\par}}" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def latex_tabular(panel: Mapping[str, Any]) -> list[str]:
    """Lines of one panel."""
    labels, blocks = panel["label_columns"], [row[0] for row in panel["rows"]]
    alignment = "l" * labels + "r" * (len(panel["columns"]) - labels)
    styler = pd.DataFrame(panel["rows"], columns=panel["columns"]).style.hide(axis="index")
    styler = styler.format(escape_latex).format_index(escape_latex, axis="columns")
    tabular: list[str] = styler.to_latex(hrules=True, column_format=alignment).splitlines()
    first_row = tabular.index(r"\midrule") + 1
    for row in reversed(range(1, len(blocks))):
        if blocks[row] != blocks[row - 1]:
            tabular.insert(first_row + row, r"\midrule")
    return tabular


def render_page(template: str, **values: Any) -> str:
    """An HTML page from a template of ``ita.reporting.templates``; all values are escaped."""
    return str(_environment().get_template(template).render(**values))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ita.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
