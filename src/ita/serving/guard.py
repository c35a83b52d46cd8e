"""What stands before the routes: limits on bytes and seconds of a request, its line in the log, its counters."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from ita.log import log
from ita.serving import metrics
from ita.serving.errors import INTERNAL, ServiceError
from ita.serving.messages import Json
from ita.serving.options import ServeOptions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = re.compile(rb"[\w.:-]{1,64}")
BOUNDARY = re.compile(rb'boundary="?([^";,]+)"?', re.IGNORECASE)
QUIET = ("/v2/health", "/metrics")
"""Paths that are asked for every few seconds; their lines are for the level debug."""
DRAIN_SECONDS = 3.0
DRAIN_FACTOR = 4
"""A body that is too large is read on for this long, up to this many times the limit, so that its client, which still
sends, gets to read the answer."""
CLIENT_LEFT = 499


class ClientLeft(Exception):
    """Nobody waits for the answer."""


@dataclass
class Exchange:
    """A request and what became of it."""

    scope: Scope
    send_on: Send
    start: float = field(default_factory=time.monotonic)
    status: int | None = None
    """Of the answer; None before it."""
    request_id: str = ""

    def __post_init__(self) -> None:
        request_id = self.header(b"x-request-id")
        self.request_id = request_id.decode() if REQUEST_ID.fullmatch(request_id) else uuid.uuid4().hex[:16]

    def header(self, name: bytes) -> bytes:
        """The first header of a name."""
        return next((value for key, value in self.scope["headers"] if key == name), b"")

    async def send(self, message: Message) -> None:
        """Passes the answer on, with the id of the request."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), (b"x-request-id", self.request_id.encode())]
            message = {**message, "headers": headers}
        await self.send_on(message)


class Guard:
    """An ASGI application around another one, which gets whole bodies within the limits.

    Args:
        app: the routes.
        options: limits.
    """

    def __init__(self, app: App, options: ServeOptions) -> None:
        self.app, self.options = app, options
        self.buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, send)
        body = bytearray()
        try:
            await self._receive(exchange, receive, body)
            check_form(exchange.header(b"content-type"), body)
            await self._answer(exchange, receive, bytes(body))
        except ServiceError as error:
            await self._refuse(exchange, error)
        except ClientLeft:
            exchange.status = exchange.status or CLIENT_LEFT
        except Exception:
            log.exception("request %s failed", exchange.request_id)
            await self._refuse(exchange, INTERNAL)
        finally:
            self.buffered -= len(body)
            record(exchange)

    async def _receive(self, exchange: Exchange, receive: Receive, body: bytearray) -> None:
        """Reads the body, within its limits."""
        limit = self.options.max_body
        expected = f"at most {limit} bytes"
        length = exchange.header(b"content-length")
        if length.isdigit() and int(length[:20]) > limit:
            if not exchange.header(b"expect"):
                await drain(receive, limit)
            raise ServiceError(413, "body_too_large", f"the body has {int(length[:20])} bytes", expected)
        more = True
        try:
            async with asyncio.timeout(self.options.body_seconds):
                while more and len(body) <= limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    self._take(message.get("body", b""), body)
                    more = message.get("more_body", False)
        except TimeoutError:
            message_text = f"the body did not arrive within {self.options.body_seconds:g} seconds"
            raise ServiceError(408, "slow_body", message_text, "the whole body at once") from None
        if len(body) > limit:
            if more:
                await drain(receive, limit)
            raise ServiceError(413, "body_too_large", f"the body has more than {limit} bytes", expected)

    def _take(self, chunk: bytes, body: bytearray) -> None:
        if self.buffered + len(chunk) > self.options.max_buffered:
            raise ServiceError(429, "busy", "too many large requests at a time", "the same request later", 2)
        self.buffered += len(chunk)
        body += chunk

    async def _answer(self, exchange: Exchange, receive: Receive, body: bytes) -> None:
        """Runs the routes, for as long as the limit says and the client waits."""
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                await asyncio.Event().wait()  # a client that leaves is what this guard waits for
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        answering = asyncio.ensure_future(self.app(exchange.scope, replay, exchange.send))
        leaving = asyncio.ensure_future(wait_for_disconnect(receive))
        try:
            await asyncio.wait(
                {answering, leaving}, timeout=self.options.request_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if answering.done():
                return answering.result()
            if leaving.done():
                raise ClientLeft
            message = f"no answer within {self.options.request_seconds:g} seconds"
            raise ServiceError(504, "timeout", message, "fewer or smaller posts and images, or the same later")
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _refuse(self, exchange: Exchange, error: ServiceError) -> None:
        """Answers with an error, unless an answer has begun; the connection ends, as its body may not be read."""
        if exchange.status is not None:
            return
        metrics.errors.labels(error.code).inc()
        answer = Json(error.to_dict(), error.status, headers={**error.headers(), "Connection": "close"})
        await exchange.send({"type": "http.response.start", "status": error.status, "headers": answer.raw_headers})
        await exchange.send({"type": "http.response.body", "body": answer.body})


def check_form(content_type: bytes, body: bytearray) -> None:
    """Refuses a form without its end, whose last field the parser would leave out silently."""
    if not content_type.lower().startswith(b"multipart/form-data"):
        return
    boundary = BOUNDARY.search(content_type)
    if boundary is None or not body[-200:].rstrip().endswith(b"--" + boundary[1] + b"--"):
        raise ServiceError(400, "incomplete_form", "the form has no end", "parts, and the boundary with -- behind it")


async def wait_for_disconnect(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def drain(receive: Receive, limit: int) -> None:
    """Reads on what is not wanted, for a while."""
    size = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_FACTOR * limit:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def record(exchange: Exchange) -> None:
    """Counts a request and writes its line: no query, no header, nothing of the posts."""
    seconds = time.monotonic() - exchange.start
    route = getattr(exchange.scope.get("route"), "path", "other")
    status = exchange.status or 500
    metrics.requests.labels(route, str(status)).inc()
    metrics.seconds.labels(route).observe(seconds)
    level = logging.DEBUG if exchange.scope["path"].startswith(QUIET) else logging.INFO
    client = (exchange.scope.get("client") or ("-",))[0]
    path = exchange.scope.get("raw_path", b"").decode("ascii", "replace")[:200]
    log.log(
        level,
        "%s %s %s %d %.1f ms %s",
        client,
        exchange.scope["method"],
        path,
        status,
        1000 * seconds,
        exchange.request_id,
    )
