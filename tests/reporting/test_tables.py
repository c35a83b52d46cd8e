"""The other kinds of tables: best, types, characters, analysis, cost; and LaTeX."""

import re
import statistics

import pandas as pd
import pytest

from ita.data.tags import spans
from ita.io import parquet
from ita.reporting import latex, reported
from ita.reporting.tables import cost
from tests.stages.test_table import F1, frame, made, settings
from tests.support import made_runs
from tests.support.made_runs import TYPES


@pytest.fixture
def rows():
    """Made-up posts."""
    return made_runs.posts()


@pytest.fixture
def runs(tmp_path, rows):
    """Runs on them."""
    return made_runs.write(tmp_path, rows)


def predictions(runs, system, view):
    for path in (path for path in runs if path.parts[-3] == system):
        yield [r for r in parquet.rows("predictions", path.with_name("predictions.parquet")) if r["view"] == view]


def f1_by_hand(rows, wanted=lambda row: True, part=lambda row, found: found):
    right = found = given = 0
    for row in filter(wanted, rows):
        want, have = (part(row, set(spans(tags))) for tags in (row["gold"], row["predicted"]))
        right, found, given = right + len(want & have), found + len(have), given + len(want)
    return 200 * right / (found + given)


def test_best_of_the_seeds_beside_other_approaches(tmp_path, runs):
    made_runs.overwrite(runs, F1)
    chosen = settings("best", ["crf", "ita-all-cva"], "table2")
    found = pd.read_csv(made(tmp_path, chosen, runs))
    theirs = found[found["origin"] != "ours"]
    assert {(row.origin, row.approach): row.f1 for row in theirs.itertuples()} == {
        (row["origin"], row["name"]): float(row["f1"]) for row in reported.rows("table2", "twitter17")
    }
    ours = found[found["origin"] == "ours"].set_index(["approach", "view"])
    assert ours.loc[("BERT-CRF", "T"), ["f1", "seed", "n"]].tolist() == [82.0, 3, 3]
    assert ours.loc[("ITA-All+CVA", "I+T"), "f1"] == 82.5
    assert ours.loc[("BERT-CRF", "T"), "difference"] == pytest.approx(82 - 85.18)
    assert ours.loc[("ITA-All+CVA", "T"), "paper"] == 86.45
    assert ours["chosen_on_dev"].isna().all(), "these runs know no dev posts"


def test_types_recomputed_from_predictions(tmp_path, runs):
    found = pd.read_csv(made(tmp_path, settings("types", ["crf", "ita-all-cva"], "table5"), runs))
    assert len(found) == 3 * len(TYPES), "one view of the text-only tagger, two of the other"
    for row in found.to_dict("records"):
        view = {"T": "t", "I+T": "it"}[row["view"]]
        scores = []
        for seed in predictions(runs, row["system"], view):
            scores.append(f1_by_hand(seed, part=lambda _, s, kind=row["type"]: {x for x in s if x.type == kind}))
        assert row["f1_mean"] == pytest.approx(statistics.mean(scores), abs=1e-3)
        assert row["f1_std"] == pytest.approx(statistics.stdev(scores), abs=1e-3)
    base = found[found["system"] == "crf"].set_index("type")
    image = found[(found["system"] == "ita-all-cva") & (found["view"] == "I+T")].set_index("type")
    for kind in TYPES:
        for measure in ("precision", "recall", "f1"):
            gain = image.loc[kind, f"{measure}_mean"] - base.loc[kind, f"{measure}_mean"]
            assert image.loc[kind, f"{measure}_gain"] == pytest.approx(gain, abs=1e-3)
            assert pd.isna(base.loc[kind, f"{measure}_gain"])
    assert image.loc["PER", "f1_paper"] == 91.4
    assert 0 <= image.loc["PER", "f1_p_bootstrap"] <= 1
    text = (tmp_path / "out/table1.md").read_text()
    assert "LOC P" in text
    assert "ITA-All+CVA (paper)" in text


