"""Data of the page of charts, counted another way; drawings without styles; a page without runs."""

import re
import statistics
from collections import Counter

import pytest

from ita.data.tags import spans
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.pages import charts
from ita.reporting.pages.chart_data import FEWEST, INVENTED, MISSED, ViewPredictions, context_lengths, first_split
from ita.reporting.pages.charts_page import ChartFiles, cost_table, write_charts_page
from ita.reporting.pages.inline_svg import attributes, drawing, to_svg
from ita.reporting.pages.run_data import SystemRuns
from ita.reporting.report_rows import ReportSettings
from tests.support import made_dataset
from tests.support.hostile import TEXTS
from tests.support.html_page import parse
from tests.support.made_dataset import SETTINGS, write_runs, write_tables

COUNTS = {"train": 0, "dev": 2, "test": 60}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of a small data set and predictions of its runs."""
    folder = tmp_path_factory.mktemp("charts")
    paths = write_runs(folder, write_tables(folder, COUNTS, 1), seeds=(1, 2))
    for path in paths:
        made_dataset.write_run_files(path)
    return folder, paths


@pytest.fixture(scope="module")
def shown(made):
    """Predictions of ITA-All on the test posts in the view I+T."""
    return ViewPredictions.read([path for path in made[1] if "ita-all" in str(path)], "test", "it")


def test_types_add_up_to_all_entities(shown):
    confusion = shown.confusion()
    for entity_type in made_dataset.TYPES:
        gold = [sum(span.type == entity_type for row in rows for span in spans(row["gold"])) for rows in shown.seeds]
        found = [
            sum(span.type == entity_type for row in rows for span in spans(row["predicted"])) for rows in shown.seeds
        ]
        assert sum(n for pair, n in confusion.items() if pair[0] == entity_type) == pytest.approx(statistics.mean(gold))
        assert sum(n for pair, n in confusion.items() if pair[1] == entity_type) == pytest.approx(
            statistics.mean(found)
        )
    table = charts.confusion("ITA-All", "BERT", confusion)
    assert list(table.columns) == [*made_dataset.TYPES, MISSED] and table.rows[-1][0] == INVENTED
    assert table.rows[0][1][0][0] == f"{confusion['LOC', 'LOC']:.1f}"
    assert max(step for _, cells in table.rows for _, step in cells) <= charts.HEAT


def test_bins_hold_all_predicted_entities(shown):
    bins, error = shown.calibration()
    predicted = [span for rows in shown.seeds for row in rows for span in row["spans"]]
    assert sum(row.count for row in bins) == len(predicted)
    assert 0 < error < 100


def test_f1_over_lengths_is_that_of_the_posts_in_a_bin(made, shown):
    words = context_lengths(made[0] / "all.parquet")
    assert Counter(words.values()).keys() == {0, 4}
    bins = shown.over_lengths(words)
    assert [row.name for row in bins] == ["0", "1–10"]
    assert sum(row.posts for row in bins) == COUNTS["test"]
    for row, length in zip(bins, (0, 4), strict=True):
        scores = []
        for rows in shown.seeds:
            posts = [post for post in rows if words[post["post_id"]] == length]
            pairs = [(set(spans(post["gold"])), set(spans(post["predicted"]))) for post in posts]
            right, total = sum(len(a & b) for a, b in pairs), sum(len(a) + len(b) for a, b in pairs)
            scores.append(200 * right / total)
        assert row.f1 == pytest.approx(statistics.mean(scores))
        assert row.low < row.f1 < row.high and row.entities >= FEWEST
    assert shown.over_lengths({**dict.fromkeys(words, 0), "test-0": 400})[-1].name == "0", (
        "a bin of one post is left out"
    )


def test_seeds_on_different_posts_are_refused(tmp_path, made):
    path = made[1][0]
    rows, other = parquet.rows("predictions", path), tmp_path / "predictions.parquet"
    parquet.write("predictions", rows[:40], other, parquet.metadata(path))
    with pytest.raises(UserError, match="different posts"):
        ViewPredictions.read([path, other], "test", "t")
    parquet.write("predictions", [{**row, "split": "dev"} for row in rows], other)
    assert (first_split(path), first_split(other)) == ("test", "dev")


def test_drawings_take_the_colours_of_the_page(shown):
    assert attributes("fill: none; stroke: #abc") == ' fill="none" stroke="#abc"'
    with drawing() as (figure, axis):
        axis.plot([0, 1], [0, 1], color="#1f77b4")
        svg = to_svg(figure, "one", '"<script>&')
    assert 'aria-label="&#34;&lt;script&gt;&amp;"' in svg and "<script" not in svg
    assert "style" not in svg and "var(--view-t)" in svg and "var(--ink)" in svg
    assert set(re.findall(r"#([0-9a-f]{6})\b", svg)) <= {"000000", "ffffff"}
    names = re.findall(r'\bid="([^"]+)"', svg)
    assert all(name.startswith("one-") for name in names)
    assert {name for pair in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg) for name in pair if name} <= {*names}


def test_names_do_no_harm_and_nothing_is_needed(tmp_path, made):
    systems = {"crf": {"name": TEXTS[0].replace("{", "{{").replace("}", "}}"), "context": "none", "views": ["t"]}}
    report = ReportSettings.read({**SETTINGS, "dataset": TEXTS[1], "systems": systems}, "report")
    group = SystemRuns("bert", "crf", {1: made[1][0]})
    write_charts_page(tmp_path, report, ChartFiles([group], [made[1][0].with_name("history.csv")], {}))
    root = parse((tmp_path / "charts.html").read_text())
    assert " ".join(TEXTS[0].split()) in root.texts("figcaption")
    assert [script.attributes.get("src") for script in root.all("script")] == ["charts.js"]
    assert root.texts("h2") == ["Learning curves", "Calibration", "Confusion by type", "Cost of each stage"]
    write_charts_page(tmp_path, report, ChartFiles([], [], {}))
    assert parse((tmp_path / "charts.html").read_text()).texts("h2") == ["Cost of each stage"]


def test_bars_are_shares_of_the_longest_stage(tmp_path):
    for stage, seconds in (("posts", 1.0), ("download", 4.0)):
        (tmp_path / f"{stage}.tsv").write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t10\t{seconds}\n")
    table = cost_table(ChartFiles([], [], {}, tmp_path), "d")
    assert [(row["labels"][0], row["share"]) for row in table["rows"]] == [("posts", 25.0), ("download", 100.0)]
