"""Tables from made-up runs whose statistics are known; every number recomputed another way."""

import json
import statistics

import pandas as pd
import pytest
from scipy import stats

from ita.cli import run_stage
from ita.io import parquet
from ita.reporting.render import Forms
from ita.stages import table
from tests.support import made_runs
from tests.support.made_runs import SYSTEMS

F1 = {
    "crf": {"t": [80.0, 81.0, 82.0], "it": [80.0, 81.0, 82.0]},
    "ita-all": {"t": [70.0, 70.5, 71.0], "it": [90.0, 91.0, 93.0]},
    "ita-all-cva": {"t": [80.5, 81.5, 82.5], "it": [80.0, 81.0, 82.5]},
    "ita-random": {"t": [70.0, 70.5, 71.0], "it": [79.0, 81.0, 80.0]},
}
ROWS = ["crf", "ita-all", "ita-all-cva"]


def settings(kind="f1", systems=ROWS, name="table1", dataset="twitter17", controls=None, alike=(), **chosen):
    return {
        "table": {"kind": kind, "systems": list(systems), "encoders": ["bert"], "resamples": 500, **chosen},
        "name": name,
        "dataset": dataset,
        "systems": SYSTEMS,
        "encoders": {"bert": "BERT"},
        "controls": controls or {},
        "alike": list(alike),
    }


def options(forms):
    """The files of a table as options."""
    return [word for name, path in vars(forms).items() for word in (f"--{name}", str(path))]


def made(folder, chosen, metrics=(), expect=0, **more):
    output = folder / "out" / "table1.csv"
    predictions = [path.with_name("predictions.parquet") for path in metrics]
    arguments = ["--settings", json.dumps(chosen), "--metrics", *map(str, metrics)]
    arguments += ["--predictions", *map(str, predictions), *options(Forms.beside(output))]
    for option, value in more.items():
        arguments += [f"--{option}", str(value)]
    assert run_stage(table, arguments) == expect
    return output


@pytest.fixture
def runs(tmp_path):
    """Runs whose predictions agree with their metrics."""
    return made_runs.write(tmp_path, made_runs.posts())


@pytest.fixture
def known(runs):
    """The same with chosen F1 in their metrics."""
    made_runs.overwrite(runs, F1)
    return runs


def frame(path):
    return pd.read_csv(path).set_index("approach")


def test_means_deviations_and_the_papers_values(tmp_path, known):
    found = frame(made(tmp_path, settings(), known))
    assert list(found.index) == ["BERT-CRF", "ITA-All", "ITA-All+CVA"]
    for approach, system in zip(found.index, ROWS, strict=True):
        for view in ("t", "it"):
            row = found.loc[approach]
            if (system, view) == ("crf", "it"):
                assert pd.isna(row["it_mean"])
                assert row["it_n"] == 0
                continue
            values = F1[system][view]
            assert row[f"{view}_mean"] == pytest.approx(statistics.mean(values), abs=1e-3)
            assert row[f"{view}_std"] == pytest.approx(statistics.stdev(values), abs=1e-3)
            assert row[f"{view}_strict_mean"] == pytest.approx(statistics.mean(values) - 1, abs=1e-3)
            assert [float(value) for value in row[f"{view}_seeds"].split()] == values
    assert found.loc["BERT-CRF", "t_paper"] == 85.18
    assert found.loc["ITA-All", "it_paper"] == 85.78
    assert pd.isna(found.loc["ITA-All", "t_paper"])
    assert found.loc["ITA-All", "it_difference"] == pytest.approx(91.3333 - 85.78, abs=1e-3)
    assert set(found["label_version"]) == {"v1"}


