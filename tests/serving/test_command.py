"""The command line of ita serve, and its processes."""

import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ita import Tagger
from ita.commands import serve
from ita.io.files import write_json
from tests.support import service


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-body", "0"], "--max-body: found 0, expected more than 0"),
        (["--max-posts", "5000"], "is more than --max-queue-posts"),
        (["--host", "192.0.2.1"], "192.0.2.1, port 8000"),
        (["--settings", "["], "neither JSON nor @FILE"),
    ],
)
def test_what_cannot_be_is_said_before_a_model_is_loaded(arguments, message, capsys, tmp_path):
    assert serve.main([str(tmp_path), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_taken_port_and_no_model(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve.main([str(tmp_path), "--port", str(port)]) == 1
        assert f"port {port}" in capsys.readouterr().err
    running = service.running(tmp_path, tmp_path / "log", "--workers", "2")
    with pytest.raises(AssertionError, match="serve: .*settings.json"), running:
        raise RuntimeError("it started")


def test_a_process_that_dies_is_started_again(run, tmp_path):
    """Two processes share the load and the counters; one is killed by a post; SIGTERM ends both, requests answered."""
    with service.running(run, tmp_path / "log", "--workers", "2", slow=True) as running:
        with pytest.raises(OSError):
            running.tag({"text": "die"})
        assert [running.tag({"text": "b"}).status for _ in range(10)] == [200] * 10, "the other one answers"
        until = time.monotonic() + 60
        while "another one starts" not in (tmp_path / "log").read_text() and time.monotonic() < until:
            time.sleep(0.1)
        assert "died (exit code -9); another one starts" in (tmp_path / "log").read_text()
        assert running.metric("ita_posts_total") == 10
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(running.tag, {"text": "slow1"}) for _ in range(4)]
            time.sleep(0.5)
            assert running.stop() == 0
            assert [answer.result().status for answer in answers] == [200] * 4


def test_it_computes_in_8_bits_where_it_is_told_to(run, tmp_path):
    posts = [{"text": f"b xa {'cc aa ' * number}xc d xb"} for number in range(5)]
    with service.running(run, tmp_path / "log", "--quantize", "int8") as running:
        answers = [answer["entities"] for answer in running.tag(*posts).json["posts"]]
    exact, rounded = (
        [answer.to_dict()["entities"] for answer in Tagger.from_pretrained(run, quantize=bits).predict(posts)]
        for bits in (None, "int8")
    )
    assert answers == rounded != exact


def test_it_leaves_out_unsure_entities_where_it_is_told_to(run, tmp_path):
    model = shutil.copytree(run, tmp_path / "model")
    posts = [{"text": text} for text in ("b xa cc", "cc xb", "aa xc xa", "xa d xb b")]
    everything = [entity.score for answer in Tagger.from_pretrained(model).predict(posts) for entity in answer.entities]
    scores = [sorted(everything)[len(everything) // 2]] * 40
    write_json(model / "calibration.json", {"split": "dev", "views": {"t": scores, "it": scores}})
    with service.running(model, tmp_path / "log", "--risk", "0.1") as running:
        answers = [answer["entities"] for answer in running.tag(*posts).json["posts"]]
    kept = Tagger.from_pretrained(model, risk=0.1).predict(posts)
    assert answers == [answer.to_dict()["entities"] for answer in kept]
    assert 0 < sum(map(len, answers)) < len(everything)
