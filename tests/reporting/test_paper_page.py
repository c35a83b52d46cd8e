"""The pages of the folder with all tables and figures."""

import base64
import json
import re

import pytest
from markdown_it import MarkdownIt

from ita.errors import UserError
from ita.reporting import paper_page
from ita.reporting.paper_page import FIGURE_FILES, TABLE_FILES
from tests.support.hostile import TEXTS
from tests.support.html_page import assert_harmless

DISPLAY = {"columns": ["Approach", "F1"], "rows": [["BERT-CRF", "81.00"], [TEXTS[0], TEXTS[5]]], "label_columns": 1}


def write(folder, name, title, systems=(), **metadata):
    """The JSON file of a table or figure."""
    metadata = {
        "title": title,
        "notes": [TEXTS[1]],
        "systems": {system: [system] for system in systems},
        "encoders": {"bert": "BERT"},
        **metadata,
    }
    (folder / f"{name}.json").write_text(json.dumps({"metadata": metadata}))


@pytest.fixture
def items(tmp_path):
    """Two tables of one kind, another, and a figure."""
    write(
        tmp_path, "table1", "Table 1. F1: demo", ["crf", "ita-la", "ita-ga", "ita-all"], display=DISPLAY, seeds=[1, 2]
    )
    write(tmp_path, "table4", "Table 4. F1: demo", ["ita-random", TEXTS[2]], display=DISPLAY, commit="0123456789ab+")
    write(tmp_path, "table2", "Table 2. Best F1: demo", ["crf"], display=DISPLAY, label_version="v1")
    write(tmp_path, "figure2", f"Figure 2. {TEXTS[3]}", ["crf"])
    (tmp_path / "figure2.svg").write_text("<svg/>")
    names = dict.fromkeys(["table1", "table4", "table2"], TABLE_FILES) | {"figure2": FIGURE_FILES}
    return paper_page.read_items(tmp_path, names)


def test_tables_of_one_kind_have_titles_of_their_own(tmp_path, items):
    assert [item.title for item in items] == [
        "Table 1. F1: demo (crf, ita-la, ita-ga, …)",
        f"Table 4. F1: demo (ita-random, {TEXTS[2]})",
        "Table 2. Best F1: demo",
        f"Figure 2. {TEXTS[3]}",
    ]
    write(tmp_path, "Table1", "Table 1. F1: demo", ["crf", "ita-la", "ita-ga", "ita-x"], display=DISPLAY)
    same = paper_page.read_items(tmp_path, {"table1": TABLE_FILES, "Table1": TABLE_FILES})
    assert [item.title[-9:] for item in same] == [" [table1]", " [Table1]"]


def test_the_page_shows_every_table_and_figure(tmp_path, items):
    root = assert_harmless(paper_page.to_html(tmp_path, items, paper_page.CASE_FILES, "demo", [TEXTS[1]]))
    assert root.texts("li") == [*(item.title for item in items), paper_page.CASES_TITLE, "Data card"]
    assert [link.attributes["href"] for item in root.all("li") for link in item.all("a")] == [
        "#table1",
        "#table4",
        "#table2",
        "#figure2",
        "cases.html",
        "data_card.md",
    ]
    assert [section.attributes["id"] for section in root.all("section")] == ["table1", "table4", "table2", "figure2"]
    tables = list(root.all("table"))
    assert len(tables) == 3
    for table in tables:
        assert table.rows() == [DISPLAY["columns"], *DISPLAY["rows"]]
    assert tables[0].one("caption").text == items[0].title
    image = root.one("img")
    assert image.attributes["alt"] == items[3].title
    assert base64.b64decode(image.attributes["src"].removeprefix("data:image/svg+xml;base64,")) == b"<svg/>"
    links = [link.attributes["href"] for link in root.one("section", id="table1").all("a")]
    assert links == [f"table1.{suffix}" for suffix in TABLE_FILES]
    assert root.texts("p", class_="note")[0] == TEXTS[1]


def test_the_list_has_a_line_for_each(items):
    text = paper_page.to_markdown(items, paper_page.CASE_FILES, "demo", ["A note."])
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    cells = [token for before, token in zip(tokens, tokens[1:], strict=False) if before.type in ("td_open", "th_open")]
    rows = [[plain(cell) for cell in cells[start : start + 7]] for start in range(0, len(cells), 7)]
    assert rows[0] == ["", "systems", "encoder", "seeds", "labels", "commit", "files"]
    assert rows[1][:6] == [items[0].title, "crf, ita-la, ita-ga, ita-all", "BERT", "1, 2", "", ""]
    assert rows[2][5] == "0123456789+"
    assert rows[3][4] == "v1"
    assert [row[6] for row in rows[1:]] == [" ".join(item.suffixes) for item in items]
    links = [child.attrs["href"] for token in tokens for child in token.children or [] if child.type == "link_open"]
    assert links[:5] == [f"table1.{suffix}" for suffix in TABLE_FILES]
    assert links[-4:] == ["cases.html", "cases.md", "cases.parquet", "data_card.md"]
    assert "A note." in [plain(token) for token in tokens if token.type == "inline"]
    assert "cases" not in paper_page.to_markdown(items, (), "demo", [])


def plain(token):
    return "".join(child.content for child in token.children)


def test_names_are_quoted_in_links(tmp_path):
    name = "javascript:alert(1)#?"
    write(tmp_path, name, "Table 1. F1: demo", display=DISPLAY)
    items = paper_page.read_items(tmp_path, {name: ["csv"]})
    root = assert_harmless(paper_page.to_html(tmp_path, items, (), "demo", []))
    assert root.one("section").one("a").attributes["href"] == "javascript%3Aalert%281%29%23%3F.csv"
    assert "(javascript%3Aalert%281%29%23%3F.csv)" in paper_page.to_markdown(items, (), "demo", [])


@pytest.mark.parametrize("content", ["{}", '{"metadata": {"title": "x"}}', '{"about": {"title": "x"}}'])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "table1.json").write_text(content)
    with pytest.raises(UserError, match=re.escape("table1.json: not the .json of a table or figure of this version")):
        paper_page.read_items(tmp_path, {"table1": TABLE_FILES})
