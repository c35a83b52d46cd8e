"""Table 5: precision, recall and F1 of each type, recomputed from the predictions."""

import statistics

import pandas as pd
import pytest

from ita.data.tags import spans
from ita.reporting.tables import types
from tests.support import made_runs
from tests.support.made_reports import table_inputs, table_settings
from tests.support.made_runs import TYPES


@pytest.fixture
def table(metrics):
    """Of a system on text and one on both views."""
    return types.build(*table_inputs(metrics, table_settings("types", ["crf", "ita-all-cva"], "table5")))


def test_f1_recomputed_from_predictions(metrics, table):
    assert len(table.numbers) == 3 * len(TYPES), "one view of the text-only tagger, two of the other"
    for row in table.numbers.to_dict("records"):
        view = {"T": "t", "I+T": "it"}[row["view"]]
        scores, gold = [], []
        for rows in made_runs.prediction_rows(metrics, row["system"], view):
            scores.append(
                made_runs.f1_by_hand(rows, part=lambda _, s, kind=row["type"]: {x for x in s if x.type == kind})
            )
            gold.append(sum(span.type == row["type"] for post in rows for span in spans(post["gold"])))
        assert row["f1_mean"] == pytest.approx(statistics.mean(scores))
        assert row["f1_std"] == pytest.approx(statistics.stdev(scores))
        assert row["support"] == gold[0]


def test_gains_and_tests_against_the_text_only_system(metrics, table):
    numbers = table.numbers
    baseline = numbers[numbers["system"] == "crf"].set_index("type")
    image = numbers[(numbers["system"] == "ita-all-cva") & (numbers["view"] == "I+T")].set_index("type")
    for entity_type in TYPES:
        for measure in ("precision", "recall", "f1"):
            gain = image.loc[entity_type, f"{measure}_mean"] - baseline.loc[entity_type, f"{measure}_mean"]
            assert image.loc[entity_type, f"{measure}_gain"] == pytest.approx(gain)
            assert pd.isna(baseline.loc[entity_type, f"{measure}_gain"])
        row = image.loc[entity_type]
        assert row["f1_gain_low"] < row["f1_gain"] < row["f1_gain_high"]
        assert row["f1_gain_low"] > 0 and row["f1_p_bootstrap"] < 0.05, "it is right in 25 % more of the posts"
    assert image.loc["PER", "f1_paper"] == 91.4


def test_one_line_per_system_and_view_and_one_of_the_papers(table):
    display = table.display
    assert list(display.columns[:6]) == ["Encoder", "Approach", "View", "LOC P", "LOC R", "LOC F1"]
    paper = display[display["Approach"] == "ITA-All+CVA (paper)"]
    assert paper["PER F1"].tolist() == ["91.4", "91.4"]
    (cell,) = display[(display["Approach"] == "ITA-All+CVA") & (display["View"] == "I+T")]["PER F1"]
    row = table.numbers.set_index(["system", "view", "type"]).loc[("ita-all-cva", "I+T", "PER")]
    assert cell == f"{row['f1_mean']:.1f}{row['f1_mark']} ({row['f1_gain']:+.1f})"


def test_updates_of_each_row_and_a_word_on_longer_training(metrics):
    made_runs.state_training(metrics, {"crf": 100, "ita-all-cva": 200})
    table = types.build(*table_inputs(metrics, table_settings("types", ["crf", "ita-all-cva"], "table5")))
    assert set(table.numbers[table.numbers["system"] == "ita-all-cva"]["updates"]) == {200}
    lines = table.display.set_index(["Approach", "View"])
    assert lines.loc[("BERT-CRF", "T"), ["updates", "subwords"]].tolist() == ["100", "1.2 M"]
    assert lines.loc[("ITA-All+CVA (paper)", "T"), "updates"] == ""
    (note,) = [note for note in table.notes if "more updates than" in note]
    assert note.startswith("ITA-All+CVA: trained with more updates than BERT-CRF") and note.endswith("alone.")


def test_one_seed_has_no_marks_and_a_note_says_why(tmp_path, post_rows):
    metrics = made_runs.write(tmp_path, post_rows, seeds=(1,))
    table = types.build(*table_inputs(metrics, table_settings("types", ["crf", "ita-all-cva"], "table5")))
    assert not table.numbers["f1_mark"].any()
    assert any(note.startswith("Rows of one seed bear no mark") for note in table.notes)
