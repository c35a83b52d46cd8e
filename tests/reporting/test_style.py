"""Figures as files: the same bytes each time, names from data as shapes and text."""

import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from ita.reporting.figures.style import ReportFigure, panels, plot_seeds, save
from tests.support.hostile import TEXTS


def saved(folder, title, notes):
    canvas, axes = panels(1, 1, 4.0, 2.0)
    plot_seeds(axes[0, 0], 1, "80.5 81.5", color="black")
    axes[0, 0].set_title(title)
    save(ReportFigure(title, canvas, pd.DataFrame()), folder / "f.svg", folder / "f.pdf", title, notes)
    return (folder / "f.svg").read_bytes(), (folder / "f.pdf").read_bytes()


def test_the_same_figure_gives_the_same_files(tmp_path):
    svg, pdf = saved(tmp_path, "Title", ["A note."])
    assert (svg, pdf) == saved(tmp_path, "Title", ["A note."])
    assert svg != saved(tmp_path, "Title", ["Another note."])[0]


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_names_are_drawn(tmp_path, text):
    """A dollar does not begin a formula, and a name adds no element to the SVG."""
    svg, _ = saved(tmp_path, text, [text])
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert not tags & {"script", "img", "image", "a", "foreignObject", "b", "td"}
