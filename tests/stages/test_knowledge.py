"""The stage knowledge: what is asked, what is kept, what becomes of servers that misbehave."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from PIL import Image

from ita.cli import run_stage
from ita.config import read_yaml
from ita.data.visual_context import EMPTY
from ita.errors import UserError
from ita.io import parquet
from ita.knowledge.retrieval import contexts_of, encode_posts
from ita.stages import context, gather, knowledge
from ita.vision.sharding import shard_batches
from tests.support.asked_posts import COUNT, FAST, made, posts_with_pictures
from tests.support.chat_server import asked_text, chat_server, echo
from tests.support.families import make_encoder
from tests.support.paths import ROOT
from tests.support.runs import trained
from tests.support.web import environment

folder = posts_with_pictures


def test_every_post_is_asked_about_once(folder):
    with chat_server(delay=0.02) as server:
        rows = made(folder, address=server.address, concurrency=3)
        assert [row["status"] for row in rows.values()] == ["ok"] * COUNT
        assert rows["p3"]["text"] == "notes on Kim visits Town3"
        assert (rows["p3"]["model"], rows["p3"]["prompt_tokens"], rows["p3"]["completion_tokens"]) == ("made-1", 7, 3)
        assert len(server.requests) == COUNT and 1 < server.most_active <= 3
        assert set(server.paths) == {"/v1/chat/completions"}
        by_post = {asked_text(request).split("\n")[0]: request for request in server.requests}
        first = by_post["Post: Kim visits Town0"]
        assert "Picture: scene 0a\n" in asked_text(first) and first["messages"][0]["role"] == "system"
        assert (first["temperature"], first["max_tokens"], first["model"]) == (0, 160, "made")
        assert "Picture" not in asked_text(by_post["Post: Kim visits Town5"]).split("\n")[1], "there is none"
        again = made(folder, address=server.address)
        assert again == rows and len(server.requests) == COUNT, "nothing is asked twice"
    counts = parquet.metadata(folder / "out.parquet")["counts"]
    assert (counts["ok"], counts["asked"], counts["prompt_tokens"], counts["completion_tokens"]) == (6, 0, 42, 18)


def test_shards_make_the_same_table(folder, monkeypatch):
    monkeypatch.setattr(shard_batches, "__defaults__", (2, 2))
    with chat_server() as server:
        whole = made(folder, address=server.address)
        for number in (1, 2, 3):
            made(folder, f"{number}-of-3", output=f"{number}-of-3.parquet", address=server.address)
        assert len(server.requests) == COUNT
    gather.work({}, [folder / f"{number}-of-3.parquet" for number in (1, 2, 3)], folder / "joined.parquet")
    assert {row["post_id"]: row for row in parquet.rows("knowledge", folder / "joined.parquet")} == whole


def test_a_change_asks_again_only_what_it_changes(folder):
    template = folder / "mine.txt"
    template.write_text("[user]\nSay: {text}\nSeen: {caption}\n")
    with chat_server() as server:
        made(folder, address=server.address)
        made(folder, address=server.address, template=str(template))
        assert len(server.requests) == 2 * COUNT, "another template"
        rows = parquet.rows("captions", folder / "captions.parquet")
        rows[1]["caption"] = "another scene"
        parquet.write("captions", rows, folder / "captions.parquet")
        made(folder, address=server.address)
        assert len(server.requests) == 2 * COUNT + 1, "one caption"
        made(folder, address=server.address, timeout=3.0, prompt_price=1.0, concurrency=1)
        assert len(server.requests) == 2 * COUNT + 1, "what changes no answer"
        made(folder, address=server.address, max_tokens=20)
        assert len(server.requests) == 3 * COUNT + 1


def test_pictures_are_sent_first_and_small(folder):
    with chat_server() as server:
        made(folder, address=server.address, template="image-text", max_pixels=800)
        contents = [request["messages"][-1]["content"] for request in server.requests]
        with_picture = [content for content in contents if isinstance(content, list)]
        assert len(with_picture) == COUNT - 1
        picture, text = with_picture[0]
        assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,") and text["type"] == "text"
        size = Image.open(io.BytesIO(base64.b64decode(picture["image_url"]["url"].partition(",")[2]))).size
        assert size[0] * size[1] <= 800
        made(folder, address=server.address, template="image-text", max_pixels=800, blank=["image"])
        control = [request["messages"][-1]["content"] for request in server.requests[COUNT:]]
        assert all(isinstance(content, str) for content in control), "the control without the picture"
        # A post without a picture is asked the same in both.
        assert len(control) == COUNT - 1


def test_an_error_text_never_becomes_context(folder):
    def behave(handler, request):
        if "Town1" in asked_text(request):
            handler.send(400, {"error": {"message": "prompt too long"}})
        else:
            echo(handler, request)

    with chat_server(behave) as server:
        rows = made(folder, address=server.address, output="gpt.parquet")
    assert rows["p1"]["status"] == "failed" and "prompt too long" in rows["p1"]["error"]
    settings = {"context": {"kinds": ["gpt"], "budget": {"gpt": 4}}}
    output = folder / "context.parquet"
    context.work(settings, output, folder / "posts.parquet", folder, knowledge=[folder / "gpt.parquet"])
    contexts = {row["post_id"]: row for row in parquet.rows("contexts", output)}
    assert contexts["p0"]["tokens"] == ["notes", "on", "Kim", "visits"] and contexts["p0"]["truncated"] == 1
    assert set(contexts["p0"]["kinds"]) == {"gpt"} and contexts["p1"]["tokens"] == []
    recorded = parquet.metadata(output)["image_settings"]["knowledge"]["gpt"]
    assert recorded["model"] == "made"


def test_the_template_backend_asks_nobody(folder):
    rows = made(folder, backend="template", model=None)
    assert rows["p0"]["text"] == "The picture shows scene 0a. There is red dog in it. The writing in it says BIG SIGN."
    assert rows["p1"]["text"] == "The picture shows scene 1a." and rows["p1"]["model"] is None
    assert rows["p5"]["status"] == "empty"
    assert "no language model" in parquet.metadata(folder / "out.parquet")["engine"]["note"]


def shown(folder, *names):
    path = folder / "demonstrations.jsonl"
    path.write_text("".join(json.dumps({"id": name, "answer": f"answer {name}"}) + "\n" for name in names))
    return str(path)


@pytest.mark.parametrize("retrieval", ["random", "text"])
def test_demonstrations_stand_before_the_question(folder, retrieval, tmp_path):
    encoder = {"retrieval_model": str(make_encoder(tmp_path / "encoder", "bert"))} if retrieval == "text" else {}
    options = {"demonstrations": shown(folder, "p0", "p1", "p2"), "retrieval": retrieval, "count": 2, **encoder}
    with chat_server() as server:
        rows = made(folder, address=server.address, **options)
        for request in server.requests:
            *examples, question = asked_text(request).split("\n\nPost: ")
            assert len(examples) == 2 and all("Notes: answer p" in example for example in examples)
            asked = question.split("\n")[0]
            assert asked not in [example.removeprefix("Post: ").split("\n")[0] for example in examples]
        for name, row in rows.items():
            assert len(row["demonstrations"]) == 2 and name not in row["demonstrations"]
            assert row["demonstrated"] == (name in ("p0", "p1", "p2"))
        assert parquet.metadata(folder / "out.parquet")["inputs"]["demonstrations"]
        again = made(folder, address=server.address, **options)
        assert again == rows and len(server.requests) == COUNT
    with pytest.raises(UserError, match="of the split test"):
        made(folder, address="http://127.0.0.1:1/v1", **{**options, "demonstrations": shown(folder, "p4")})


def test_demonstrations_of_another_data_set(folder):
    path = folder / "demonstrations.jsonl"
    path.write_text('{"text": "Anna there", "caption": "a zoo", "answer": "Anna: a person"}\n')
    with chat_server() as server:
        rows = made(folder, address=server.address, demonstrations=str(path), retrieval="random")
        texts = list(map(asked_text, server.requests))
        assert all(
            text.startswith("Post: Anna there\nPicture: a zoo\nNotes: Anna: a person\n\nPost: ") for text in texts
        )
        blank = {"blank": ["caption"], "demonstrations": str(path), "retrieval": "random"}
        made(folder, address=server.address, **blank)
        assert not any("zoo" in asked_text(request) for request in server.requests[COUNT:])
    assert {tuple(row["demonstrations"]) for row in rows.values()} == {("demonstration 1",)}
    assert not any(row["demonstrated"] for row in rows.values())


def test_a_shard_without_posts_joins_the_others(folder, tmp_path):
    encoder = str(make_encoder(tmp_path / "encoder", "bert"))
    options = {"demonstrations": shown(folder, "p0", "p1", "p2"), "retrieval": "text", "retrieval_model": encoder}
    shards = [folder / f"{number}-of-2.parquet" for number in (1, 2)]
    with chat_server() as server:
        for number, path in enumerate(shards, 1):
            made(folder, f"{number}-of-2", output=path.name, address=server.address, count=1, **options)
    gather.work({}, shards, folder / "joined.parquet")
    assert [parquet.count("knowledge", path) for path in (*shards, folder / "joined.parquet")] == [0, COUNT, COUNT]


def test_a_tagger_finds_similar_posts(corpus, tiny_encoder, tmp_path):
    run = trained(corpus, tmp_path / "run", tiny_encoder, epochs=1)
    posts, contexts = corpus / "posts.parquet", corpus / "ga.parquet"
    rows = parquet.rows("posts", posts)
    ids = [row["post_id"] for row in rows]
    names = ids[:5]
    options = {"backend": "template", "template": str(tmp_path / "t.txt"), "retrieval": "tagger", "count": 3}
    (tmp_path / "t.txt").write_text("[demonstration]\n{text}: {answer}\n[user]\n{demonstrations}\n{text}\n")
    options |= {"demonstrations": shown(tmp_path, *names), "retrieval_model": str(run), "device": "cpu"}
    output = tmp_path / "out.parquet"
    knowledge.work({"knowledge": options}, output, posts, context=contexts)
    found = {row["post_id"]: row for row in parquet.rows("knowledge", output)}
    read = contexts_of({row["post_id"]: row for row in parquet.rows("contexts", contexts)}, ids)
    words = [row["tokens"] for row in rows]
    together, identity = encode_posts(words, read, run, "cpu")
    alone, _ = encode_posts(words[:1], read[:1], run, "cpu")
    text_only, _ = encode_posts(words[:1], [EMPTY], run, "cpu")
    assert abs(together[0] - alone[0]).max() < 1e-5 < abs(text_only[0] - alone[0]).max()
    for index, name in enumerate(ids):
        cosines = {other: float(together[index] @ together[ids.index(other)]) for other in names if other != name}
        nearest = sorted(cosines, key=lambda other: (-round(cosines[other], 5), other))[:3]
        assert [round(cosines[other], 4) for other in found[name]["demonstrations"]] == [
            round(cosines[other], 4) for other in nearest
        ]
    assert parquet.metadata(output)["engine"]["retrieval"]["weights"] == identity["weights"]


def test_the_cost_is_told_before_anything_is_asked(folder, monkeypatch, capsys):
    config = read_yaml(ROOT / "config.yaml")
    source = {"model": "made", "prompt_price": 1000.0, "completion_price": 2000.0, "allow_networks": ["127.0.0.1"]}
    config["datasets"]["mine"] = {"knowledge_sources": {"gpt": source}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    home = folder / "results" / "mine"
    (home / "captions").mkdir(parents=True)
    (folder / "posts.parquet").rename(home / "posts.parquet")
    (folder / "captions.parquet").rename(home / "captions" / "vinvl.parquet")
    monkeypatch.chdir(folder)
    assert run_stage(knowledge, ["--estimate", "mine/gpt"]) == 0
    lines = {line[:19].strip(): line[19:].split() for line in capsys.readouterr().out.splitlines()}
    assert lines["posts"][0] == "6" and lines["to be asked"][0] == "6" and lines["answer tokens"][0] == "960"
    tokens = int(lines["prompt tokens"][0].replace(",", ""))
    price = (tokens * 1000 + 960 * 2000) / 1e6
    assert 6 * 150 < tokens < 6 * 350 and float(lines["price"][0]) == pytest.approx(price, abs=0.01)
    with chat_server() as server:
        values = {"knowledge": {**FAST, **source, "address": server.address}, "name": "gpt"}
        files = {"captions": home / "captions" / "vinvl.parquet", "answers": home / "answers"}
        knowledge.work(values, folder / "o.parquet", home / "posts.parquet", **files)
    assert run_stage(knowledge, ["--estimate", "mine/gpt"]) == 0
    assert "(6 are answered already)" in capsys.readouterr().out
    assert run_stage(knowledge, ["--estimate", "mine/nope"]) == 1
    assert run_stage(knowledge, []) == 1
    assert "--estimate DATASET/SOURCE" in capsys.readouterr().err


KILLED_AT = (1, 2, 3, 4, 5)


def test_five_kills_make_the_same_table(folder):
    options = {"concurrency": 1, "name": "made"}
    with chat_server() as server:
        whole = made(folder, address=server.address, output="whole.parquet", model="first", **options)
    with chat_server(delay=0.15) as server:
        settings = {"knowledge": {**FAST, "model": "second", "address": server.address, "concurrency": 1}}
        files = {"posts": "posts", "captions": "captions", "output": "cut"}
        arguments = [
            part for option, name in files.items() for part in (f"--{option}", str(folder / f"{name}.parquet"))
        ]
        command = [sys.executable, "-m", "ita", "knowledge", "--settings", json.dumps(settings), *arguments]
        for moment in KILLED_AT:
            process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
            already = len(server.requests)
            deadline = time.monotonic() + 60
            while len(server.requests) == already and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.1 if moment % 2 else 0.2)  # while it waits, or just after the answer
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert not (folder / "cut.parquet").exists()
        answers = folder / "answers"
        with open(next(answers.glob("knowledge.*.jsonl")), "ab") as file:
            file.write(b'{"key": "half of a li')
        assert run_stage(knowledge, command[4:]) == 0
        assert COUNT <= len(server.requests) <= COUNT + len(KILLED_AT), "at most the one in flight is asked again"
    cut = parquet.rows("knowledge", folder / "cut.parquet")
    timeless = [{**row, "seconds": None} for row in cut]
    assert timeless == [{**row, "seconds": None} for row in whole.values()]
