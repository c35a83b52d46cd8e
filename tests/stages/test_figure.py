"""The stage figure: every kind as files, the same each time."""

import pandas as pd
import pytest

from ita.io.files import read_json
from tests.support import made_runs
from tests.support.made_reports import figure_settings, make_figure

SUFFIXES = (".svg", ".pdf", ".csv", ".json")
NOTE = "Synthetic posts."


@pytest.fixture
def metrics(tmp_path):
    """Runs on few posts."""
    return made_runs.write(tmp_path, made_runs.posts(20))


def contents(svg):
    return {suffix: svg.with_suffix(suffix).read_bytes() for suffix in SUFFIXES}


def test_curves_are_drawn_the_same_each_time(tmp_path):
    histories = made_runs.write_histories(tmp_path)
    settings = figure_settings("curves", ["ita-all-cva", "crf"], "curves", NOTE)
    svg = make_figure(tmp_path / "a", settings, histories=histories)
    assert contents(svg) == contents(make_figure(tmp_path / "b", settings, histories=histories))
    text = svg.read_text()
    for words in ("BERT-CRF", "ITA-All+CVA", "Learning curves", "split dev", "seeds 1, 2", "labels v1", NOTE):
        assert words in text
    numbers = pd.read_csv(svg.with_suffix(".csv"))
    assert numbers.groupby(["system", "epoch"])["dev_f1_t"].mean()["crf", 2] == 61.5
    content = read_json(svg.with_suffix(".json"), "")
    assert content["metadata"]["split"] == "dev"
    assert "bert/ita-all-cva/seed1/history.csv" in content["inputs"]


def test_captions_say_what_was_used(tmp_path, metrics):
    svg = make_figure(tmp_path / "out", figure_settings("captions"), metrics)
    content = read_json(svg.with_suffix(".json"), "")
    metadata = content["metadata"]
    assert metadata["title"] == "Figure 2. F1 over the number of captions: twitter17"
    assert metadata["seeds"] == [1, 2, 3]
    assert "rises up to five captions" in " ".join(metadata["notes"])
    assert content["inputs"].keys() == {
        f"bert/{system}/seed{seed}/metrics.json" for system in made_runs.SYSTEMS for seed in (1, 2, 3)
    }
    assert "labels v1" in svg.read_text()
    first = contents(svg)
    assert first == contents(make_figure(tmp_path / "out", figure_settings("captions"), metrics))


def test_distance(tmp_path, metrics):
    svg = make_figure(tmp_path, figure_settings("distance", ["ita-all", "ita-all-cva"], "figure3"), metrics)
    numbers = pd.read_csv(svg.with_suffix(".csv")).set_index("system")
    assert numbers.loc["ita-all", ["mean", "std", "n"]].tolist() == [3, 1, 3]


def test_what_cannot_be_drawn_is_named(tmp_path, metrics, capsys):
    make_figure(tmp_path, figure_settings("distance", ["crf"], "figure3"), metrics, expect=1)
    assert "no representation_distance on the split 'test'" in capsys.readouterr().err
    (tmp_path / "history.csv").write_text("")
    (tmp_path / "settings.json").write_text("{}")
    make_figure(tmp_path, figure_settings("curves", name="curves"), histories=[tmp_path / "history.csv"], expect=1)
    assert "history.csv: not a history.csv" in capsys.readouterr().err
    assert not list(tmp_path.glob("curves.*"))
