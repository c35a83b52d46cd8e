"""Figures from made-up runs: the numbers in them, the same files each time, errors that name the cure."""

import json
import statistics

import pandas as pd
import pytest

from ita.cli import run_stage
from ita.stages import figure
from tests.support import made_runs
from tests.support.made_runs import SYSTEMS

CAPTIONS = {"crf": 0, "ita-all": 3, "ita-all-cva": 5}


def settings(kind, systems=("crf", "ita-all", "ita-all-cva"), name="figure2"):
    return {
        "figure": {"kind": kind, "systems": list(systems), "encoders": ["bert"]},
        "name": name,
        "dataset": "twitter17",
        "systems": SYSTEMS,
        "encoders": {"bert": "BERT"},
        "captions": CAPTIONS,
    }


def drawn(folder, chosen, option, paths, expect=0):
    output = folder / f"{chosen['name']}.svg"
    arguments = ["--settings", json.dumps(chosen), f"--{option}", *map(str, paths)]
    if option == "histories":
        settings_files = [path.with_name("settings.json") for path in paths]
        arguments += ["--run-settings", *(str(path) for path in settings_files if path.exists())]
    for form in ("svg", "pdf", "csv"):
        arguments += [f"--{form}", str(output.with_suffix(f".{form}"))]
    arguments += ["--provenance", str(output.with_suffix(".json"))]
    assert run_stage(figure, arguments) == expect
    return output


@pytest.fixture
def histories(tmp_path):
    """Histories of two systems and two seeds."""
    paths = []
    for system, columns in (("crf", ["dev_f1_t"]), ("ita-all-cva", ["dev_f1_t", "dev_f1_it"])):
        for seed in (1, 2):
            path = tmp_path / "bert" / system / f"seed{seed}" / "history.csv"
            path.parent.mkdir(parents=True)
            curve = {"epoch": [1, 2], **{column: [50.0, 60.0 + seed] for column in columns}}
            pd.DataFrame(curve).to_csv(path, index=False)
            paths.append(path)
    return paths


def test_curves_are_drawn_the_same_each_time(tmp_path, histories):
    chosen = settings("curves", ["ita-all-cva", "crf"], "curves")
    files = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        output = drawn(folder, chosen, "histories", histories)
        files.append({path.suffix: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1]
    assert files[0].keys() == {".svg", ".pdf", ".csv", ".json"}
    text = output.read_text()
    assert text.index("ITA-All+CVA") < text.index("BERT-CRF"), "panels in the order of the systems"
    for words in ("BERT-CRF", "ITA-All+CVA", "Learning curves", "seeds 1, 2"):
        assert words in text
    numbers = pd.read_csv(output.with_suffix(".csv"))
    assert numbers.groupby(["system", "epoch"])["dev_f1_t"].mean()["crf", 2] == 61.5


def test_f1_over_captions(tmp_path):
    runs = made_runs.write(tmp_path, made_runs.posts(20))
    output = drawn(tmp_path / "out", settings("captions"), "metrics", runs)
    found = pd.read_csv(output.with_suffix(".csv")).set_index(["captions", "view"])
    for captions, system in ((0, "crf"), (3, "ita-all"), (5, "ita-all-cva")):
        scores = [
            json.loads(path.read_text())["scores"]["test"]["it"]["default"]["f1"]
            for path in runs
            if path.parts[-3] == system
        ]
        assert found.loc[(captions, "it"), "mean"] == pytest.approx(statistics.mean(scores), abs=1e-3)
        assert found.loc[(captions, "it"), "std"] == pytest.approx(statistics.stdev(scores), abs=1e-3)
    assert (3, "t") not in found.index, "a view it was not trained on"
    about = json.loads(output.with_suffix(".json").read_text())["about"]
    assert about["title"] == "Figure 2. F1 over the number of captions: twitter17"
    assert about["seeds"] == [1, 2, 3]
    assert "labels v1" in output.read_text()
    assert "rises up to five captions" in " ".join(about["notes"])
    first = output.read_bytes(), output.with_suffix(".pdf").read_bytes()
    drawn(tmp_path / "out", settings("captions"), "metrics", runs)
    assert first == (output.read_bytes(), output.with_suffix(".pdf").read_bytes())


def test_distance_of_the_two_views(tmp_path):
    runs = made_runs.write(tmp_path, made_runs.posts(20))
    chosen = settings("distance", ["ita-all", "ita-all-cva"], "figure3")
    found = pd.read_csv(drawn(tmp_path, chosen, "metrics", runs).with_suffix(".csv")).set_index("system")
    assert found.loc["ita-all", ["mean", "std", "n"]].tolist() == [3, 1, 3]
    one = [path for path in runs if path.parent.name == "seed2"]
    found = pd.read_csv(drawn(tmp_path, chosen, "metrics", one).with_suffix(".csv")).set_index("system")
    assert found.loc["ita-all", "mean"] == 3
    assert pd.isna(found.loc["ita-all", "std"])


def test_what_can_not_be_drawn_is_named(tmp_path, capsys):
    runs = made_runs.write(tmp_path, made_runs.posts(20))
    drawn(tmp_path, settings("distance", ["crf"], "figure3"), "metrics", runs, expect=1)
    assert "no representation_distance on the split 'test'" in capsys.readouterr().err
    (tmp_path / "history.csv").write_text("")
    drawn(tmp_path, settings("curves", name="curves"), "histories", [tmp_path / "history.csv"], expect=1)
    assert "history.csv: not a history.csv" in capsys.readouterr().err
    assert not (tmp_path / "curves.svg").exists()
