"""The analysis table, every column recomputed from the predictions by other code."""

import statistics

import pytest

from ita.data.tags import spans
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.tables import analysis
from tests.support import made_runs
from tests.support.made_reports import table_inputs, table_settings


@pytest.fixture
def tables(tmp_path, post_rows):
    """posts.parquet, images.parquet and an OCR table."""
    images = [
        {"image_id": row["image_id"], "status": "ok" if number % 2 else "missing", "attempts": 1}
        for number, row in enumerate(post_rows)
        if row["image_id"]
    ]
    texts = [{"image_id": row["image_id"], "text": "a" if n % 5 == 0 else ""} for n, row in enumerate(images)]
    paths = {}
    for name, rows in (("posts", post_rows), ("images", images), ("ocr", texts)):
        paths[name] = tmp_path / f"{name}.parquet"
        parquet.write(name, rows, paths[name])
    return paths


def build(metrics, posts, images, ocr, systems=("crf", "ita-all", "ita-all-cva")):
    runs, settings, table = table_inputs(metrics, table_settings("analysis", systems, "analysis"))
    return analysis.build(runs, posts, images, ocr, settings, table)


def test_every_column_recomputed_from_predictions(post_rows, metrics, tables):
    table = build(metrics, **tables)
    row = table.numbers.set_index("approach").loc["ITA-All"]
    assert row["view"] == "I+T"
    seeds = list(made_runs.prediction_rows(metrics, "ita-all", "it"))
    image_of = {post["post_id"]: post["image_id"] for post in post_rows}
    usable = {image["image_id"] for image in parquet.rows("images", tables["images"]) if image["status"] == "ok"}
    with_text = {text["image_id"] for text in parquet.rows("ocr", tables["ocr"]) if text["text"]}
    train_entities = {
        (*post["tokens"][span.start : span.end], span.type)
        for post in post_rows
        if post["split"] == "train"
        for span in spans(post["tags"])
    }

    def seen(row, found):
        return {span for span in found if (*row["tokens"][span.start : span.end], span.type) in train_entities}

    f1 = made_runs.f1_by_hand
    expected = {
        "f1": [f1(rows) for rows in seeds],
        "boundary": [f1(rows, part=lambda _, s: {x[:2] for x in s}) for rows in seeds],
        "image": [f1(rows, lambda r: image_of[r["post_id"]] in usable) for rows in seeds],
        "no_image": [f1(rows, lambda r: image_of[r["post_id"]] not in usable) for rows in seeds],
        "ocr": [f1(rows, lambda r: image_of[r["post_id"]] in with_text) for rows in seeds],
        "no_ocr": [f1(rows, lambda r: image_of[r["post_id"]] not in with_text) for rows in seeds],
        "seen": [f1(rows, part=seen) for rows in seeds],
        "unseen": [f1(rows, part=lambda r, s: s - seen(r, s)) for rows in seeds],
        "type_accuracy": [type_accuracy(rows) for rows in seeds],
        "ece": [calibration_error(rows) for rows in seeds],
    }
    for column, values in expected.items():
        assert row[f"{column}_mean"] == pytest.approx(statistics.mean(values)), column
        assert row[f"{column}_std"] == pytest.approx(statistics.stdev(values)), column
    assert row["image_entities"] + row["no_image_entities"] == row["seen_entities"] + row["unseen_entities"] == 60
    assert {"boundary F1", "type accuracy", "text in image", "ECE"} <= set(table.display.columns)


def type_accuracy(rows):
    correct = boundaries = 0
    for row in rows:
        gold, predicted = set(spans(row["gold"])), set(spans(row["predicted"]))
        boundaries += len({span[:2] for span in gold} & {span[:2] for span in predicted})
        correct += len(gold & predicted)
    return 100 * correct / boundaries


def calibration_error(rows):
    bins = [[] for _ in range(10)]
    for row in rows:
        for span in row["spans"]:
            correct = (span["start"], span["end"], span["type"]) in set(spans(row["gold"]))
            bins[min(9, max(0, -int(-span["posterior"] * 10 // 1) - 1))].append((span["posterior"], correct))
    total = sum(map(len, bins))
    gaps = [abs(statistics.mean(p for p, _ in b) - statistics.mean(c for _, c in b)) * len(b) for b in bins if b]
    return 100 * sum(gaps) / total


def test_without_an_ocr_table_that_slice_is_left_out(metrics, tables):
    table = build(metrics, tables["posts"], tables["images"], None)
    assert table.numbers["ocr_mean"].isna().all()
    assert "text in image" not in table.display


def test_a_part_without_entities_is_empty(metrics, tables):
    parquet.write("images", [], tables["images"])
    table = build(metrics, **tables)
    assert (table.numbers["image_entities"] == 0).all()
    assert table.numbers["image_mean"].isna().all(), "no image, no entities in posts with one"
    assert table.numbers["no_image_mean"].tolist() == table.numbers["f1_mean"].tolist()
    assert "image" not in table.display


def test_what_is_missing_is_named(post_rows, metrics, tables):
    with pytest.raises(UserError, match="needs --posts and --images"):
        build(metrics, None, tables["images"], None)
    parquet.write("posts", [row for row in post_rows if row["post_id"] != "test-0"], tables["posts"])
    with pytest.raises(UserError, match="has the post 'test-0', which is not in posts.parquet"):
        build(metrics, **tables)


def test_updates_of_each_row(metrics, tables):
    made_runs.state_training(metrics, {"crf": 100})
    table = build(metrics, **tables)
    assert table.display.set_index("Approach")["updates"].to_dict() == {
        "BERT-CRF": "100",
        "ITA-All": "",
        "ITA-All+CVA": "",
    }
    assert any(note.startswith("updates: optimizer steps") for note in table.notes)
    assert not any("one seed" in note for note in table.notes), "nothing is tested here"
