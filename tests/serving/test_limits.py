"""Limits, queues, and clients that misbehave: each gets its answer, and the others theirs."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ita.serving.connections import ConnectionLimits
from ita.serving.options import ServeOptions
from tests.support import service
from tests.support.service import together

HEAD = b"POST /v1/tag HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def parts(received):
    """Status and body of a raw answer."""
    head, _, content = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)


def eventually(holds):
    """Waits until something holds, which it must in the end."""
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_requests_of_many_clients_share_a_forward_pass(limited):
    """While a slow batch is worked on seven more posts come: the next batch has them all."""
    count, total = (limited.metric(f"ita_batch_posts_{name}") for name in ("count", "sum"))

    def later(number):
        time.sleep(0.3)
        return limited.tag({"text": f"b x{'abcde'[number % 5]}", "id": number})

    answers = together(
        lambda: limited.tag({"text": "slow1"}), *(lambda number=number: later(number) for number in range(7))
    )
    assert [answer.status for answer in answers] == [200] * 8
    assert [answer.json["posts"][0]["id"] for answer in answers[1:]] == list(range(7))
    assert limited.metric("ita_batch_posts_sum") == total + 8
    assert limited.metric("ita_batch_posts_count") == count + 2


def test_a_full_queue_is_said_with_when_to_come_again(limited):
    def after(seconds, *posts):
        time.sleep(seconds)
        return limited.tag(*posts)

    four = [{"text": "b"}] * 4
    first, second, refused = together(
        lambda: after(0, {"text": "slow1"}), lambda: after(0.3, *four), lambda: after(0.6, *four)
    )
    assert (first.status, second.status) == (200, 200)
    assert refused.status == 429 and refused.json["code"] == "busy"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert limited.tag({"text": "b"}).status == 200 and limited.metric("ita_queue_posts") == 0


def test_an_answer_that_takes_too_long_is_given_up(limited):
    start = time.monotonic()
    answer = limited.tag({"text": "slow4"})
    assert (answer.status, answer.json["code"]) == (504, "timeout") and time.monotonic() - start < 3.5
    time.sleep(max(0.0, start + 4.2 - time.monotonic()))
    assert limited.tag({"text": "b"}).status == 200


def test_a_post_at_which_the_model_fails_costs_only_itself(limited):
    answer = limited.tag({"text": "b xc"}, {"text": "fail"}, {"text": "d"})
    first, failed, last = answer.json["posts"]
    assert failed["error"] == "the service failed at this post" and b"secret" not in answer.body
    assert "entities" in first and "entities" in last and "a secret of the machine" in limited.log.read_text()


def test_bodies_that_are_too_large_or_never_come(limited):
    large = limited.request("POST", "/v1/tag", b"a" * 50_000, {"Content-Type": "application/json"})
    assert (large.status, large.json["code"]) == (413, "body_too_large") and "20000" in large.json["expected"]
    huge = limited.raw(HEAD + b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n")
    assert parts(huge)[0] == 413
    chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    chunked = limited.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk * 10 + b"0\r\n\r\n")
    assert (parts(chunked)[0], parts(chunked)[1]["code"]) == (413, "body_too_large")
    start = time.monotonic()
    half_body = limited.raw(HEAD + b'Content-Length: 100\r\n\r\n{"text": ')
    assert (parts(half_body)[0], parts(half_body)[1]["code"]) == (408, "slow_body")
    half_head = limited.raw(HEAD)
    assert (parts(half_head)[0], parts(half_head)[1]["code"]) == (408, "slow_request")
    assert limited.raw() == b"", "nothing was asked"
    with limited.connect() as client, pytest.raises(OSError):
        for byte in HEAD:
            client.sendall(bytes([byte]))
            time.sleep(0.1)
    assert time.monotonic() - start < 10, "drops do not keep a connection open"
    assert parts(limited.raw(b"\x16\x03\x01 this is TLS\r\n\r\n"))[1]["code"] == "invalid_http"


def test_a_client_that_leaves_is_not_worked_for(limited):
    posts = limited.metric("ita_posts_total")
    blocker = limited.connect()
    body = b'{"text": "slow1"}'
    blocker.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(0.3)
    for _ in range(5):
        with limited.connect() as client:
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert blocker.recv(12) == b"HTTP/1.1 200"
    blocker.close()
    start = time.monotonic()
    assert limited.tag({"text": "b"}).status == 200 and time.monotonic() - start < 1
    assert limited.metric("ita_posts_total") == posts + 2


def test_many_open_connections_do_not_shut_others_out(limited):
    """Three times as many idle connections as are allowed: the oldest are closed, requests are answered."""
    idle = [limited.connect() for _ in range(300)]
    try:
        assert [limited.tag({"text": "b"}).status for _ in range(3)] == [200] * 3
        eventually(lambda: limited.metric("ita_connections") <= 101)
        assert idle[0].recv(1) == b""
        eventually(lambda: limited.metric("ita_connections") <= 2)
        assert idle[-1].recv(1) == b""
    finally:
        for client in idle:
            client.close()


@pytest.mark.slow
def test_ten_thousand_open_connections(run, tmp_path):
    """As many as the limits of a user allow; the service goes on answering, and forgets them."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with service.running(run, tmp_path / "log", "--max-connections", "20000") as running:
        idle = [running.connect() for _ in range(min(10_000, most - 1000))]
        assert running.metric("ita_connections") > 5000
        seconds = []
        for _ in range(20):
            start = time.monotonic()
            assert running.tag({"text": "b"}).status == 200
            seconds.append(time.monotonic() - start)
        assert sorted(seconds)[10] < 2
        eventually(lambda: running.metric("ita_connections") <= 2)
        for client in idle:
            client.close()


def test_sigterm_answers_what_has_come(run, tmp_path):
    with service.running(run, tmp_path / "log", slow=True) as running, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(running.tag, {"text": "slow1", "id": number}) for number in range(3)]
        idle = running.connect()
        time.sleep(0.5)
        assert running.stop() == 0
        assert [answer.result().json["posts"][0]["id"] for answer in answers] == [0, 1, 2]
        assert idle.recv(1) == b""
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", running.port))
    assert "has answered everything" in (tmp_path / "log").read_text()


def test_what_was_given_up_does_not_hold_up_the_end(run, tmp_path):
    """A post is still worked on when the service ends: exit code 0 all the same."""
    limits = ["--request-seconds", "0.5", "--max-text", "1000000"]
    with service.running(run, tmp_path / "log", *limits) as running:
        assert running.tag({"text": "a " * 50_000}).status == 504
        assert running.stop() == 0


def test_of_connections_that_came_together_the_first_is_closed():
    """However few of them a slow machine saw one by one: a request that has just come is the last."""
    made = []

    class Made:
        is_waiting = True

        def __init__(self, number):
            self.number = number

        def end(self):
            made.append(self.number)

    connections = {Made(number) for number in range(40)}
    ConnectionLimits(connections, ServeOptions(max_connections=30)).sweep(0.0)
    assert made == list(range(10))
