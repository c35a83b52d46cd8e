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


def test_recall_of_mentions_recomputed(post_rows, metrics, tables):
    table = build(metrics, **tables)
    row = table.numbers.set_index("approach").loc["ITA-All"]
    train = {
        surface(post["tokens"], span) for post in post_rows if post["split"] == "train" for span in spans(post["tags"])
    }
    test = [post for post in post_rows if post["split"] == "test"]
    gold = {surface(post["tokens"], span) for post in test for span in spans(post["tags"])}

    def kinds(words, entity_type):
        seen = {known_type for known, known_type in train if known == words}
        yield "seen" if entity_type in seen else "unseen_type" if seen else "unseen_words"
        if len({known_type for known, known_type in gold if known == words}) > 1:
            yield "confusable"

    recalls = {name: [] for name in ("seen", "unseen_type", "unseen_words", "confusable")}
    for rows in made_runs.prediction_rows(metrics, "ita-all", "it"):
        hits = {name: [] for name in recalls}
        for post in rows:
            for span in spans(post["gold"]):
                for kind in kinds(*surface(post["tokens"], span)):
                    hits[kind].append(span in spans(post["predicted"]))
        for name, found in hits.items():
            assert row[f"{name}_recall_entities"] == len(found) > 0, name
            recalls[name].append(100 * statistics.mean(found))
    for name, values in recalls.items():
        assert row[f"{name}_recall_mean"] == pytest.approx(statistics.mean(values)), name
    assert f"unseen words {row['unseen_words_recall_entities']}" in " ".join(table.notes)


def surface(tokens, span):
    return tuple(tokens[span.start : span.end]), span.type


def test_errors_add_up_to_all_wrong_spans(metrics, tables):
    table = build(metrics, **tables)
    row = table.numbers.set_index("approach").loc["ITA-All"]
    negatives, positives = [], []
    for rows in made_runs.prediction_rows(metrics, "ita-all", "it"):
        pairs = [(set(spans(post["gold"])), set(spans(post["predicted"]))) for post in rows]
        negatives.append(sum(len(gold - predicted) for gold, predicted in pairs))
        positives.append(sum(len(predicted - gold) for gold, predicted in pairs))
    paired = sum(row[f"{kind}_errors_mean"] for kind in ("boundary", "type", "both"))
    assert paired + row["missed_errors_mean"] == pytest.approx(statistics.mean(negatives))
    assert paired + row["invented_errors_mean"] == pytest.approx(statistics.mean(positives))
    assert min(*negatives, *positives) > 0
    assert row["type_errors_mean"] > 0 and row["boundary_errors_mean"] > 0


def test_illegal_transitions_are_counted(metrics, tables):
    assert set(build(metrics, **tables).numbers["illegal_mean"]) == {0}
    for path in made_runs.predictions_of(made_runs.of_system(metrics, "crf")):
        rows = [*parquet.rows("predictions", path)]
        for row in rows[:2]:
            row["predicted"] = ["I-PER", "I-LOC", "O", "I-LOC"]
        parquet.write("predictions", rows, path, parquet.metadata(path))
    row = build(metrics, **tables).numbers.set_index("approach").loc["BERT-CRF"]
    assert row["illegal_mean"] == 6 and row["illegal_std"] == 0
    assert row["illegal_transitions"] == "I-PER I-LOC: 6; O I-LOC: 6; start I-PER: 6"


def test_panels_hold_every_column_once(metrics, tables):
    table = build(metrics, **tables)
    shown = [column for columns in table.panels.values() for column in columns]
    assert sorted(shown) == sorted(table.display.columns[table.label_columns :])
    assert "seen (Recall of entities)" in table.panels["Recall of entities"]


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
    posts = [{**row, "tokens": row["tokens"][:3], "tags": row["tags"][:3]} for row in post_rows]
    parquet.write("posts", posts, tables["posts"])
    with pytest.raises(UserError, match="has other words there"):
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
