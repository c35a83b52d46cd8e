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


def missing(text, tables):
    """Figures of a text that are no number of the tables, rounded."""
    numbers = list(numbers_of(tables))
    rounded = {digits: {f"{number:.{digits}f}" for number in numbers} for digits in range(2, 5)}
    figures = re.findall(MEASURED, re.sub(WITHOUT_FILES, "", text, flags=re.DOTALL))
    assert len(figures) > 10
    return [figure for figure in figures if figure not in rounded[len(figure.partition(".")[2])]]


@pytest.mark.parametrize(("page", "tables"), [("README.md", "*/table1.csv"), ("docs/results.md", "*-*/*.csv")])
def test_figures_stand_in_a_result_file(page, tables):
    text = (ROOT / page).read_text()
    files = sorted(PUBLISHED.glob(tables))
    assert files and missing(text, files) == []
    changed = re.sub(r"(\d\d\.\d)(\d) ±", lambda match: f"{match[1]}{(int(match[2]) + 3) % 10} ±", text, count=1)
    assert changed != text and missing(changed, files)
