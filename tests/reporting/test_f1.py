"""Tables 1 and 4 from runs whose statistics are known; every number recomputed another way."""

import statistics

import pandas as pd
import pytest
from scipy import stats

from ita.errors import UserError
from ita.reporting.tables import f1
from tests.support import made_runs
from tests.support.made_reports import F1, ROWS, table_inputs, table_settings


def build(metrics, **settings):
    return f1.build(*table_inputs(metrics, table_settings(**settings)))


def numbers(table):
    return table.numbers.set_index("approach")


def test_means_deviations_and_the_papers_values(known_metrics):
    rows = numbers(build(known_metrics))
    assert list(rows.index) == ["BERT-CRF", "ITA-All", "ITA-All+CVA"]
    for approach, system in zip(rows.index, ROWS, strict=True):
        for view in ("t", "it"):
            row = rows.loc[approach]
            if (system, view) == ("crf", "it"):
                assert pd.isna(row["it_mean"])
                assert row["it_n"] == 0
                continue
            values = F1[system][view]
            assert row[f"{view}_mean"] == pytest.approx(statistics.mean(values))
            assert row[f"{view}_std"] == pytest.approx(statistics.stdev(values))
            assert row[f"{view}_strict_mean"] == pytest.approx(statistics.mean(values) - 1)
            assert [float(value) for value in row[f"{view}_seeds"].split()] == values
    assert rows["trained_on"].tolist() == ["T", "I+T", "T and I+T"]
    assert rows.loc["BERT-CRF", "t_paper"] == 85.18
    assert rows.loc["ITA-All", "it_paper"] == 85.78
    assert pd.isna(rows.loc["ITA-All", "t_paper"])
    assert rows.loc["ITA-All", "it_difference"] == pytest.approx(statistics.mean([90, 91, 93]) - 85.78)


def test_tests_over_seeds_are_scipys_and_corrected(known_metrics):
    rows = numbers(build(known_metrics))
    cells = [("ITA-All", "it", "ita-all"), ("ITA-All+CVA", "t", "ita-all-cva"), ("ITA-All+CVA", "it", "ita-all-cva")]
    baseline = F1["crf"]["t"]
    welch = [stats.ttest_ind(F1[system][view], baseline, equal_var=False).pvalue for _, view, system in cells]
    # Holm by hand: three tests, the smallest times 3, the next times 2, the largest times 1, never decreasing.
    order = sorted(range(3), key=welch.__getitem__)
    corrected, floor = [0.0] * 3, 0.0
    for factor, index in zip((3, 2, 1), order, strict=True):
        floor = corrected[index] = max(floor, min(1.0, factor * welch[index]))
    for (approach, view, system), p, holm in zip(cells, welch, corrected, strict=True):
        row = rows.loc[approach]
        assert row[f"{view}_p_welch"] == pytest.approx(p)
        assert row[f"{view}_p_welch_holm"] == pytest.approx(holm)
        assert row[f"{view}_gain"] == pytest.approx(statistics.mean(F1[system][view]) - 81)
    # Seed by seed the gain is 0.5 each time: it does not vary.
    assert rows.loc["ITA-All+CVA", "t_p_paired_t"] == 0
    assert rows.loc["ITA-All", "it_p_paired_t"] == pytest.approx(stats.ttest_rel(F1["ita-all"]["it"], baseline).pvalue)
    # Not tested: text alone against itself, and a view that a system was not trained on.
    assert pd.isna(rows.loc["BERT-CRF", "t_p_welch"])
    assert pd.isna(rows.loc["ITA-All", "t_p_welch"])
    assert list(rows["it_mark"].fillna("")) == ["", "‡", ""]


@pytest.mark.parametrize(("alpha", "mark"), [(0.05, "‡"), (0.003, "†"), (0.0001, "")])
def test_marks(known_metrics, alpha, mark):
    """p of ITA-All is 0.0012, corrected 0.0035."""
    table = build(known_metrics, significance_level=alpha)
    assert numbers(table).loc["ITA-All", "it_mark"] == mark
    assert table.display.set_index("Approach").loc["ITA-All", "I+T"] == f"91.33 ± 1.53{mark}"
    assert f"p < {alpha} by Welch's t-test" in table.notes[1]
    assert "Holm over the 3 comparisons" in table.notes[1]


def test_tests_over_posts_agree_with_f1_of_the_predictions(metrics):
    """Bootstrap differences are those of F1 computed from the predictions by other code."""
    rows = numbers(build(metrics))
    row = rows.loc["ITA-All"]
    mean = {
        system: statistics.mean(map(made_runs.f1_by_hand, made_runs.prediction_rows(metrics, system, view)))
        for system, view in (("ita-all", "it"), ("crf", "t"))
    }
    gain = mean["ita-all"] - mean["crf"]
    assert row["it_gain"] == pytest.approx(gain)
    assert row["it_gain_low"] < gain < row["it_gain_high"]
    assert row["it_p_bootstrap"] < 0.05
    assert row["it_p_randomisation"] == pytest.approx(1 / 501), "a difference no swap of 500 reaches"
    assert len(row["it_p_bootstrap_seeds"].split()) == 3
    assert rows.loc["ITA-All+CVA", "t_p_randomisation"] > 0.05


def test_the_control_system_beside_the_rows(known_metrics):
    control_systems = {"ita-all": "ita-random", "ita-all-cva": "ita-random"}
    table = build(known_metrics, control_systems=control_systems, matched_rows=["ita-all"])
    rows = numbers(table)
    for row, name in (("ita-all", "ITA-All"), ("ita-all-cva", "ITA-All+CVA")):
        assert rows.loc[name, "it_random"] == pytest.approx(sum(F1[row]["it"]) / 3 - 80)
        p = stats.ttest_ind(F1[row]["it"], F1["ita-random"]["it"], equal_var=False).pvalue
        assert rows.loc[name, "it_random_p_welch"] == pytest.approx(p)
    assert pd.isna(rows.loc["BERT-CRF", "it_random"]), "reads no image text"
    assert table.display["vs random"].tolist() == ["", "+11.33", "+1.17"]
    assert table.notes[2] == (
        "vs random: I+T minus that of ITA-Random, which reads the image text of other posts and otherwise is ITA-All."
    )


def test_one_seed_leaves_blanks(tmp_path, post_rows):
    table = build(made_runs.write(tmp_path, post_rows, seeds=(1,)))
    rows = numbers(table)
    for column in ("it_std", "it_p_welch", "it_p_paired_t", "it_p_welch_holm"):
        assert rows[column].isna().all(), column
    assert not rows["it_mark"].any()
    assert rows.loc["ITA-All", "it_p_bootstrap"] < 0.05, "posts are many even when seeds are not"
    assert not table.display.map(lambda cell: "±" in cell).any(axis=None)
    assert table.display["n"].tolist() == ["1", "1", "1"]
    (power,) = [note for note in table.notes if note.startswith("Minimum detectable difference")]
    assert "over these posts" in power and "seeds" not in power


def test_rows_with_the_papers_values_only(known_metrics):
    table = build(known_metrics, reported=["vinvl-crf", "rpbert-without-rp"])
    rows = numbers(table)
    assert rows.loc["VinVL-CRF", "it_paper"] == 75.55
    assert pd.isna(rows.loc["VinVL-CRF", "it_mean"])
    assert "RpBERT w/o Rp" not in rows.index, "not reported for this dataset"
    assert table.display["n"].tolist() == ["3", "3", "3", ""]


def test_an_unknown_baseline_is_refused(known_metrics):
    with pytest.raises(UserError, match="table.baseline names 'nobody'"):
        build(known_metrics, baseline="nobody")
