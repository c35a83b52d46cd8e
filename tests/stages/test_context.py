"""The context stage."""

import json
from pathlib import Path

import pytest

from ita.cli import run_stage
from ita.data import SPLITS
from ita.data.visual_context import SEPARATOR
from ita.io import parquet
from ita.io.files import sha256
from ita.io.parquet import metadata
from ita.stages import context


@pytest.fixture
def folder(tmp_path):
    posts = [
        {
            "post_id": f"{split}-{n}",
            "split": split,
            "image_id": f"{split}{n}",
            "tokens": [f"w{n}"],
            "tags": ["O"],
            "repaired": 0,
        }
        for split in ("train", "dev", "test")
        for n in range(3)
    ]
    posts.append({**posts[0], "post_id": "bare", "image_id": None})
    parquet.write("posts", posts, tmp_path / "posts.parquet", {"label_version": "made up"})
    ids = [post["image_id"] for post in posts if post["image_id"]]
    parquet.write(
        "objects",
        [
            {
                "image_id": i,
                "rank": rank,
                "label": label,
                "score": score,
                "attributes": [{"label": "red", "score": 0.5}],
            }
            for i in ids
            for rank, label, score in [(1, "dog", 0.4), (0, f"cat-{i}", 0.9)]
        ],
        tmp_path / "objects.parquet",
    )
    parquet.write(
        "captions",
        [{"image_id": i, "rank": rank, "caption": f"caption {rank} of {i}"} for i in ids for rank in (1, 0)],
        tmp_path / "captions.parquet",
    )
    parquet.write(
        "ocr", [{"image_id": i, "text": "BIG\nSIGN\n" if i == "train0" else ""} for i in ids], tmp_path / "ocr.parquet"
    )
    return tmp_path


def made(folder, texts=None, **settings):
    """Rows of a context table by post_id, and its metadata."""
    output = folder / "contexts" / "c.parquet"
    sections = {"context": settings, "external_texts": texts or {}}
    arguments = ["--settings", json.dumps(sections), "--cache", str(folder / "downloads"), "--output", str(output)]
    for name in ("posts", "objects", "captions", "ocr"):
        arguments += [f"--{name}", str(folder / f"{name}.parquet")]
    files = [file for text in (texts or {}).values() for file in text["files"]]
    assert run_stage(context, [*arguments, "--external-texts", *files]) == 0
    table = parquet.read("contexts", output)
    return {row["post_id"]: row for row in table.to_pylist()}, metadata(table)


def test_all_is_la_then_ga_then_oca(folder):
    rows, facts = made(folder, kinds=["la", "ga", "oca"])
    row = rows["train-0"]
    assert " ".join(row["tokens"]) == ("red cat-train0 red dog caption 0 of train0 <EOS> caption 1 of train0 BIG SIGN")
    assert row["kinds"] == ["la"] * 4 + ["ga"] * 4 + [SEPARATOR] + ["ga"] * 4 + ["oca"] * 2
    assert rows["bare"]["tokens"] == []
    assert facts["label_version"] == "made up"
    assert facts["statistics"]["oca"] == {"share_of_posts": 0.1, "mean_words": 2.0}
    assert set(facts["inputs"]) == {"posts", "objects", "captions", "ocr"}


def test_kinds_may_be_separated_and_have_budgets(folder):
    rows, _ = made(folder, kinds=["oca", "la"], separate_kinds=True, budget={"la": 1})
    assert rows["train-0"]["tokens"] == ["BIG", "SIGN", "<EOS>", "red"]
    assert rows["train-0"]["truncated"] == 3
    assert rows["train-1"]["tokens"] == ["red"]


def test_random_stays_within_the_split(folder):
    rows, _ = made(folder, kinds=["ga"], shuffle_seed=5)
    for split in ("dev", "test"):
        owners = {n: rows[f"{split}-{n}"]["tokens"][3] for n in range(3)}
        assert sorted(owners.values()) == [f"{split}{n}" for n in range(3)]
        assert all(owner != f"{split}{n}" for n, owner in owners.items())