def test_characters_beside_the_papers(tmp_path, rows):
    texts = [
        {"image_id": row["image_id"], "text": "two words" if n % 2 else " ", "engine": "r", "version": "1"}
        for n, row in enumerate(rows)
        if row["image_id"]
    ]
    parquet.write("posts", rows, tmp_path / "posts.parquet", {"label_version": "v1"})
    parquet.write("ocr", texts, tmp_path / "ocr.parquet")
    chosen = settings("ocr", name="table6", dataset="twitter15")
    chosen["table"] = {"kind": "ocr", "ocr_engines": ["tesseract"]}
    path = made(tmp_path, chosen, posts=tmp_path / "posts.parquet", ocr=tmp_path / "ocr.parquet")
    found = pd.read_csv(path).set_index("split")
    some = {row["image_id"] for row in texts if row["text"].strip()}
    with_text = sum(row["image_id"] in some for row in rows)
    assert found.loc["all", "with_text"] == with_text
    assert found.loc["all", "share"] == pytest.approx(100 * with_text / len(rows), abs=1e-3)
    assert found.loc["all", ["mean_tokens", "share_paper", "mean_tokens_paper"]].tolist() == [2, 26, 28]
    assert found.loc["all", "mean_tokens_difference"] == -26
    assert "OCR engines r 1" in path.with_suffix(".md").read_text()


def test_analysis_recomputed_from_predictions(tmp_path, rows, runs):
    images = [
        {"image_id": row["image_id"], "status": "ok" if n % 2 else "missing", "attempts": 1}
        for n, row in enumerate(rows)
        if row["image_id"]
    ]
    texts = [{"image_id": row["image_id"], "text": "a" if n % 5 == 0 else ""} for n, row in enumerate(images)]
    for name, content in (("posts", rows), ("images", images), ("ocr", texts)):
        parquet.write(name, content, tmp_path / f"{name}.parquet")
    more = {name: tmp_path / f"{name}.parquet" for name in ("posts", "images", "ocr")}
    found = frame(made(tmp_path, settings("analysis", name="analysis"), runs, **more))
    row = found.loc["ITA-All"]
    assert row["view"] == "I+T"
    seeds = list(predictions(runs, "ita-all", "it"))
    image_of = {post["post_id"]: post["image_id"] for post in rows}
    usable = {image["image_id"] for image in images if image["status"] == "ok"}
    read = {text["image_id"] for text in texts if text["text"]}
    seen = {
        (*post["tokens"][span.start : span.end], span.type)
        for post in rows
        if post["split"] == "train"
        for span in spans(post["tags"])
    }

    def known(row, found):
        return {span for span in found if (*row["tokens"][span.start : span.end], span.type) in seen}

    expected = {
        "f1": [f1_by_hand(seed) for seed in seeds],
        "span_only": [f1_by_hand(seed, part=lambda _, s: {x[:2] for x in s}) for seed in seeds],
        "image": [f1_by_hand(seed, lambda r: image_of[r["post_id"]] in usable) for seed in seeds],
        "no_image": [f1_by_hand(seed, lambda r: image_of[r["post_id"]] not in usable) for seed in seeds],
        "ocr": [f1_by_hand(seed, lambda r: image_of[r["post_id"]] in read) for seed in seeds],
        "no_ocr": [f1_by_hand(seed, lambda r: image_of[r["post_id"]] not in read) for seed in seeds],
        "seen": [f1_by_hand(seed, part=known) for seed in seeds],
        "unseen": [f1_by_hand(seed, part=lambda r, s: s - known(r, s)) for seed in seeds],
        "typing": [typing(seed) for seed in seeds],
        "ece": [calibration(seed) for seed in seeds],
    }
    for column, values in expected.items():
        assert row[f"{column}_mean"] == pytest.approx(statistics.mean(values), abs=1e-3), column
        assert row[f"{column}_std"] == pytest.approx(statistics.stdev(values), abs=1e-3), column
    assert row["image_entities"] + row["no_image_entities"] == row["seen_entities"] + row["unseen_entities"] == 60
    assert "ECE" in (tmp_path / "out/table1.md").read_text()


