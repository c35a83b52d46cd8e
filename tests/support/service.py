"""The service of ``ita serve`` in a process of its own, and clients that behave as tests want them to.

Run as a program (``python -m tests.support.service MODEL ...``) it serves with a model that is slow where posts say so.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.paths import ROOT

START_SECONDS = 120
SLOW = re.compile(r"^slow(\d)")
"""A text that takes so many seconds; a text ``die`` ends the process, ``fail`` raises."""


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Service:
    """A running service."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log, self.port = process, log, 0

    def wait(self) -> None:
        """Waits until it answers."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if match := re.search(r"on http://127\.0\.0\.1:(\d+)/", self.log.read_text()):
                self.port = int(match[1])
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the service does not start: {self.log.read_text()}")

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """Reads a route."""
        return self.request("GET", path)

    def post(self, path: str, value: Any) -> Answer:
        """Sends JSON."""
        return self.request("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def tag(self, *posts: Any, **options: Any) -> Answer:
        """Tags posts."""
        return self.post("/v1/tag", {"posts": posts, **options})

    def upload(self, content: bytes, **fields: str) -> Answer:
        """Tags a post with an uploaded image."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode()
        body = b"".join([*parts, head, content, f"\r\n--{boundary}--\r\n".encode()])
        return self.request("POST", "/v1/upload", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def connect(self) -> socket.socket:
        """A connection on which nothing is sent yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def raw(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Sends bytes and reads until the server closes the connection."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
                time.sleep(pause)
            received = b""
            while chunk := client.recv(65536):
                received += chunk
            return received

    def metric(self, name: str) -> float:
        """A value of /metrics; the sum over its labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}(\{{.*\}})? ", line))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def running(folder: Path, log: Path, *arguments: str, slow: bool = False) -> Iterator[Service]:
    """A service for a run folder, on any free port."""
    program = "tests.support.service" if slow else "ita"
    command = [sys.executable, "-m", program, *([] if slow else ["serve"]), str(folder), "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with open(log, "wb") as file:
        process = subprocess.Popen(command, env=environment, cwd=log.parent, stderr=file)
    service = Service(process, log)
    try:
        service.wait()
        yield service
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Results of calls that run at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def slow_down() -> None:
    """Makes the model as slow as its posts say, and the reading of images take a second."""
    from ita.tagging.image_engines import ImageEngines
    from ita.tagging.tagger import Tagger

    tag_posts, read = Tagger.tag_posts, ImageEngines.read

    def slow_tag_posts(self: Tagger, posts: Any, *arguments: Any, **options: Any) -> Any:
        for post in posts:
            if match := SLOW.match(post.text):
                time.sleep(int(match[1]))
            if post.text.startswith("die"):
                os.kill(os.getpid(), signal.SIGKILL)
            if post.text.startswith("fail"):
                raise ValueError("a secret of the machine")
        return tag_posts(self, posts, *arguments, **options)

    def slow_read(self: ImageEngines, files: Any) -> Any:
        time.sleep(1)
        return read(self, files)

    Tagger.tag_posts, ImageEngines.read = slow_tag_posts, slow_read  # type: ignore[method-assign]


slow_down() if __name__ in ("__main__", "__mp_main__") else None
if __name__ == "__main__":
    from ita.commands.serve import main

    sys.exit(main(sys.argv[1:]))
