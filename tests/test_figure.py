"""Learning curves from made-up histories."""

import json

import pandas as pd
from test_table import SYSTEMS

from ita import figure


def test_curves_are_drawn_the_same_each_time(tmp_path):
    paths = []
    for system, columns in (("crf", ["dev_f1_t"]), ("ita-all-cva", ["dev_f1_t", "dev_f1_it"])):
        for seed in (1, 2):
            path = tmp_path / "bert" / system / f"seed{seed}" / "history.csv"
            path.parent.mkdir(parents=True)
            pd.DataFrame({"epoch": [1, 2], **{column: [50.0, 60.0 + seed] for column in columns}}).to_csv(
                path, index=False
            )
            paths.append(str(path))
    chosen = {
        "systems": {key: SYSTEMS[key] for key in ("crf", "ita-all-cva")},
        "encoders": {"bert": "BERT"},
        "order": {"encoders": ["bert"], "systems": ["ita-all-cva", "crf"]},
        "dataset": "d",
    }
    drawn = []
    for name in ("a.svg", "b.svg"):
        output = tmp_path / name
        assert figure.main(["--settings", json.dumps(chosen), "--histories", *paths, "--output", str(output)]) == 0
        drawn.append(output.read_text())
    assert drawn[0] == drawn[1]
    assert drawn[0].index("ITA-All+CVA") < drawn[0].index("BERT-CRF"), "panels in the order of the table"
    for text in ("BERT-CRF", "ITA-All+CVA", "learning curves"):
        assert text in drawn[0]


def test_a_broken_history_is_named(tmp_path, capsys):
    (tmp_path / "history.csv").write_text("")
    arguments = ["--histories", str(tmp_path / "history.csv"), "--output", str(tmp_path / "x.svg")]
    assert figure.main(["--settings", "{}", *arguments]) == 1
    assert "history.csv: not a history.csv" in capsys.readouterr().err
