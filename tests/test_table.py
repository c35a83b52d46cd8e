"""The table from made-up runs whose statistics are known."""

import json
import statistics

import pandas as pd
import pytest

from ita import table

SYSTEMS = {
    "crf": {"name": "{encoder}-CRF", "context": "none", "views": ["t"]},
    "ita-all": {"name": "ITA-All", "context": "all", "views": ["it"]},
    "ita-all-cva": {"name": "ITA-All+CVA", "context": "all", "views": ["t", "it"], "alignment": "posterior"},
}
F1 = {
    "crf": {"t": [80.0, 81.0, 82.0], "it": [80.0, 81.0, 82.0]},
    "ita-all": {"t": [70.0, 70.5, 71.0], "it": [90.0, 91.0, 93.0]},
    "ita-all-cva": {"t": [80.5, 81.5, 82.5], "it": [80.0, 81.0, 82.5]},
}


def settings(**more):
    chosen = {"systems": list(SYSTEMS), "encoders": ["bert"]}
    return {"table": chosen, "systems": SYSTEMS, "encoders": {"bert": "BERT"}, "dataset": "twitter17", **more}


def runs(folder, version="v1", skip=()):
    paths = []
    for system, views in F1.items():
        for seed in range(3):
            path = folder / "bert" / system / f"seed{seed}" / "metrics.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            scores = {
                v: {"default": {"f1": values[seed]}, "strict": {"f1": values[seed] - 1}} for v, values in views.items()
            }
            path.write_text(json.dumps({"scores": {"test": scores}, "seed": seed, "label_version": version}))
            if system not in skip:
                paths.append(str(path))
    return paths


def made(folder, chosen, metrics, expect=0):
    output = folder / "table1.csv"
    assert table.main(["--settings", json.dumps(chosen), "--metrics", *metrics, "--output", str(output)]) == expect
    return output


def test_means_deviations_and_the_papers_values(tmp_path):
    frame = pd.read_csv(made(tmp_path, settings(), runs(tmp_path))).set_index("approach")
    assert list(frame.index) == ["BERT-CRF", "ITA-All", "ITA-All+CVA"]
    for approach, system in zip(frame.index, F1, strict=True):
        for view in ("t", "it"):
            if (system, view) == ("crf", "it"):
                assert pd.isna(frame.loc[approach, "it_mean"])
                assert frame.loc[approach, "it_n"] == 0
                continue
            values = F1[system][view]
            assert frame.loc[approach, f"{view}_mean"] == pytest.approx(statistics.mean(values), abs=1e-3)
            assert frame.loc[approach, f"{view}_std"] == pytest.approx(statistics.stdev(values), abs=1e-3)
            assert frame.loc[approach, f"{view}_strict_mean"] == pytest.approx(statistics.mean(values) - 1, abs=1e-3)
            assert [float(value) for value in frame.loc[approach, f"{view}_seeds"].split()] == values
    assert frame.loc["BERT-CRF", "t_paper"] == 85.18
    assert frame.loc["ITA-All", "it_paper"] == 85.78
    assert pd.isna(frame.loc["ITA-All", "t_paper"])
    assert frame.loc["ITA-All", "it_difference"] == pytest.approx(91.3333 - 85.78, abs=1e-3)
    assert set(frame["label_version"]) == {"v1"}


def test_p_is_welchs(tmp_path):
    frame = pd.read_csv(made(tmp_path, settings(), runs(tmp_path))).set_index("approach")
    # By hand: t = (91.3333 - 81) / sqrt(2.3333/3 + 1/3) = 9.80, df = 3.45
    assert frame.loc["ITA-All", "it_p"] == pytest.approx(0.00117, rel=0.05)
    assert frame.loc["ITA-All+CVA", "t_p"] == pytest.approx(0.573, rel=0.01)
    assert pd.isna(frame.loc["ITA-All", "it_paper"]) is False


def test_readable_forms(tmp_path):
    output = made(tmp_path, settings(), runs(tmp_path))
    origin = json.loads(output.with_suffix(".json").read_text())
    assert len(origin["inputs"]) == 9
    assert origin["settings"]["dataset"] == "twitter17"
    text = output.with_suffix(".md").read_text()
    assert "81.00 ± 1.00" in text
    assert "85.18" in text
    assert "labels: v1" in text
    assert "made by the project" not in text
    assert "<td>91.33 ± 1.53</td>" in output.with_suffix(".html").read_text()
    demo = made(tmp_path, settings(dataset="demo"), runs(tmp_path)).with_suffix(".md").read_text()
    assert "made by the project" in demo
    assert "paper T" not in demo


def test_runs_that_do_not_fit_are_refused(tmp_path, capsys):
    made(tmp_path, settings(), runs(tmp_path, skip=("ita-all",)), expect=1)
    assert "no run of ita-all with bert" in capsys.readouterr().err
    mixed = runs(tmp_path)
    (tmp_path / "bert/crf/seed0/metrics.json").write_text(
        (tmp_path / "bert/crf/seed0/metrics.json").read_text().replace("v1", "v2")
    )
    made(tmp_path, settings(), mixed, expect=1)
    assert "different labels (v1, v2)" in capsys.readouterr().err
    (tmp_path / "bert/crf/seed0/metrics.json").write_text("{")
    made(tmp_path, settings(), mixed, expect=1)
    assert "not a metrics.json" in capsys.readouterr().err
    assert not (tmp_path / "table1.csv").exists()
