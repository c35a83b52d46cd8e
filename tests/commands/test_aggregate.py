"""ita aggregate: rows that all data sets have, their numbers, and the files."""

import csv
import json
import shutil

import pytest

from ita.commands import aggregate
from tests.support import made_runs
from tests.support.html_page import assert_harmless
from tests.support.made_reports import F1

FURTHER = {"crf": {"t": [60.0, 62.0, 64.0]}, "ita-all": {"it": [61.0, 65.0, 66.0]}}


def data_set(folder, name, values, systems):
    """results/NAME with runs of known F1."""
    paths = made_runs.write(folder / "made", made_runs.posts(6), systems=systems)
    made_runs.overwrite(paths, values)
    for path in paths:
        metrics = {**json.loads(path.read_text()), "dataset": name}
        run = folder / name / "runs" / "bert" / metrics["system"]["key"] / f"seed{metrics['seed']}"
        run.mkdir(parents=True)
        (run / "metrics.json").write_text(json.dumps(metrics))
    shutil.rmtree(folder / "made")
    return folder / name


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two data sets; only the first has ITA-All+CVA."""
    folder = tmp_path_factory.mktemp("results")
    return [
        data_set(folder, "one", F1, ["crf", "ita-all", "ita-all-cva"]),
        data_set(folder, "two", FURTHER, ["crf", "ita-all"]),
    ]


def run(*arguments):
    return aggregate.main([*map(str, arguments), "--resamples", "200"])


def test_rows_are_those_that_all_data_sets_have(folders, tmp_path, capsys):
    assert run(*folders, "--output", tmp_path / "both") == 0
    printed = capsys.readouterr().out
    assert "Left out" in printed and "bert/ita-all-cva" in printed
    rows = list(csv.DictReader((tmp_path / "both" / "aggregate.csv").open()))
    assert [(row["system"], row["view"], row["runs"]) for row in rows] == [("crf", "T", "6"), ("ita-all", "I+T", "6")]
    crf, ita = rows
    assert (float(ita["one_mean"]), float(ita["two_mean"])) == pytest.approx((274 / 3, 64))
    assert float(crf["iqm"]) == pytest.approx((62 + 64 + 80 + 81) / 4) and crf["gain"] == crf["better"] == ""
    # gains 9, 10, 12 and -1, 3, 4; the middle four of six
    assert float(ita["gain"]) == pytest.approx((3 + 4 + 9 + 10) / 4)
    assert float(ita["better"]) == pytest.approx((1 + 7 / 9) / 2)
    for measure in ("iqm", "gain", "better"):
        assert float(ita[f"{measure}_low"]) <= float(ita[measure]) <= float(ita[f"{measure}_high"])
    profile = [row for row in csv.DictReader((tmp_path / "both" / "profiles.csv").open()) if row["system"] == "ita-all"]
    assert (float(profile[0]["share"]), float(profile[-1]["share"])) == (1.0, 0.0)
    (share,) = [float(row["share"]) for row in profile if abs(float(row["gain"]) - 3.5) < 0.07]
    assert share == pytest.approx(4 / 6)
    stated = json.loads((tmp_path / "both" / "aggregate.json").read_text())
    assert len(stated["inputs"]) == 15 and stated["metadata"]["label_version"] == "one: v1; two: v1"
    assert_harmless((tmp_path / "both" / "aggregate.html").read_text())


def test_one_data_set_and_some_systems(folders, capsys):
    assert run(folders[0], "--systems", "ita-all-cva") == 0
    rows = [line.split("|")[2:4] for line in capsys.readouterr().out.splitlines() if line.startswith("| bert")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["crf", "T"],
        ["ita-all-cva", "T"],
        ["ita-all-cva", "I+T"],
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baseline", "ita-random"], "expected the baseline 'ita-random'"),
        (["--encoders", "xlmr"], "nothing to compare on one, two"),
        (["--split", "dev"], "no scores on the split 'dev'"),
        (["--resamples", "0"], "expected 1 or more"),
    ],
)
def test_what_cannot_be_compared_is_told(folders, options, message, capsys):
    assert aggregate.main([*map(str, folders), *options]) == 1
    assert message in capsys.readouterr().err


def test_a_folder_without_runs_and_a_data_set_twice(folders, tmp_path, capsys):
    assert run(tmp_path) == 1
    assert "expected a folder results/DATASET" in capsys.readouterr().err
    assert run(folders[0], folders[0]) == 1
    assert "give each data set once" in capsys.readouterr().err
