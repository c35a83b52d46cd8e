"""Hostile texts stay texts in Markdown, LaTeX and CSV, read back by parsers of their own."""

import csv
import io
import re

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ita.reporting.escape import escape_csv_cell, escape_latex, escape_markdown, to_csv
from tests.support.hostile import TEXTS


def collapsed(text):
    return " ".join(text.split())


@pytest.mark.parametrize("text", TEXTS)
def test_markdown_reads_a_text_as_one_paragraph_of_text(text):
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(escape_markdown(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert {child.type for child in tokens[1].children} <= {"text", "text_special"}
    assert "".join(child.content for child in tokens[1].children) == collapsed(text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_markdown_cell_stays_one_cell(text):
    table = f"| a | b |\n|---|---|\n| {escape_markdown(text)} | end |"
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(table)
    cells = [tokens[index + 1].children for index, token in enumerate(tokens) if token.type in ("td_open", "th_open")]
    texts = ["".join(child.content for child in cell) for cell in cells]
    assert texts == ["a", "b", collapsed(text), "end"]


def test_addresses_do_not_become_links():
    assert escape_markdown("www.x.org - *_` <a> &lt; e@f.g") == r"www\.x.org - \*\_\` \<a\> \&lt; e\@f.g"
    assert escape_markdown("a|b\n[c](http://d)") == r"a\|b \[c\](http\://d)"


def test_names_and_numbers_stay_readable_in_markdown():
    for text in ("BERT-CRF_ImgFeat", "ITA-All+CVA", "+1.25", "-0.31", "81.00 ± 1.00‡ (+2.1)", "I+T"):
        assert escape_markdown(text) == text


@pytest.mark.parametrize("text", TEXTS)
def test_latex_has_no_command_but_ours(text):
    escaped = escape_latex(text)
    assert "\n" not in escaped
    commands = set(re.findall(r"\\([a-zA-Z]+|.)", escaped))
    ours = {"textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textsuperscript"}
    assert commands <= ours | {"pm", "dag", "ddag", "ldots", "&", "%", "$", "#", "_", "{", "}"}
    bare = re.sub(r"\\[{}&%_$#]", "", escaped)
    assert bare.count("{") == bare.count("}")
    assert not set("&%#_~^<>") & set(re.sub(r"\$\\pm\$|\$-\$", "", bare))


def test_latex_by_hand():
    assert escape_latex(r"B & C_1 {y} 5 % \x") == r"B \& C\_1 \{y\} 5 \% \textbackslash{}x"
    assert escape_latex("1 ± 2†") == r"1 $\pm$ 2\textsuperscript{\dag}"


@pytest.mark.parametrize("text", TEXTS)
def test_csv_cells_are_no_formulas(text):
    frame = pd.DataFrame({text: [text, "plain"], "number": [-1.5, 2.0]})
    header, row, _ = csv.reader(io.StringIO(to_csv(frame), newline=""))
    for cell in (header[0], row[0]):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        apostrophe = "'" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else ""
        assert cell == apostrophe + text.replace("\r\n", "\n").replace("\r", "\n")
    assert row[1] == "-1.5"


def test_numbers_stay_numbers_in_csv():
    for value in (-1.5, "-1.5", "+2", "-0.1250 +0.3", "-1e-05", None, 3, "81.0 82.0"):
        assert escape_csv_cell(value) is value
    assert escape_csv_cell("-1+2") == "'-1+2"
    assert escape_csv_cell("+CVA") == "'+CVA"
    frame = pd.DataFrame({"a": [1.23456789, None], "b": [None, None], "c": ["-x", None]})
    assert to_csv(frame) == "a,b,c\n1.23457,,'-x\n,,\n"
