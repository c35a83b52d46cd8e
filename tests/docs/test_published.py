"""Figures that README and docs print stand in the tables of docs/published."""

import csv
import re

import pytest

from tests.support.paths import ROOT

PUBLISHED = ROOT / "docs/published"
MEASURED = r"(?<![\d.])\d\d\.\d\d(?!\d)|(?<=± )\d+\.\d\d|(?<=[pP] = )0\.\d+"
"""F1 with two digits, standard deviations, and p values."""
WITHOUT_FILES = r"\n## Earlier runs\n.*?(?=\n## |\Z)"
"""The section of results.md that says so of itself."""


def numbers_of(tables):
    """All numbers in tables, those of cells with one per seed among them, and differences between rows by seed."""
    for table in tables:
        with open(table, newline="") as file:
            for row in csv.DictReader(file):
                for cell in row.values():
                    yield from (float(word) for word in cell.split() if re.fullmatch(r"-?[\d.]+(e-?\d+)?", word))


def figures_of(text):
    """Measured figures of a text that have to stand in a table."""
    return re.findall(MEASURED, re.sub(WITHOUT_FILES, "", text, flags=re.DOTALL))


def missing(text, tables):
    """Figures of a text that are no number of the tables, rounded."""
    numbers = list(numbers_of(tables))
    rounded = {digits: {f"{number:.{digits}f}" for number in numbers} for digits in range(2, 5)}
    return [figure for figure in figures_of(text) if figure not in rounded[len(figure.partition(".")[2])]]


def split_off(text, heading):
    """The text without a section, and the section."""
    before, title, rest = text.partition(f"\n## {heading}\n")
    assert title, heading
    section, following, after = rest.partition("\n## ")
    return before + following + after, section


@pytest.mark.parametrize(
    ("page", "tables", "heading", "tables_there"),
    [
        ("README.md", ["demo"], "Reproduce the paper", ["twitter17-knowledge"]),
        (
            "docs/results.md",
            ["twitter17-minilm", "twitter17-labels", "twitter17-knowledge"],
            "The same recipe on Twitter-2015 and Twitter-GMNER",
            ["twitter15-knowledge", "gmner-knowledge"],
        ),
    ],
)
def test_figures_stand_in_a_result_file(page, tables, heading, tables_there):
    """Those of a section about other data sets in the tables of these."""
    whole = (ROOT / page).read_text()
    assert len(figures_of(whole)) > 10
    texts = split_off(whole, heading)
    for text, folders in zip(texts, (tables, tables_there), strict=True):
        files = [file for folder in folders for file in sorted((PUBLISHED / folder).glob("*.csv"))]
        assert files and missing(text, files) == []
        changed = re.sub(r"(\d\d\.\d)(\d) ±", lambda match: f"{match[1]}{(int(match[2]) + 3) % 10} ±", text, count=1)
        assert changed != text and missing(changed, files)
