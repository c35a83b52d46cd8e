"""Tables in their formats: the same cells in each, whatever is in them."""

import re

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ita.io.files import read_json
from ita.reporting import render
from ita.reporting.report_table import ReportTable
from tests.support.hostile import TEXTS
from tests.support.html_page import assert_harmless


@pytest.fixture
def hostile():
    """A table of hostile texts in its headings, cells, title and notes."""
    display = pd.DataFrame({"Approach": list(TEXTS), TEXTS[0]: list(reversed(TEXTS)), "a | b": "1.0"})
    numbers = pd.DataFrame({"approach": list(TEXTS), "f1": -1.0})
    return ReportTable(TEXTS[0], numbers, display, list(TEXTS), label_columns=2)


def written(folder, table):
    """The files of the table."""
    metadata = {
        "name": "table1",
        "dataset": TEXTS[2],
        "note": TEXTS[1],
        "systems": {"x": [TEXTS[3]]},
        "encoders": {"e": TEXTS[4]},
        "commit": None,
    }
    files = render.TableFiles.in_folder(folder, "table1")
    render.write_table(table, files, metadata, {"inputs": {}})
    return files


def test_html_is_text_and_nothing_else(tmp_path, hostile):
    root = assert_harmless(written(tmp_path, hostile).html.read_text())
    table = root.one("table")
    collapsed = [[" ".join(cell.split()) for cell in row] for row in hostile.display.to_numpy().tolist()]
    assert table.rows() == [list(hostile.display.columns), *collapsed]
    assert [cell.attributes.get("class") for cell in next(table.all("tr")).content if not isinstance(cell, str)] == [
        "label",
        "label",
        None,
    ]
    assert root.one("title").text == table.one("caption").text == f"Table 1. {TEXTS[0]}: {TEXTS[2]}"
    assert [" ".join(text.split()) for text in TEXTS] == root.texts("p", class_="note")[: len(TEXTS)]
    assert TEXTS[1] in root.texts("p", class_="note")
    assert root.one("div", class_="scroll").one("table") is table, "a wide table scrolls"


def test_markdown_is_one_table_with_the_same_cells(tmp_path, hostile):
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(written(tmp_path, hostile).markdown.read_text())
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "heading_open", "bullet_list_open", "hr", "fence", "code_block"}
    children = [child for token in tokens for child in token.children or []]
    assert {child.type for child in children} <= {"text", "text_special", "strong_open", "strong_close"}
    cells = [
        "".join(child.content for child in tokens[index + 1].children)
        for index, token in enumerate(tokens)
        if token.type == "td_open"
    ]
    assert cells == [" ".join(cell.split()) for row in hostile.display.to_numpy().tolist() for cell in row]


def test_latex_is_whole():
    display = pd.DataFrame(
        {"Encoder": ["A", "A", "B & C"], "Approach": ["x_1", "100 %", "{y}"], "F1": ["1 ± 2†", "", "3‡"]}
    )
    cells = {"columns": list(display), "rows": display.to_numpy().tolist(), "label_columns": 2}
    text = render.to_latex(cells, "A_title & more", ["100 % of $x$"], "d_1-t1")
    opened, closed = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert opened == ["table", "tabular"]
    assert closed == ["tabular", "table"]
    assert r"\begin{tabular}{llr}" in text
    assert r"\caption{A\_title \& more}" in text
    assert r"\label{tab:d-1-t1}" in text
    lines = text.splitlines()
    rules = [line for line in lines if line.endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"], "the second begins a block"
    body = [line for line in lines if line.endswith(r"\\")]
    assert body == [
        r"Encoder & Approach & F1 \\",
        r"A & x\_1 & 1 $\pm$ 2\textsuperscript{\dag} \\",
        r"A & 100 \% &  \\",
        r"B \& C & \{y\} & 3\textsuperscript{\ddag} \\",
    ]
    assert lines.index(r"\midrule", lines.index(r"\midrule") + 1) == lines.index(body[-1]) - 1
    assert r"{\footnotesize 100 \% of \$x\$\par}" in text


def test_latex_of_hostile_texts_keeps_its_rows(tmp_path, hostile):
    text = written(tmp_path, hostile).latex.read_text()
    body = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(body) == 1 + len(TEXTS)
    assert all(len(re.findall(r"(?<!\\)&", line)) == 2 for line in body)
    plain = re.sub(r"\\[{}&%_$#]", "", text)
    assert plain.count("{") == plain.count("}")


def test_json_says_what_is_shown(tmp_path, hostile):
    metadata = read_json(written(tmp_path, hostile).provenance, "")["metadata"]
    assert metadata["title"] == f"Table 1. {TEXTS[0]}: {TEXTS[2]}"
    assert metadata["notes"][: len(TEXTS)] == list(TEXTS)
    assert metadata["display"]["columns"] == list(hostile.display.columns)
    assert metadata["display"]["rows"] == hostile.display.to_numpy().tolist()
    assert metadata["display"]["label_columns"] == 2


def test_a_table_without_rows_in_every_format(tmp_path):
    empty = ReportTable("Empty", pd.DataFrame(columns=["a"]), pd.DataFrame(columns=["A", "B"]))
    files = written(tmp_path, empty)
    assert assert_harmless(files.html.read_text()).one("table").rows() == [["A", "B"]]
    assert files.csv.read_text() == "a,label_version,commit\n"
    assert r"A & B \\" in files.latex.read_text()
    assert "| A   | B   |" in files.markdown.read_text()


def test_panels_show_every_cell_once_beside_the_names_of_the_rows(tmp_path):
    display = pd.DataFrame({"Approach": ["A", "B"], "F1": ["1", "2"], "seen": ["3", "4"], "seen (Recall)": ["5", "6"]})
    panels = {"Scores": ["F1"], "F1": ["seen"], "Recall": ["seen (Recall)"]}
    files = written(tmp_path, ReportTable("Parts", display, display, ["a note"], panels=panels))
    root = assert_harmless(files.html.read_text())
    assert root.texts("caption") == [f"Table 1. Parts: {TEXTS[2]}. {name}" for name in panels]
    assert [table.rows() for table in root.all("table")] == [
        [["Approach", "F1"], ["A", "1"], ["B", "2"]],
        [["Approach", "seen"], ["A", "3"], ["B", "4"]],
        [["Approach", "seen"], ["A", "5"], ["B", "6"]],
    ]
    markdown, latex = files.markdown.read_text(), files.latex.read_text()
    assert markdown.count("| Approach") == latex.count(r"\begin{tabular}{lr}") == 3
    assert markdown.index("*Scores*") < markdown.index("*F1*") < markdown.index("*Recall*")
    assert latex.count(r"\begin{table}") == 1 and r"\textit{Recall}" in latex
    stated = read_json(files.provenance, "")["metadata"]["display"]
    assert stated["columns"] == list(display) and stated["panels"] == panels