def test_tests_over_seeds_are_scipys_and_corrected(tmp_path, known):
    found = frame(made(tmp_path, settings(), known))
    cells = [("ITA-All", "it", "ita-all"), ("ITA-All+CVA", "t", "ita-all-cva"), ("ITA-All+CVA", "it", "ita-all-cva")]
    base = F1["crf"]["t"]
    welch = [stats.ttest_ind(F1[system][view], base, equal_var=False).pvalue for _, view, system in cells]
    # Holm by hand: three tests, the smallest times 3, the next times 2, the largest times 1, never decreasing.
    order = sorted(range(3), key=welch.__getitem__)
    corrected, floor = [0.0] * 3, 0.0
    for factor, at in zip((3, 2, 1), order, strict=True):
        floor = corrected[at] = max(floor, min(1.0, factor * welch[at]))
    for (approach, view, system), p, holm in zip(cells, welch, corrected, strict=True):
        row = found.loc[approach]
        assert row[f"{view}_p_welch"] == pytest.approx(p, rel=1e-4)
        assert row[f"{view}_p_welch_holm"] == pytest.approx(holm, rel=1e-4)
        assert row[f"{view}_gain"] == pytest.approx(statistics.mean(F1[system][view]) - 81, abs=1e-3)
    # Seed by seed the gain is 0.5 each time: it does not vary.
    assert found.loc["ITA-All+CVA", "t_p_paired_t"] == 0
    assert found.loc["ITA-All", "it_p_paired_t"] == pytest.approx(
        stats.ttest_rel(F1["ita-all"]["it"], base).pvalue, rel=1e-4
    )
    # Not tested: text alone against itself, and a view that a system was not trained on.
    assert pd.isna(found.loc["BERT-CRF", "t_p_welch"])
    assert pd.isna(found.loc["ITA-All", "t_p_welch"])
    assert list(found["it_mark"].fillna("")) == ["", "‡", ""]


@pytest.mark.parametrize(("level", "mark"), [(0.05, "‡"), (0.003, "†"), (0.0001, "")])
def test_marks(tmp_path, known, level, mark):
    """p of ITA-All is 0.0012, corrected 0.0035."""
    path = made(tmp_path, settings(significance_level=level), known)
    assert (frame(path).loc["ITA-All", "it_mark"] if mark else "") == mark
    assert f"91.33 ± 1.53{mark} " in path.with_suffix(".md").read_text()


def test_tests_over_posts_agree_with_f1_of_the_predictions(tmp_path, runs):
    """Bootstrap differences are those of F1 computed from the predictions by other code."""
    found = frame(made(tmp_path, settings(), runs))
    row = found.loc["ITA-All"]
    gain = statistics.mean(recomputed(runs, "ita-all", "it")) - statistics.mean(recomputed(runs, "crf", "t"))
    assert row["it_gain"] == pytest.approx(gain, abs=1e-3)
    assert row["it_gain_low"] < gain < row["it_gain_high"]
    assert row["it_p_bootstrap"] < 0.05
    assert row["it_p_randomisation"] == pytest.approx(1 / 501, rel=1e-3), "a difference no swap of 500 reaches"
    assert len(row["it_p_bootstrap_seeds"].split()) == 3
    assert found.loc["ITA-All+CVA", "t_p_randomisation"] > 0.05


def recomputed(runs, system, view):
    """F1 of each seed from predictions.parquet, entities counted by hand."""
    scores = []
    for path in (path for path in runs if path.parts[-3] == system):
        right = found = given = 0
        for row in parquet.rows("predictions", path.with_name("predictions.parquet")):
            if row["view"] == view:
                want, have = entities(row["gold"]), entities(row["predicted"])
                right, found, given = right + len(want & have), found + len(have), given + len(want)
        scores.append(200 * right / (found + given))
    return scores


def entities(tags):
    text = "".join(tag[0] + tag[2:3] for tag in tags)
    return {(place, text)} if (place := text.find("B")) >= 0 else set()


