"""Data of the report: posts, predictions with kinds of error, contexts with what was left out, pictures."""

import json

import pytest
from PIL import Image

from ita.config import Context
from ita.data.tags import spans
from ita.io import parquet
from ita.reporting.pages import run_data
from ita.reporting.pages.context_data import ContextTable, Kinds, context_records, segments, words_without_room
from ita.reporting.pages.post_data import Posts, seen_in_training
from ita.reporting.pages.scripts import CHUNK, chunks, write_script
from ita.reporting.pages.sources import Table
from ita.significance.counts import GOLD, PREDICTED, TRUE_POSITIVES, count_spans
from ita.significance.errors import INVENTED, RIGHT
from tests.support import made_dataset
from tests.support.hostile import TEXTS
from tests.support.made_dataset import make_report, read_script

COUNTS = {"train": 12, "dev": 4, "test": 8}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small data set, its report made; the folder of both."""
    folder = tmp_path_factory.mktemp("made")
    make_report(folder, COUNTS)
    return folder


def data(made, name):
    return read_script(made / "report" / "data" / f"{name}.js")


def test_a_script_holds_any_text(tmp_path):
    value = {"texts": [*TEXTS, "\u2028\u2029", "</script>", "\x00"], "none": None}
    write_script(tmp_path, "hostile", value, 3)
    assert read_script(tmp_path / "data" / "hostile-3.js") == value
    with pytest.raises(ValueError, match="JSON"):
        write_script(tmp_path, "number", float("nan"))


def test_chunks_cover_all_posts():
    posts = list(range(2 * CHUNK + 1))
    parts = dict(chunks(posts))
    assert [len(part) for part in parts.values()] == [CHUNK, CHUNK, 1]
    assert sum(map(list, parts.values()), []) == posts
    assert dict(chunks([])) == {0: []}


def test_posts_come_with_the_test_split_first(made):
    posts, about = data(made, "posts-0"), data(made, "about")
    assert about["splits"] == {"test": 8, "dev": 4, "train": 12}
    assert posts["split"] == ["test"] * 8 + ["dev"] * 4 + ["train"] * 12
    rows = {row["post_id"]: row for row in parquet.rows("posts", made / "posts.parquet")}
    for post_id, words, gold in zip(posts["id"], posts["words"], posts["gold"], strict=True):
        assert words == rows[post_id]["tokens"]
        entities = [(gold[i], gold[i + 1], about["types"][gold[i + 2]]) for i in range(0, len(gold), 4)]
        assert entities == [tuple(span) for span in spans(rows[post_id]["tags"])]


def test_entities_of_training_are_seen(made):
    posts = data(made, "posts-0")
    training = {
        (" ".join(row["tokens"][start:end]), entity_type)
        for row in parquet.rows("posts", made / "posts.parquet")
        for start, end, entity_type in spans(row["tags"])
        if row["split"] == "train"
    }
    assert seen_in_training(made / "posts.parquet") == training
    types, flags = data(made, "about")["types"], set()
    for words, gold in zip(posts["words"], posts["gold"], strict=True):
        for i in range(0, len(gold), 4):
            surface = " ".join(words[gold[i] : gold[i + 1]]), types[gold[i + 2]]
            assert gold[i + 3] == (surface in training)
            flags.add(gold[i + 3])
    assert flags == {0, 1}


def test_predictions_add_up_to_the_scores(made):
    """Right, predicted and gold entities of the page are those that every table counts."""
    posts = data(made, "posts-0")
    for number, system in enumerate(made_dataset.SYSTEMS):
        run = data(made, f"run-{number}")
        assert run["seeds"] == [1, 2, 3]
        for at, seed in enumerate(run["seeds"]):
            rows = parquet.rows("predictions", made / "runs" / f"{system}{seed}" / "predictions.parquet")
            for view, of_seeds in run["views"].items():
                records = dict(zip((posts["id"][post] for post in run["posts"]), of_seeds[at], strict=True))
                of_view = [row for row in rows if row["view"] == view]
                assert len(records) == len(of_view) == COUNTS["dev"] + COUNTS["test"]
                counts = count_spans([row["gold"] for row in of_view], [row["predicted"] for row in of_view])
                for row, (right, predicted, gold) in zip(of_view, counts, strict=True):
                    record = records[row["post_id"]]
                    kinds, partners = record[4::6], record[5::6]
                    assert (kinds.count(RIGHT), len(kinds)) == (right, predicted)
                    assert sum(partner < 0 for partner in partners) == kinds.count(INVENTED)
                    missed = gold - len([partner for partner in partners if partner >= 0])
                    assert missed + sum(kind not in (RIGHT, INVENTED) for kind in kinds) == gold - right
                    posteriors = {(s["start"], s["end"]): s["posterior"] for s in row["spans"]}
                    for start, end, thousandths in zip(record[::6], record[1::6], record[3::6], strict=True):
                        assert thousandths == round(1000 * posteriors[start, end])
                assert counts[:, TRUE_POSITIVES].sum() < min(counts[:, PREDICTED].sum(), counts[:, GOLD].sum())


def test_pictures_texts_and_objects(made):
    posts, about = data(made, "posts-0"), data(made, "about")
    assert about["texts"] == [["captions", "vinvl"], ["ocr", "tesseract"]] and about["detectors"] == ["vinvl"]
    assert {status for status in posts["status"] if status not in ("", "ok")} == {"missing: http-404"}
    captions = {}
    for row in parquet.rows("captions", made / "captions.parquet"):
        captions.setdefault(row["image_id"], []).append(row["caption"])
    rows = {row["post_id"]: row for row in parquet.rows("posts", made / "posts.parquet")}
    objects = data(made, "objects-0")
    for number, post_id in enumerate(posts["id"]):
        picture, image_id = posts["picture"][number], rows[post_id]["image_id"]
        assert (picture is not None) == (posts["status"][number] == "ok")
        assert posts["texts"][number][0] == captions.get(image_id, [])
        if picture:
            name, width, height = picture
            assert 200 <= width <= 206 and height == 150
            with Image.open(made / "report" / "pictures" / name) as image:
                assert (image.format, image.width) == ("WEBP", width)
            label, score, box, attributes = objects[number][0][0]
            assert (score, box, attributes) == (900, [10, 10, 60, 50], [["red", 500]]) and isinstance(label, str)
            assert objects[number][0][2][2] is None, "no box is known"


def test_a_budget_leaves_words_out_where_they_stood(made):
    posts, about = data(made, "posts-0"), data(made, "about")
    assert about["kinds"] == ["captions"] and about["contexts"] == ["none", "all"]
    assert {len(record) for record in data(made, "context-0-0")} == {0}
    for texts, record in zip(posts["texts"], data(made, "context-1-0"), strict=True):
        if texts[0]:
            words = " ".join(texts[0]).split()
            assert record == [[0, " ".join(words[:4])], [0, " ".join(words[4:]), 1]]
        else:
            assert record == []


def test_words_left_out_that_nobody_has_are_counted(tmp_path):
    """Of external texts, and of contexts of other posts."""
    context = {"tokens": ["a", "b"], "kinds": ["llm"] * 2, "truncated": 3}
    posts = [{"post_id": "p", "image_id": None}, {"post_id": "q", "image_id": None}]
    rows = [{"post_id": post["post_id"], **context} for post in posts]
    parquet.write("contexts", rows, tmp_path / "c.parquet")
    parquet.write("knowledge", [{"post_id": "p", "status": "ok", "text": "a b c d e"}], tmp_path / "llm.parquet")
    llm = Table("knowledge", "llm", tmp_path / "llm.parquet")
    for tables, seed, cut in (([llm], None, [0, "c d e", 1]), ([], None, [None, 3]), ([llm], 1, [None, 3])):
        section = Context(kinds=["llm"], budget={"llm": 2}, shuffle_seed=seed)
        table = ContextTable("k", section, tmp_path / "c.parquet", tables)
        first, _ = context_records(table, table.contexts(posts), posts, Kinds())
        assert first == [[0, "a b"], cut]


def test_segments_keep_their_order():
    from ita.data.visual_context import VisualContext

    kinds = Kinds()
    context = VisualContext(["a", "b", "<EOS>", "c", "d"], ["ga", "ga", "sep", "ga", "oca"])
    expected = [[0, "a b"], [1, ""], [0, "c"], [0, "x y", 1], [2, "d"], [3, "z", 1]]
    assert segments(context, {"ga": "x y", "llm": "z"}, kinds) == expected
    assert kinds.names == ["ga", "sep", "oca", "llm"]


def test_what_an_input_has_no_room_for(tmp_path, tiny_encoder):
    """The number of the words that the tagger itself leaves out."""
    import shutil

    from ita.data.visual_context import VisualContext

    shutil.copytree(tiny_encoder, tmp_path / "run")
    record = {"tags": ["O"], "max_length": 12, "settings": {"train": {}, "system": {"views": ["it"]}}}
    (tmp_path / "run" / "settings.json").write_text(json.dumps(record))
    posts = [{"tokens": ["ab", "c"]}, {"tokens": ["a"]}, {"tokens": ["a"] * 20}]
    contexts = [["a"] * 9, ["a"] * 3, ["a"] * 2]
    visual = {n: VisualContext(words, ["ga"] * len(words)) for n, words in enumerate(contexts)}
    rows = [{**post, "post_id": number, "image_id": "i"} for number, post in enumerate(posts)]
    # [CLS] a ##b c [SEP] and [SEP] leave six of twelve; the third post fills windows of its own.
    settings = tmp_path / "run" / "settings.json"
    assert words_without_room(settings, rows, visual) == {0: 3, 2: 2}
    assert words_without_room(settings, rows, visual, {"i": 5}) == {0: 8, 2: 2}, "regions come first"
    (tmp_path / "run" / "tokenizer.json").unlink(missing_ok=True)
    (tmp_path / "run" / "config.json").unlink()
    assert words_without_room(settings, rows, visual) is None


def test_a_type_that_only_a_tagger_names_is_known(tmp_path):
    posts = Posts([{"post_id": "p", "tags": ["O"], "tokens": ["w"]}], "v1", ["LOC"])
    row = {"post_id": "p", "view": "t", "split": "test", "tokens": ["w"], "gold": ["O"], "predicted": ["B-NEW"]}
    path = tmp_path / "predictions.parquet"
    rows = [{**row, "view": view, "spans": None} for view in ("t", "it")]
    parquet.write("predictions", rows, path)
    record = run_data.run_records(posts, run_data.SystemRuns("bert", "crf", {1: path}))
    assert posts.types == ["LOC", "NEW"]
    assert record == {
        "posts": [0],
        "seeds": [1],
        "views": {view: [[[0, 1, 1, -1, INVENTED, -1]]] for view in ["t", "it"]},
    }
