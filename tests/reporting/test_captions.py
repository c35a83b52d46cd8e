"""Figure 2: F1 over the number of captions."""

import json
import statistics

import pytest

from ita.reporting.figures import captions
from tests.support.made_reports import figure_inputs, figure_settings
from tests.support.made_runs import of_system


def test_points_are_means_over_seeds(metrics):
    figure = captions.draw(*figure_inputs(metrics, figure_settings("captions")))
    numbers = figure.numbers.set_index(["captions", "view"])
    for count, system in ((0, "crf"), (3, "ita-all"), (5, "ita-all-cva")):
        scores = [
            json.loads(path.read_text())["scores"]["test"]["it"]["default"]["f1"] for path in of_system(metrics, system)
        ]
        assert numbers.loc[(count, "it"), "mean"] == pytest.approx(statistics.mean(scores))
        assert numbers.loc[(count, "it"), "std"] == pytest.approx(statistics.stdev(scores))
    assert (3, "t") not in numbers.index, "a view it was not trained on"
    assert (0, "t") in numbers.index, "a system without image text begins the lines of both views"
    assert set(figure.numbers["encoder"]) == {"bert"}
    assert "rises up to five captions" in figure.notes[1]


def test_a_line_per_view_through_its_points(metrics):
    figure = captions.draw(*figure_inputs(metrics, figure_settings("captions")))
    (axis,) = figure.canvas.axes
    lines = {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}
    assert lines.keys() == {"T", "I+T"}
    assert list(lines["I+T"].get_xdata()) == [0, 3, 5]
    image_text = figure.numbers[figure.numbers["view"] == "it"].sort_values("captions")
    assert list(lines["I+T"].get_ydata()) == pytest.approx(list(image_text["mean"]))
    dots = [line for line in axis.lines if line.get_marker() == "."]
    assert sum(len(line.get_xdata()) for line in dots) == 3 * len(figure.numbers), "every seed is a dot"
