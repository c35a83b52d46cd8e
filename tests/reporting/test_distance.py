"""Figure 3: distance between the two views."""

import json

import pandas as pd
import pytest

from ita.errors import UserError
from ita.reporting.figures import distance
from tests.support.made_reports import figure_inputs, figure_settings


def draw(metrics, systems=("ita-all", "ita-all-cva")):
    return distance.draw(*figure_inputs(metrics, figure_settings("distance", systems, "figure3")))


def test_bars_are_means_over_seeds(metrics):
    figure = draw(metrics)
    numbers = figure.numbers.set_index("system")
    assert numbers.loc["ita-all", ["mean", "std", "n"]].tolist() == [3, 1, 3]
    (axis,) = figure.canvas.axes
    assert [bar.get_height() for bar in axis.patches] == [3, 3]
    assert axis.get_title() == "BERT"


def test_one_seed_has_no_deviation(metrics):
    numbers = draw([path for path in metrics if json.loads(path.read_text())["seed"] == 2]).numbers.set_index("system")
    assert numbers.loc["ita-all", "mean"] == 3
    assert pd.isna(numbers.loc["ita-all", "std"])


def test_a_system_without_images_has_no_distance(metrics):
    with pytest.raises(UserError, match="no representation_distance on the split 'test'.*remove all that do not"):
        draw(metrics, ["crf"])
