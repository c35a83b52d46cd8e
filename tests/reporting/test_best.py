"""Table 2: the best of the seeds and the mean beside the literature."""

import json
import statistics

import pandas as pd
import pytest
from scipy import stats

from ita.io import parquet
from ita.reporting import reported
from ita.reporting.tables import best
from tests.support import made_runs
from tests.support.made_reports import F1, table_inputs, table_settings
from tests.support.made_runs import CONTROL, SYSTEMS

ROWS = ["crf", "ita-all-cva"]


def build(metrics, systems=ROWS, **settings):
    return best.build(*table_inputs(metrics, table_settings("best", systems, "table2", **settings)))


def ours(table):
    numbers = table.numbers
    return numbers[numbers["origin"] == "ours"].set_index(["approach", "view"])


def cells(table, approach):
    display = table.display
    return display[display["Approach"] == approach].to_dict("records")


def test_the_csv_has_every_value_of_the_literature(known_metrics):
    numbers = build(known_metrics).numbers
    others = numbers[numbers["origin"] != "ours"]
    assert {(row.origin, row.system, row.approach): row.f1 for row in others.itertuples()} == {
        (row["origin"], row["system"], row["name"]): float(row["f1"]) for row in reported.rows("table2", "twitter17")
    }
    assert all(row["system"] for row in reported.rows("table2"))


def test_best_and_mean_of_the_seeds(known_metrics):
    table = build(known_metrics)
    rows = ours(table)
    assert rows.loc[("BERT-CRF", "T"), ["f1", "seed", "n"]].tolist() == [82.0, 3, 3]
    assert rows.loc[("ITA-All+CVA", "I+T"), "f1"] == 82.5
    row = rows.loc[("ITA-All+CVA", "I+T")]
    values = F1["ita-all-cva"]["it"]
    assert row["mean"] == pytest.approx(statistics.mean(values))
    assert row["std"] == pytest.approx(statistics.stdev(values))
    assert [float(value) for value in row["seeds"].split()] == values
    assert rows["chosen_on_dev"].isna().all(), "these runs were not evaluated on dev"
    assert [row["best"] for row in table.display.to_dict("records")][:3] == ["82.00", "82.50", "82.50"]


def test_a_reproduced_value_is_compared_before_a_reported_one(known_metrics):
    rows = ours(build(known_metrics))
    crf = rows.loc[("BERT-CRF", "T")]
    assert (crf["reported"], crf["reproduced"], crf["compared_with"]) == (83.44, 85.18, "reproduced")
    assert crf["difference"] == pytest.approx(82 - 85.18)
    assert crf["mean_difference"] == pytest.approx(81 - 85.18)
    for view in ("T", "I+T"):  # both are 82.5 at best
        row = rows.loc[("ITA-All+CVA", view)]
        assert (row["reported"], row["compared_with"]) == (86.45, "ita") and pd.isna(row["reproduced"])
        assert row["difference"] == pytest.approx(82.5 - 86.45)


def test_only_the_better_view_is_compared(known_metrics):
    made_runs.overwrite(known_metrics, {"ita-all-cva": {"t": [1, 2, 3], "it": [4, 5, 6]}})
    rows = ours(build(known_metrics))
    assert rows.loc[("ITA-All+CVA", "I+T"), "difference"] == pytest.approx(6 - 86.45)
    assert pd.isna(rows.loc[("ITA-All+CVA", "T"), "difference"])
    assert rows.loc[("ITA-All+CVA", "T"), "reported"] == 86.45


def test_values_of_another_encoder_are_not_compared(tmp_path, post_rows):
    metrics = made_runs.write(tmp_path, post_rows, ["crf"], encoder="xlmr")
    settings = table_settings("best", ["crf"], "table2", entries={"crf": SYSTEMS["crf"]}, encoders=["xlmr"])
    settings["encoders"] = {"xlmr": "XLMR"}
    table = best.build(*table_inputs(metrics, settings))
    assert ours(table)["difference"].isna().all()
    (row,) = cells(table, "BERT-CRF")
    assert (row["Encoder"], row["reported"], row["reproduced"], row["best"]) == ("bert", "83.44", "85.18", "")


