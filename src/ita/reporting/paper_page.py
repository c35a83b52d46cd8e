"""The pages of the folder ``paper``: a list of all tables and figures, and one page that shows them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ita.errors import UserError
from ita.io.files import read_json
from ita.reporting.escape import escape_markdown
from ita.reporting.footer import short_commit
from ita.reporting.render import panels_of, render_page

TABLE_FILES = ("json", "html", "csv", "tex", "md")
FIGURE_FILES = ("json", "svg", "pdf", "csv")
CASE_FILES = ("html", "md", "parquet")
DATA_CARD = "data_card.md"
CASES_TITLE = "Posts where image text helped or misled"


@dataclass(frozen=True)
class PaperItem:
    """A table or figure in the folder.

    Attributes:
        name: of its files, without suffix.
        suffixes: of its files.
        metadata: what its JSON file says.
        title: unique in the folder.
    """

    name: str
    suffixes: Sequence[str]
    metadata: Mapping[str, Any]
    title: str

    @property
    def systems(self) -> str:
        """Names of its systems."""
        return ", ".join(" / ".join(names) for names in self.metadata["systems"].values())


def read_items(folder: Path, suffixes: Mapping[str, Sequence[str]]) -> list[PaperItem]:
    """The tables and figures of a folder, each with a title of its own.

    Args:
        folder: where their files are.
        suffixes: name -> suffixes of its files.

    Raises:
        UserError: for a JSON file that no table or figure wrote.
    """
    metadata = {name: read_metadata(folder / f"{name}.json") for name in suffixes}
    items = [PaperItem(name, suffixes[name], of_name, str(of_name["title"])) for name, of_name in metadata.items()]
    subjects = Counter(_subject(item) for item in items)
    titles = [_with_systems(item) if subjects[_subject(item)] > 1 else item.title for item in items]
    repeated = Counter(titles)
    titles = [
        f"{title} [{item.name}]" if repeated[title] > 1 else title for item, title in zip(items, titles, strict=True)
    ]
    return [replace(item, title=title) for item, title in zip(items, titles, strict=True)]


def read_metadata(path: Path) -> dict[str, Any]:
    """What a table or figure says about itself.

    Raises:
        UserError: for another file.
    """
    metadata = read_json(path, "the .json of a table or figure").get("metadata")
    if not isinstance(metadata, dict) or not {"title", "notes", "systems", "encoders"} <= metadata.keys():
        raise UserError(f"{path}: not the .json of a table or figure of this version; make it again")
    return metadata


def to_markdown(items: Sequence[PaperItem], case_files: Sequence[str], dataset: str, notes: Sequence[str]) -> str:
    """index.md: one line per table and figure, and the cases."""
    from tabulate import tabulate

    headers = ["", "systems", "encoder", "seeds", "labels", "commit", "files"]
    rows = []
    for item in items:
        cells = [
            item.title,
            item.systems,
            ", ".join(item.metadata["encoders"].values()),
            ", ".join(map(str, item.metadata.get("seeds") or [])),
            item.metadata.get("label_version") or "",
            short_commit(item.metadata.get("commit") or ""),
        ]
        rows.append([*map(escape_markdown, cells), _links(item.name, item.suffixes)])
    table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
    paragraphs = [f"# {escape_markdown(dataset)}: tables and figures", *map(escape_markdown, notes), table]
    if case_files:
        paragraphs.append(f"{CASES_TITLE}: {_links('cases', case_files)}")
    paragraphs.append(f"Data card: [md]({DATA_CARD})")
    return "\n\n".join(paragraphs) + "\n"


def to_html(
    folder: Path, items: Sequence[PaperItem], case_files: Sequence[str], dataset: str, notes: Sequence[str]
) -> str:
    """index.html: the list, then every table and figure itself; the cases are a page of their own."""
    return render_page(
        "paper.html.j2",
        title=f"{dataset}: tables and figures",
        notes=notes,
        case_files=case_files,
        cases_title=CASES_TITLE,
        data_card=DATA_CARD,
        items=[
            {
                "name": item.name,
                "title": item.title,
                "notes": item.metadata["notes"],
                "panels": panels_of(item.metadata["display"]) if "display" in item.metadata else [],
                "image": _embedded(folder / f"{item.name}.svg") if "svg" in item.suffixes else None,
                "files": [{"name": f"{item.name}.{suffix}", "suffix": suffix} for suffix in item.suffixes],
            }
            for item in items
        ],
    )


def _subject(item: PaperItem) -> str:
    """A title without its number: ``Table 1. F1 ...`` -> ``F1 ...``."""
    return item.title.partition(". ")[2] or item.title


def _with_systems(item: PaperItem) -> str:
    """The title with the first of its systems, for tables of one kind."""
    names = [" / ".join(names) for names in item.metadata["systems"].values()]
    return f"{item.title} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"


def _links(name: str, suffixes: Sequence[str]) -> str:
    return " ".join(f"[{suffix}]({quote(f'{name}.{suffix}')})" for suffix in suffixes)


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