def test_named_texts_are_kinds(folder):
    (folder / "texts.json").write_text(json.dumps({"train0.jpg": "some knowledge", "dev1": "more <EOS> text"}))
    texts = {"knowledge": {"files": [str(folder / "texts.json")]}}
    rows, _ = made(folder, texts, kinds=["knowledge", "oca"])
    assert rows["train-0"]["tokens"] == ["some", "knowledge", "BIG", "SIGN"]
    assert rows["train-0"]["kinds"][:2] == ["knowledge", "knowledge"]
    assert rows["dev-1"]["kinds"] == ["knowledge"] * 3, (
        "a separator's name in somebody's text is a word, not a separator"
    )


def test_every_external_text_is_recorded(folder):
    texts = {}
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "texts.json").write_text(json.dumps({"train0": name}))
        texts[name] = {"files": [str(folder / name / "texts.json")]}
    rows, facts = made(folder, texts, kinds=["a", "b"])
    assert rows["train-0"]["tokens"] == ["a", "b"]
    hashes = {path: sha256(Path(path)) for text in texts.values() for path in text["files"]}
    assert hashes.items() <= facts["inputs"].items()


def test_ready_contexts_match_posts_by_order(folder):
    (folder / "train.txt").write_text("w0\tO\n<EOS>\tX\nabout\tX\n<EOS>\tX\nzero\tX\n\nw2\tO\n<EOS>\tX\ntwo\tX\n")
    texts = {"ready": {"files": [str(folder / "train.txt")], "format": "ita"}}
    rows, _ = made(folder, texts, kinds=["ready"])
    assert rows["train-0"]["tokens"] == ["about", "<EOS>", "zero"]
    assert rows["train-0"]["kinds"] == ["ready", SEPARATOR, "ready"]
    assert (rows["train-1"]["tokens"], rows["train-2"]["tokens"]) == ([], ["two"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ["la"]}, "give --objects"),
        ({"kinds": ["mystery"]}, "expected la, ga, oca or a name"),
        ({"kinds": ["la"], "tags": -1}, "setting context.tags: found -1, expected 0 or more"),
        ({"knids": []}, "setting context.knids: no such setting; did you mean 'kinds'?"),
    ],
)
def test_errors_say_what_to_do(folder, capsys, settings, message):
    arguments = ["--settings", json.dumps({"context": settings}), "--posts", str(folder / "posts.parquet")]
    assert (
        run_stage(context, [*arguments, "--cache", str(folder / "downloads"), "--output", str(folder / "x.parquet")])
        == 1
    )
    assert message in capsys.readouterr().err
    assert not (folder / "x.parquet").exists()


def test_real_ready_contexts(data, tmp_path):
    from ita.stages import posts

    files = dict(zip(SPLITS, (f"{data}/twitter2015/{name}.txt" for name in ("train", "valid", "test")), strict=True))
    settings = json.dumps({"posts": {"files": files}})
    cache = ["--cache", str(tmp_path / "downloads")]
    assert run_stage(posts, ["--settings", settings, *cache, "--output", f"{tmp_path}/posts.parquet"]) == 0
    members = [f"{data}/knowledge/2015.zip::{name}.txt" for name in ("train", "valid", "test")]
    texts = {"knowledge": {"files": members, "format": "ita"}}
    settings = {"context": {"kinds": ["knowledge"], "budget": {"knowledge": 40}}, "external_texts": texts}
    output = tmp_path / "contexts" / "k.parquet"
    arguments = ["--settings", json.dumps(settings), "--posts", f"{tmp_path}/posts.parquet", *cache]
    assert run_stage(context, [*arguments, "--output", str(output)]) == 0
    rows = parquet.rows("contexts", output)
    without = [row["post_id"] for row in rows if not row["tokens"]]
    assert without == ["train-04000", "dev-01000", "test-03257"], "the archive lacks the last post of each split"
    assert max(len(row["tokens"]) for row in rows) == 40
