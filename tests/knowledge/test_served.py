"""A real server on loopback: transformers' own, with a tiny model that the test makes."""

import subprocess
import sys
import time
import urllib.request

import pytest

from ita.config import Knowledge
from ita.knowledge.chat import ChatBackend
from ita.knowledge.local import LocalModel
from ita.knowledge.types import Question
from tests.support.chat_models import make_llava
from tests.support.pictures import scene
from tests.support.web import closed_port, environment

SECONDS = 120
"""Until the server answers; it loads torch."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of the server, and the folder of its model, which is its name."""
    pytest.importorskip("openai", reason="transformers serve needs the package openai (pip install openai)")
    folder = make_llava(tmp_path_factory.mktemp("served"))
    output = tmp_path_factory.mktemp("output") / "server.txt"
    port = closed_port()
    program = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    command = [sys.executable, "-c", program, "serve", folder, "--port", str(port), "--host", "127.0.0.1"]
    with open(output, "wb") as file:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--dtype", "float32"],
            env={**environment(), "HF_HUB_OFFLINE": "1"},
            stdout=file,
            stderr=file,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not listens(port):
            if process.poll() is not None:
                pytest.skip(f"transformers serve does not start here: {output.read_text()[-300:]}")
            assert time.monotonic() < deadline, "transformers serve does not answer"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        process.kill()
        process.wait()


def listens(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            return response.status == 200
    except (TimeoutError, OSError):
        return False


def asked(backend, questions):
    found = {}
    backend.ask(questions, lambda question, answer: found.update({question.key: answer}))
    return [found[question.key] for question in questions]


def test_a_served_model_answers_as_one_in_this_process(served, tmp_path):
    address, folder = served
    scene(60, 40).save(tmp_path / "a.png")
    questions = [Question(str(number), "Be brief.", text) for number, text in enumerate(("Kim visits Town.", "Who?"))]
    pictured = Question("pictured", "Be brief.", "Who?", tmp_path / "a.png")
    shared = {"model": folder, "max_tokens": 10}
    chat = ChatBackend(Knowledge(address=address, allow_networks=["127.0.0.1"], timeout=60.0, attempts=1, **shared))
    answers = asked(chat, [*questions, pictured])
    assert [answer.status for answer in answers] == ["ok"] * 3, answers
    local = LocalModel(Knowledge(backend="transformers", device="cpu", precision="fp32", **shared))
    expected = asked(local, questions)
    told = [(answer.text, answer.prompt_tokens, answer.completion_tokens) for answer in answers]
    assert told[:2] == [(answer.text, answer.prompt_tokens, answer.completion_tokens) for answer in expected]
    assert answers[2].prompt_tokens == answers[1].prompt_tokens + 4, "the picture is 4 tokens"
    assert answers[2].text != answers[1].text
