"""Table 2: the best of the seeds beside other approaches."""

import json

import pytest

from ita.reporting import reported
from ita.reporting.tables import best
from tests.support.made_reports import table_inputs, table_settings


def build(metrics):
    return best.build(*table_inputs(metrics, table_settings("best", ["crf", "ita-all-cva"], "table2")))


def test_best_of_the_seeds_beside_other_approaches(known_metrics):
    table = build(known_metrics)
    others = table.numbers[table.numbers["origin"] != "ours"]
    assert {(row.origin, row.approach): row.f1 for row in others.itertuples()} == {
        (row["origin"], row["name"]): float(row["f1"]) for row in reported.rows("table2", "twitter17")
    }
    ours = table.numbers[table.numbers["origin"] == "ours"].set_index(["approach", "view"])
    assert ours.loc[("BERT-CRF", "T"), ["f1", "seed", "n"]].tolist() == [82.0, 3, 3]
    assert ours.loc[("ITA-All+CVA", "I+T"), "f1"] == 82.5
    assert ours.loc[("BERT-CRF", "T"), "difference"] == pytest.approx(82 - 85.18)
    assert ours.loc[("ITA-All+CVA", "T"), "paper"] == 86.45
    assert ours["chosen_on_dev"].isna().all(), "these runs were not evaluated on dev"
    assert table.display["Best F1"].tolist()[-3:] == ["82.00", "82.50", "82.50"]


def test_the_seed_that_is_best_on_dev(known_metrics):
    for path in known_metrics:
        metrics = json.loads(path.read_text())
        metrics["scores"]["dev"] = {view: {"default": {"f1": 10.0 - metrics["seed"]}} for view in ("t", "it")}
        path.write_text(json.dumps(metrics))
    ours = build(known_metrics).numbers.set_index(["approach", "view"])
    assert ours.loc[("BERT-CRF", "T"), ["chosen_on_dev", "f1"]].tolist() == [80.0, 82.0], "seed 1 is best on dev"
