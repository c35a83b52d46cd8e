"""The tag stage."""

import json

import pytest

from ita import Tagger
from ita.cli import run_stage
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import sha256
from ita.model.dataset import load_corpus
from ita.stages import gather, posts, tag
from tests.support.runs import trained


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    """A run folder."""
    return trained(corpus, tmp_path_factory.mktemp("run"), tiny_encoder, epochs=6)


def tagged(output, posts_file, run, expect=0, shard=None, **settings):
    """Entities of a data set; tables by the names of options."""
    tables = {name: settings.pop(name) for name in ("context", "images") if name in settings}
    arguments = ["--settings", json.dumps({"tag": settings}), "--output", str(output), "--posts", str(posts_file)]
    arguments += ["--model", *(str(run / name) for name in ("model.safetensors", "settings.json"))]
    arguments += [word for name, path in tables.items() for word in (f"--{name}", str(path))]
    arguments += ["--shard", shard] if shard else []
    assert run_stage(tag, arguments) == expect
    return parquet.rows("entities", output) if not expect else None


def new_posts(folder, lines):
    """posts.parquet of JSON lines."""
    (folder / "new.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"posts": {"format": "jsonl", "files": {"new": str(folder / "new.jsonl")}}}
    output = folder / "posts.parquet"
    arguments = ["--settings", json.dumps(settings), "--cache", str(folder), "--output", str(output)]
    assert run_stage(posts, arguments) == 0
    return output


def test_labelled_posts_are_read_with_their_contexts(corpus, run, tmp_path):
    rows = tagged(tmp_path / "entities.parquet", corpus / "posts.parquet", run, context=corpus / "ga.parquet")
    source = parquet.rows("posts", corpus / "posts.parquet")
    contexts = [row["tokens"] for row in parquet.rows("contexts", corpus / "ga.parquet")]
    given = [
        {"tokens": post["tokens"], "context": " ".join(words)} for post, words in zip(source, contexts, strict=True)
    ]
    answers = [answer.to_dict() for answer in Tagger(run).predict(given)]
    assert [row["post_id"] for row in rows] == [post["post_id"] for post in source]
    for row, answer in zip(rows, answers, strict=True):
        for entity in row["entities"]:
            entity["score"] = pytest.approx(entity["score"], abs=2e-4)
        assert {name: row[name] for name in ("text", "tokens", "view", "entities")} == {
            name: answer[name] for name in ("text", "tokens", "view", "entities")
        }
    assert {row["view"] for row in rows} == {"t", "it"}
    assert sum(len(row["entities"]) for row in rows) > 40
    metadata = parquet.metadata(tmp_path / "entities.parquet")
    assert metadata["inputs"]["model.safetensors"] == sha256(run / "model.safetensors")
    assert metadata["run"]["system"] == "cva" and metadata["counts"]["posts"] == len(rows)
    text = tagged(tmp_path / "t.parquet", corpus / "posts.parquet", run, view="t")
    assert {row["view"] for row in text} == {"t"} and text != rows


def test_shards_hold_whole_blocks_and_join_into_the_same_table(corpus, run, tmp_path, monkeypatch):
    monkeypatch.setattr(tag, "BLOCK", 32)
    whole = tmp_path / "whole.parquet"
    tagged(whole, corpus / "posts.parquet", run, context=corpus / "ga.parquet")
    shards = [tmp_path / f"{number}-of-4.parquet" for number in range(1, 5)]
    for shard in shards:
        tagged(shard, corpus / "posts.parquet", run, shard=shard.stem, context=corpus / "ga.parquet")
    assert [parquet.count("entities", shard) for shard in shards] == [0, 32, 32, 16]
    joined = tmp_path / "joined.parquet"
    assert run_stage(gather, ["--shards", *map(str, shards), "--output", str(joined)]) == 0
    assert parquet.rows("entities", joined) == parquet.rows("entities", whole)
    assert parquet.metadata(joined) == parquet.metadata(whole)


def test_new_posts_have_offsets_into_their_own_text_and_errors_of_their_own(run, tmp_path):
    lines = [
        {"id": "a", "text": "aa xb's  @cc!", "image": "7"},
        {"id": "b", "text": ""},
        {"id": "c", "tokens": ["aa", "xe"], "text": "aa  xe"},
        {"id": "d", "text": "half \ud83d"},
    ]
    table = new_posts(tmp_path, lines)
    rows = tagged(tmp_path / "entities.parquet", table, run)
    assert [row["post_id"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["error"] is None for row in rows] == [True, False, True, False]
    assert "half a character" in rows[3]["error"] and rows[3]["tokens"] == []
    for row, line in zip(rows, lines, strict=True):
        for entity in row["entities"]:
            assert line["text"][entity["start"] : entity["end"]] == entity["surface"]
            first, last = entity["words"]
            assert entity["surface"].split() == row["tokens"][first:last] or last - first > 1
    assert rows[0]["tokens"] == ["aa", "xb", "'", "s", "@", "cc", "!"]
    assert rows[0]["image_status"] == "unread" and rows[2]["image_status"] is None
    assert sum(len(row["entities"]) for row in rows) >= 2
    settings = json.loads((run / "settings.json").read_text())
    joined = tmp_path / "joined"
    Tagger(run).save_pretrained(joined)
    (joined / "settings.json").write_text(json.dumps({**settings, "marks": "joined"}))
    again = tagged(tmp_path / "again.parquet", table, joined)
    assert again[0]["tokens"] == ["aa", "xb", "'", "s", "@cc", "!"], "cut as the model's training posts"
    assert again[2]["tokens"] == ["aa", "xe"], "the source's own words stay"


@pytest.mark.parametrize("differences", ["refuse", "warn"])
def test_image_text_made_in_another_way_is_told_in_the_words_of_the_settings(
    corpus, run, tmp_path, capsys, differences
):
    model, context = tmp_path / "model", tmp_path / "context.parquet"
    Tagger(run).save_pretrained(model)
    settings = json.loads((run / "settings.json").read_text())
    images = {"context": {"kinds": ["ga"], "captions": 2}, "caption": {"beams": 5, "captions": 2, "batch_size": 4}}
    (model / "settings.json").write_text(json.dumps({**settings, "images": images}))
    made = {"settings": {"context": {**images["context"], "captioner": "own"}}}
    for beams in (5, 3):
        metadata = {**made, "image_settings": {"caption": {"beams": beams, "captions": 2, "batch_size": 8}}}
        parquet.write("contexts", parquet.rows("contexts", corpus / "ga.parquet"), context, metadata)
        fails = beams == 3 and differences == "refuse"
        tagged(tmp_path / "e.parquet", corpus / "posts.parquet", model, fails, context=context, differences=differences)
        assert ("caption.beams is 3 here, 5 in training" in capsys.readouterr().err) == (beams == 3)
    parquet.write("contexts", [], context, made)
    tagged(tmp_path / "e.parquet", corpus / "posts.parquet", model, 1, context=context, differences="warn")
    assert "has no row for the post 'train-0' at its place" in capsys.readouterr().err
    tagged(tmp_path / "e.parquet", corpus / "posts.parquet", model, 1)
    assert "give its --context, or set tag.view to t" in capsys.readouterr().err


def test_a_model_is_named_by_its_files_or_by_the_settings(corpus, run, tmp_path, capsys):
    output = tmp_path / "e.parquet"
    arguments = ["--posts", str(corpus / "posts.parquet"), "--output", str(output)]
    assert run_stage(tag, arguments) == 1
    assert "setting tag.model: no model is named" in capsys.readouterr().err
    assert run_stage(tag, [*arguments, "--settings", json.dumps({"tag": {"model": str(run)}})]) == 0
    rows = parquet.rows("entities", output)
    assert rows == tagged(tmp_path / "again.parquet", corpus / "posts.parquet", run)


def test_nothing_is_trained_on_posts_without_tags(tmp_path):
    table = new_posts(tmp_path, [{"text": "a b"}])
    with pytest.raises(UserError, match="has posts without tags, which cannot train a system"):
        load_corpus(table, tmp_path / "none.parquet", [], ["train"])