def typing(rows):
    typed = bounded = 0
    for row in rows:
        want, have = set(spans(row["gold"])), set(spans(row["predicted"]))
        bounded += len({span[:2] for span in want} & {span[:2] for span in have})
        typed += len(want & have)
    return 100 * typed / bounded


def calibration(rows):
    bins = [[] for _ in range(10)]
    for row in rows:
        for span in row["spans"]:
            right = (span["start"], span["end"], span["type"]) in set(spans(row["gold"]))
            bins[min(9, max(0, -int(-span["posterior"] * 10 // 1) - 1))].append((span["posterior"], right))
    total = sum(map(len, bins))
    gaps = [abs(statistics.mean(p for p, _ in b) - statistics.mean(r for _, r in b)) * len(b) for b in bins if b]
    return 100 * sum(gaps) / total


def test_analysis_without_character_table_leaves_that_slice_out(tmp_path, rows, runs):
    parquet.write("posts", rows, tmp_path / "posts.parquet")
    parquet.write("images", [], tmp_path / "images.parquet")
    more = {name: tmp_path / f"{name}.parquet" for name in ("posts", "images")}
    path = made(tmp_path, settings("analysis", name="analysis"), runs, **more)
    assert "text in image |" not in path.with_suffix(".md").read_text()
    assert frame(path)["image_mean"].isna().all(), "no image, no entities in posts with one"


def test_cost_of_stages_from_what_benchmarks_are_there(tmp_path):
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for name, line in (
        ("posts", "1.5\t0:00:01\t100.0\t1\t1\t1\t0\t0\t50\t1.25"),
        ("train/bert/crf/seed1", "10\t0:00:10\t500\t1\t1\t1\t0\t0\t50\t9"),
        ("train/bert/crf/seed2", "20\t0:00:20\t700\t1\t1\t1\t0\t0\t50\t18"),
        ("download", "0.1\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA"),
        ("older", "1\t0:00:01\t1\t1\t1\t1\t0\t0\t50\t1"),
    ):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + line + "\n")
    found = cost.build(tmp_path, "d").numbers.set_index("stage")
    assert list(found.index) == ["posts", "download", "train"], "in the order of the data flow"
    assert found.loc["train", ["of", "jobs", "seconds", "mean_seconds", "cpu_seconds", "max_rss_mb"]].tolist() == [
        "bert", 2, 30, 15, 27, 700,
    ]  # fmt: skip
    assert pd.isna(found.loc["download", "max_rss_mb"])
    assert cost.build(None, "d").numbers.empty
    assert cost.build(tmp_path / "nowhere", "d").readable.empty


def test_latex_is_whole():
    table = pd.DataFrame(
        {"Encoder": ["A", "A", "B & C"], "Approach": ["x_1", "100 %", "{y}"], "F1": ["1 ± 2†", "", "3‡"]}
    )
    text = latex.render(table, "A_title & more", ["100 % of $x$"], "tab:d-t1", 2)
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert begun == ["table", "tabular"]
    assert ended == ["tabular", "table"]
    assert r"\begin{tabular}{llr}" in text
    assert [text.count(rf"\{rule}rule") for rule in ("top", "mid", "bottom")] == [1, 2, 1]
    plain = re.sub(r"\\[\\{}&%_$#]", "", re.sub(r"^%.*$", "", text, flags=re.M))
    assert plain.count("{") == plain.count("}")
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert all(len(re.findall(r"(?<!\\)&", line)) == 2 for line in body)
    assert r"B \& C & \{y\} & 3\textsuperscript{\ddag} \\" in text
    assert r"x\_1 & 1 $\pm$ 2\textsuperscript{\dag} \\" in text
    assert r"100 \% of \$x\$" in text