def test_one_line_per_approach_with_both_values_of_the_literature(known_metrics):
    display = build(known_metrics).display
    assert display["Approach"].tolist() == ["BERT-CRF", "ITA-All+CVA", "ITA-All+CVA", "UMT", "UMGF"]
    assert display["reported"].tolist() == ["83.44", "86.45", "86.45", "85.31", "85.51"]
    assert display["reproduced"].tolist() == ["85.18", "", "", "84.88", "85.27"]
    assert display["diff"].tolist() == ["-3.18", "-3.95", "-3.95", "", ""]
    assert display["diff of mean"].tolist() == ["-4.18", "-4.95", "-5.28", "", ""]
    assert display["n"].tolist() == ["3", "3", "3", "", ""]


def test_a_row_of_ours_takes_the_place_of_its_approach(tmp_path, post_rows):
    entries = {key: made_runs.ALL_SYSTEMS[key] for key in ("crf", "umt")}
    metrics = made_runs.write(tmp_path, post_rows, entries)
    made_runs.overwrite(metrics, {"umt": {"t": [0, 0, 0], "it": [80, 81, 84]}})
    table = build(metrics, ["crf", "umt"], entries=entries)
    (row,) = cells(table, "UMT")
    assert (row["reported"], row["reproduced"], row["best"], row["seed"]) == ("85.31", "84.88", "84.00", "3")
    assert row["diff"] == "-0.88" and row["mean"].startswith("81.67 ± 2.08")
    assert {"UMGF", "ITA-All+CVA"} <= set(table.display["Approach"]), "no rows here: reported alone"


def test_a_row_by_the_published_recipe_has_the_literature_of_its_approach(tmp_path, post_rows):
    systems = made_runs.ALL_SYSTEMS
    entries = {"crf": systems["crf"], "umt": systems["umt"], "umt-upstream": {**systems["umt"], "name": "UMT (recipe)"}}
    metrics = made_runs.write(tmp_path, post_rows, ["crf", "umt"])
    for path in made_runs.write(tmp_path / "more", post_rows, ["umt"]):
        made_runs.edit(path, system={"key": "umt-upstream", "views": ["it"]})
        predictions = path.with_name("predictions.parquet")
        identity = made_runs.run_id("umt-upstream", json.loads(path.read_text())["seed"])
        parquet.write("predictions", parquet.rows("predictions", predictions), predictions, {"run": identity})
        metrics.append(path)
    table = build(metrics, list(entries), entries=entries)
    for name in ("UMT", "UMT (recipe)"):
        (row,) = cells(table, name)
        assert (row["reported"], row["reproduced"]) == ("85.31", "84.88")


def test_means_are_tested_against_the_baseline(known_metrics):
    table = build(known_metrics, ["crf", "ita-all"])
    row = ours(table).loc[("ITA-All", "I+T")]
    p = stats.ttest_ind(F1["ita-all"]["it"], F1["crf"]["t"], equal_var=False).pvalue
    assert row["p_welch"] == pytest.approx(p) and row["mark"] == "‡"
    assert {"p_paired_t", "p_bootstrap", "p_randomisation"} <= set(row.dropna().index)
    assert cells(table, "ITA-All")[0]["mean"] == "91.33 ± 1.53‡"
    assert "Holm over the 1 comparisons" in " ".join(table.notes)


def test_rows_of_two_views_beside_the_control_of_as_many_updates(tmp_path, post_rows):
    entries = SYSTEMS | CONTROL
    metrics = made_runs.write(tmp_path, post_rows, entries)
    made_runs.overwrite(metrics, F1 | {"crf-updates": {"t": [85.0, 86.0, 87.0]}})
    made_runs.state_training(metrics, {"crf": 100, "crf-updates": 200, "ita-all-cva": 200})
    table = build(metrics, entries=entries)
    row = ours(table).loc[("ITA-All+CVA", "T")]
    assert row["updates_gain"] == pytest.approx(81.5 - 86)
    p = stats.ttest_ind(F1["ita-all-cva"]["t"], [85, 86, 87], equal_var=False).pvalue
    assert row["updates_p_welch"] == pytest.approx(p)
    assert cells(table, "ITA-All+CVA")[0]["vs crf-updates"] == f"-4.50{row['updates_mark']}"
    assert cells(table, "BERT-CRF")[0]["updates"] == "100"


def test_the_seed_that_is_best_on_dev(known_metrics):
    for path in known_metrics:
        metrics = json.loads(path.read_text())
        metrics["scores"]["dev"] = {view: {"default": {"f1": 10.0 - metrics["seed"]}} for view in ("t", "it")}
        path.write_text(json.dumps(metrics))
    rows = ours(build(known_metrics))
    assert rows.loc[("BERT-CRF", "T"), ["chosen_on_dev", "f1"]].tolist() == [80.0, 82.0], "seed 1 is best on dev"
