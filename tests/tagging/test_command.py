"""ita predict on posts with pictures, in a process of its own."""

import csv
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import web
from tests.support.web import FAST, Handler, body, environment

server, clean_slate = web.server, web.clean_slate


@pytest.fixture
def answers(tesseract, pictured, tmp_path):
    """Runs the command on a file of posts; the answers."""

    def run(name, *arguments):
        command = [sys.executable, "-m", "ita", "predict", str(pictured.run("image-text")), str(tmp_path / name)]
        # Another working folder than that of the posts.
        done = subprocess.run([*command, *arguments], env=environment(), cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_paths_urls_and_bytes_in_one_command(answers, pictured, server, tmp_path):
    content = (pictured.folder / "test-0.png").read_bytes()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(content)
    (tmp_path / "pictures" / "torn.png").write_bytes(content[:300])
    Handler.replies = {"/a.png": body(content)}
    images = ["pictures/a.png", f"{server}/a.png", "pictures/b.png", "pictures/torn.png", f"{server}/none", ""]
    with open(tmp_path / "posts.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "image", "topic"])
        writer.writerows([number, "b xc", image, "x"] for number, image in enumerate(images))
    found = answers("posts.csv", "--settings", json.dumps({"download": FAST}))
    assert [(post["id"], post["image"] or "", post["topic"]) for post in found] == [
        (str(number), image, "x") for number, image in enumerate(images)
    ]
    statuses = ["ok", "ok", "missing", "refused", "missing", None]
    assert [post.get("image_status") for post in found] == statuses
    assert [post["view"] for post in found] == ["it", "it", "t", "t", "t", "t"]
    assert found[0]["entities"] == found[1]["entities"] and "not-found" in found[2]["image_error"]
    assert [post.get("entities") is not None and "error" not in post for post in found] == [True] * 6
    pq.write_table(pa.table({"text": ["b xc"] * 2, "image": [content, None], "n": [1, 2]}), tmp_path / "posts.parquet")
    with_bytes, without = answers("posts.parquet")
    assert with_bytes["entities"] == found[0]["entities"] and without["entities"] == found[5]["entities"]
    assert with_bytes.keys() == {"n", "text", "tokens", "view", "image_status", "entities"}
    guarded = answers("posts.csv")
    assert guarded[1]["image_status"] == "refused" and "private-address" in guarded[1]["image_error"]
    Handler.requests.clear()
    unread = answers("posts.csv", "--view", "t", "--settings", json.dumps({"download": FAST}))
    assert [post.get("image_status") for post in unread] == ["unread"] * 5 + [None] and not Handler.requests


def test_pictures_of_another_folder(answers, pictured, tmp_path):
    (tmp_path / "posts.jsonl").write_text('{"text": "b xc", "image": "test-0.png"}\n{"text": "b", "image": 7}\n')
    here, wrong = answers("posts.jsonl")
    there, _ = answers("posts.jsonl", "--images", str(pictured.folder))
    assert (here["image_status"], there["image_status"]) == ("missing", "ok")
    assert "expected 'image' to be a path, a URL or bytes, found int" in wrong["error"] and wrong["text"] == "b"
