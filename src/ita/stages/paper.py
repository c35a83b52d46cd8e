"""paper: tables and figures of a dataset -> a folder with all of them and a page that lists them.

The folder needs nothing outside itself: index.html shows every table and figure, index.md lists them, cost.* tells what
each stage took.
"""

from __future__ import annotations

import html
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Paper
from ita.errors import UserError
from ita.io.files import write_text
from ita.io.provenance import provenance_of

STYLE = (
    "body{font-family:sans-serif;margin:2em auto;max-width:75em}table{border-collapse:collapse;font-size:90%}"
    "th,td{padding:.25em .6em;border-bottom:1px solid #ccc;text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}"
    "section{margin:3em 0;overflow-x:auto}caption{text-align:left;font-weight:bold}p{font-size:85%;color:#333}"
)


def work(settings: dict[str, Any], output: Path, files: Sequence[Path] = (), benchmarks: Path | None = None) -> None:
    """Copies the files and writes the pages; the folder takes its name when all is in it.

    Args:
        settings: ``paper`` and ``dataset``.
        output: the folder.
        files: tables and figures in all their forms, and the cases.
        benchmarks: what Snakemake measured; nothing of it need be there.

    Raises:
        UserError: when a table or figure that the settings name is not among the files.
    """
    from ita.reporting import footer, render
    from ita.reporting.tables import cost

    chosen = read_section(settings, "paper", Paper)
    given = {path.name: path for path in files}
    forms: dict[str, tuple[str, ...]] = dict.fromkeys(chosen.tables, ("json", "html", "csv", "tex", "md"))
    forms |= dict.fromkeys(chosen.figures, ("json", "svg", "pdf", "csv"))
    cases = ("html", "md", "parquet") if chosen.cases else ()
    for name, needed in {**forms, "cases": cases}.items():
        if missing := [f"{name}.{form}" for form in needed if f"{name}.{form}" not in given]:
            raise UserError(f"{', '.join(missing)}: not among --files; make it first")
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for path in files:
            shutil.copyfile(path, part / path.name)
        made = cost.build(benchmarks, str(settings["dataset"]))
        stated = footer.facts({**settings, "name": "cost"}, "paper", {})
        render.write(made, render.Forms.beside(part / "cost"), stated, provenance_of(settings))
        forms["cost"] = ("json", "html", "csv", "tex", "md")
        abouts = {name: about(part / f"{name}.json") for name in forms}
        write_text(part / "index.md", listing(abouts, forms, cases, str(settings["dataset"])))
        write_text(part / "index.html", page(part, abouts, forms, cases, str(settings["dataset"])))
        shutil.rmtree(output, ignore_errors=True)
        os.replace(part, output)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def about(path: Path) -> dict[str, Any]:
    """What a table or figure says about itself."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["about"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not the .json of a table or figure ({error}); make it again") from None


def stated_by(fact: Mapping[str, Any]) -> dict[str, str]:
    """Systems, encoders, seeds, labels and commit for a line of the list."""
    return {
        "systems": ", ".join(" / ".join(names) for names in fact["systems"].values()),
        "encoder": ", ".join(fact["encoders"].values()),
        "seeds": ", ".join(map(str, fact.get("seeds") or [])),
        "labels": fact.get("label_version") or "",
        "commit": fact.get("commit") or "",
    }


def listing(
    abouts: Mapping[str, Mapping[str, Any]], forms: Mapping[str, Sequence[str]], cases: Sequence[str], dataset: str
) -> str:
    """index.md: one line per table and figure, and the cases."""
    heads = ["", "systems", "encoder", "seeds", "labels", "commit", "files"]
    lines = [f"# {dataset}: tables and figures", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, fact in abouts.items():
        links = " ".join(f"[{form}]({name}.{form})" for form in forms[name])
        lines.append(f"| {' | '.join([fact['title'], *stated_by(fact).values(), links])} |")
    if cases:
        links = " ".join(f"[{form}](cases.{form})" for form in cases)
        lines += ["", f"Posts where image text helped or misled: {links}"]
    return "\n".join([*lines, ""])


def page(
    folder: Path,
    abouts: Mapping[str, Mapping[str, Any]],
    forms: Mapping[str, Sequence[str]],
    cases: Sequence[str],
    dataset: str,
) -> str:
    """index.html: the list, then every table and figure itself with its notes; the cases are a page of their own."""
    items, parts = [], []
    for name, fact in abouts.items():
        items.append(f'<li><a href="#{name}">{html.escape(fact["title"])}</a></li>')
        links = " ".join(f'<a href="{name}.{form}">{form}</a>' for form in forms[name])
        if "svg" in forms[name]:
            body = f'<img src="{name}.svg" alt="{html.escape(fact["title"])}" style="max-width:100%">'
        else:
            body = (folder / f"{name}.html").read_text(encoding="utf-8").partition("</style>")[2]
        parts.append(f'<section id="{name}">{body}<p>{links}</p></section>')
    if cases:
        items.append('<li><a href="cases.html">Posts where image text helped or misled</a></li>')
    title = f"{html.escape(dataset)}: tables and figures"
    head = f"<!doctype html><meta charset='utf-8'><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    return f"{head}<ul>{''.join(items)}</ul>{''.join(parts)}\n"
