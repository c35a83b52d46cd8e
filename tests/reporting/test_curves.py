"""Learning curves from histories."""

import re

import pytest

from ita.config import Figure
from ita.errors import UserError
from ita.reporting.figures import curves
from ita.reporting.figures.curves import Histories
from ita.reporting.report_rows import ReportSettings
from tests.support import made_runs
from tests.support.made_reports import figure_settings


@pytest.fixture
def paths(tmp_path):
    """Histories of two systems and two seeds."""
    return made_runs.write_histories(tmp_path)


def run_settings(paths):
    return [path.with_name("settings.json") for path in paths]


def draw(paths, systems=("ita-all-cva", "crf")):
    settings = figure_settings("curves", systems, "curves")
    histories = Histories(paths, run_settings(paths))
    return curves.draw(histories, ReportSettings.read(settings), Figure(**settings["figure"]))


def test_a_panel_per_system_with_its_seeds_and_their_mean(paths):
    figure = draw(paths)
    panels = figure.canvas.axes
    assert [axis.get_title() for axis in panels] == ["ITA-All+CVA", "BERT-CRF"], "in the order of the systems"
    assert [len(axis.lines) for axis in panels] == [6, 3], "two seeds and a mean in each view trained on"
    mean = next(line for line in panels[1].lines if line.get_label() == "T")
    assert list(mean.get_ydata()) == [50.0, 61.5]
    assert figure.metadata == {"seeds": [1, 2], "label_version": "v1", "split": "dev"}
    assert list(figure.numbers.columns) == ["encoder", "system", "seed", "epoch", "dev_f1_t", "dev_f1_it"]
    assert figure.numbers.groupby(["system", "epoch"])["dev_f1_t"].mean()["crf", 2] == 61.5


def test_readable_names_of_the_files(paths):
    histories = Histories(list(reversed(paths)))
    assert histories.files["bert/crf/seed1/history.csv"] == paths[0]
    assert len(histories.files) == 4
    assert histories.label_version is None


def test_histories_that_cannot_be_used(tmp_path, paths):
    with pytest.raises(UserError, match="no histories"):
        Histories([])
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'none.csv'}: not a history.csv")):
        Histories([tmp_path / "none.csv"])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match=r"empty.csv: not a history.csv"):
        Histories([tmp_path / "empty.csv"])
    (tmp_path / "old.csv").write_text("epoch,dev_f1_t\n1,50\n")
    with pytest.raises(UserError, match=r"old.csv: no columns encoder, system, seed; train the run again"):
        Histories([tmp_path / "old.csv"])
    (tmp_path / "none.csv").write_text("encoder,system,seed,epoch\n")
    with pytest.raises(UserError, match=r"none.csv: no epochs"):
        Histories([tmp_path / "none.csv"])
    made_runs.write_histories(tmp_path / "other", ["crf"], [3], "v2")
    other = tmp_path / "other/histories/0/settings.json"
    with pytest.raises(UserError, match=re.escape("different labels (v1, v2)")):
        Histories(paths, [*run_settings(paths), other])
