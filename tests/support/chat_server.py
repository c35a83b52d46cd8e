"""A server with OpenAI's chat interface on loopback, which answers well or badly as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.web import Server, running

KEY = "sk-very-secret-0123456789"


def reply(text: Any, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """The JSON of an answer."""
    message = {"role": "assistant", "content": text, **more}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {"model": "made-1", "choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def asked_text(request: dict[str, Any]) -> str:
    """What the user says in a request."""
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def echo(handler: ChatHandler, request: dict[str, Any]) -> None:
    """Answers with the last words of the question."""
    handler.send(200, reply(f"notes on {asked_text(request).split('Post: ')[-1].split(chr(10))[0]}"))


class ChatHandler(BaseHTTPRequestHandler):
    """Answers POST /v1/chat/completions; its server has the state."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Logs nothing."""

    def do_POST(self) -> None:
        """Counts a request and answers it."""
        state: ChatState = self.server.state  # type: ignore[attr-defined]
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.requests.append(request)
            state.paths.append(self.path)
            state.headers.append(dict(self.headers))
            state.active += 1
            state.most_active = max(state.most_active, state.active)
        try:
            time.sleep(state.delay)
            state.answer(self, request)
        except OSError:
            self.close_connection = True
        finally:
            with state.lock:
                state.active -= 1

    def send(self, code: int, content: Any, **headers: str) -> None:
        """Sends JSON, or bytes as they are; ``_`` in the name of a header becomes ``-``."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content_Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


Behaviour = Callable[[ChatHandler, dict[str, Any]], None]


class ChatState:
    """What was asked, and how to answer."""

    def __init__(self, answer: Behaviour = echo, delay: float = 0.0) -> None:
        self.answer, self.delay = answer, delay
        self.lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.active = self.most_active = 0
        self.address = ""


@contextmanager
def chat_server(answer: Behaviour = echo, delay: float = 0.0) -> Iterator[ChatState]:
    """A running server."""
    httpd = Server(("127.0.0.1", 0), ChatHandler)
    state = ChatState(answer, delay)
    httpd.state = state  # type: ignore[attr-defined]
    with running(httpd) as address:
        state.address = f"http://{address}/v1"
        yield state