def test_the_random_control_stands_beside_the_rows(tmp_path, known):
    controls = {"ita-all": "ita-random", "ita-all-cva": "ita-random"}
    found = frame(made(tmp_path, settings(controls=controls, alike=["ita-all"]), known))
    for row, name in (("ita-all", "ITA-All"), ("ita-all-cva", "ITA-All+CVA")):
        assert found.loc[name, "it_random"] == pytest.approx(sum(F1[row]["it"]) / 3 - 80, abs=1e-3)
        p = stats.ttest_ind(F1[row]["it"], F1["ita-random"]["it"], equal_var=False).pvalue
        assert found.loc[name, "it_random_p_welch"] == pytest.approx(p, rel=1e-4)
    assert pd.isna(found.loc["BERT-CRF", "it_random"]), "reads no image text"
    said = "minus that of ITA-Random, which reads the image text of other posts and otherwise is ITA-All."
    assert said in (tmp_path / "out/table1.md").read_text()


def test_one_seed_leaves_blanks(tmp_path):
    runs = made_runs.write(tmp_path, made_runs.posts(), seeds=(1,))
    path = made(tmp_path, settings(), runs)
    found = frame(path)
    for column in ("it_std", "it_p_welch", "it_p_paired_t", "it_p_welch_holm", "it_mark"):
        assert found[column].isna().all(), column
    assert found.loc["ITA-All", "it_p_bootstrap"] < 0.05, "posts are many even when seeds are not"
    assert "over 1 seeds" not in path.with_suffix(".md").read_text()
    assert "±" not in path.with_suffix(".md").read_text().splitlines()[4]


def test_rows_with_the_papers_values_only(tmp_path, known):
    found = frame(made(tmp_path, settings(reported=["vinvl-crf", "rpbert-without-rp"]), known))
    assert found.loc["VinVL-CRF", "it_paper"] == 75.55
    assert pd.isna(found.loc["VinVL-CRF", "it_mean"])
    assert "RpBERT w/o Rp" not in found.index, "not reported for this dataset"


def test_all_forms_state_what_was_used(tmp_path, known):
    output = made(tmp_path, settings(), known)
    origin = json.loads(output.with_suffix(".json").read_text())
    assert len(origin["inputs"]) == 2 * len(known), "metrics and predictions"
    assert origin["about"]["seeds"] == [1, 2, 3]
    assert origin["about"]["encoders"] == {"bert": "BERT"}
    assert origin["about"]["commit"] == origin["commit"]
    for form in ("md", "html", "tex"):
        text = output.with_suffix(f".{form}").read_text()
        for stated in ("labels v1", "seeds 1, 2, 3", "BERT (bert-base-cased)", "ITA-All+CVA", "85.18", "Power: "):
            assert stated in text, (form, stated)
        assert "made by the project" not in text
    assert "<td>91.33 ± 1.53‡</td>" in output.with_suffix(".html").read_text()
    again = {path.suffix: path.read_text() for path in output.parent.iterdir()}
    made(tmp_path, settings(), known)
    assert again == {path.suffix: path.read_text() for path in output.parent.iterdir()}
    demo = made(tmp_path, settings(dataset="demo"), known).with_suffix(".md").read_text()
    assert "made by the project" in demo
    assert "paper T" not in demo


def test_runs_that_do_not_fit_are_refused(tmp_path, known, capsys):
    made(tmp_path, settings(), [path for path in known if path.parts[-3] != "ita-all"], expect=1)
    assert "no run of ita-all with bert" in capsys.readouterr().err
    first = known[0]
    whole = first.read_text()
    first.write_text(whole.replace("v1", "v2"))
    made(tmp_path, settings(), known, expect=1)
    assert "different labels (v1, v2)" in capsys.readouterr().err
    first.write_text("{")
    made(tmp_path, settings(), known, expect=1)
    assert "not a metrics.json" in capsys.readouterr().err
    first.write_text(whole.replace('"test"', '"dev"'))
    made(tmp_path, settings(), known, expect=1)
    assert "no scores on the split 'test'" in capsys.readouterr().err
    first.write_text(whole)
    made(tmp_path, settings(baseline="nobody"), known, expect=1)
    assert "table.baseline names 'nobody'" in capsys.readouterr().err
    rows = parquet.rows("predictions", first.with_name("predictions.parquet"))
    parquet.write("predictions", rows[1:], first.with_name("predictions.parquet"))
    made(tmp_path, settings(), known, expect=1)
    assert "other posts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
