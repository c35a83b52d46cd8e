"""Cost of the stages from benchmark files."""

import pandas as pd

from ita.io import parquet
from ita.reporting.tables import cost

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
LINES = {
    "posts": "1.5\t0:00:01\t100.0\t1\t1\t1\t0\t0\t50\t1.25",
    "train/bert/crf/seed1": "10\t0:00:10\t500\t1\t1\t1\t0\t0\t50\t9",
    "train/bert/crf/seed2": "20\t0:00:20\t700\t1\t1\t1\t0\t0\t50\t18",
    "download": "0.1\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA",
    "older": "1\t0:00:01\t1\t1\t1\t1\t0\t0\t50\t1",
}


def test_sums_and_maxima_of_the_benchmarks_that_exist(tmp_path):
    for name, line in LINES.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + line + "\n")
    rows = cost.build(tmp_path, "d").numbers.set_index("stage")
    assert list(rows.index) == ["posts", "download", "train"], "in the order of the data flow"
    assert rows.loc["train", ["of", "jobs", "seconds", "mean_seconds", "cpu_seconds", "max_rss_mb"]].tolist() == [
        "bert", 2, 30, 15, 27, 700,
    ]  # fmt: skip
    assert pd.isna(rows.loc["download", "max_rss_mb"])


def test_without_benchmarks_the_table_is_empty(tmp_path):
    assert cost.build(None, "d").numbers.empty
    assert cost.build(tmp_path / "nowhere", "d").display.empty


def test_tokens_and_prices_of_language_models(tmp_path):
    for name in ("gpt/1-of-1", "filled/1-of-1"):
        path = tmp_path / "benchmarks" / "knowledge" / f"{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(HEAD + LINES["posts"] + "\n")
    tables = tmp_path / "knowledge"
    asked = {"prompt_tokens": 2_000_000, "completion_tokens": 500_000, "asked": 90, "asking_seconds": 45.0}
    parquet.write("knowledge", [], tables / "gpt.parquet", {"counts": asked})
    parquet.write("knowledge", [], tables / "filled.parquet", {"counts": {"prompt_tokens": 0, "asked": 9}})
    prices = {"gpt": {"prompt_price": 0.5, "completion_price": 2.0}}
    built = cost.build(tmp_path / "benchmarks", "d", tables, prices)
    rows = built.numbers.set_index("of")
    columns = ["prompt_tokens", "completion_tokens", "posts_per_second", "price"]
    assert rows.loc["gpt", columns].tolist() == [2_000_000, 500_000, 2.0, 2.0]
    assert rows.loc["filled", columns].isna().all()
    assert built.display["price"].tolist() == ["", "2.00"] and len(built.notes) == 2
    alone = cost.build(tmp_path / "benchmarks", "d", tmp_path / "nowhere")
    assert "price" not in alone.numbers and len(alone.notes) == 1
