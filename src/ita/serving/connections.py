"""Protection against clients that open connections and send nothing, or half a request."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from ita.serving import metrics
from ita.serving.errors import ServiceError
from ita.serving.options import ServeOptions

SWEEP_SECONDS = 0.25


def response(error: ServiceError, reason: str) -> bytes:
    """An error as bytes, for a request that never became one."""
    body = json.dumps(error.to_dict()).encode()
    head = (
        f"HTTP/1.1 {error.status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


class Connection(H11Protocol):
    """A connection whose errors are JSON."""

    numbers = itertools.count()
    number = 0
    """Connections are counted as they are opened."""

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop when the connection is open."""
        self.number = next(self.numbers)
        super().connection_made(transport)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no request."""
        error = ServiceError(400, "invalid_http", "the bytes are no HTTP request", "HTTP/1.1")
        metrics.errors.labels(error.code).inc()
        self.transport.write(response(error, "Bad Request"))
        self.transport.close()

    @property
    def is_waiting(self) -> bool:
        """No request is worked on."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def end(self) -> None:
        """Ends a connection that waits, with an answer to half a request."""
        if self.transport.is_closing():
            self.transport.abort()
        elif self.conn.trailing_data[0]:
            error = ServiceError(408, "slow_request", "the request did not arrive in time", "the whole request at once")
            metrics.errors.labels(error.code).inc()
            self.transport.write(response(error, "Request Timeout"))
        self.transport.close()


class ConnectionLimits:
    """Ends connections that wait too long, or for which there is no room.

    Args:
        connections: the open ones, kept by uvicorn.
        options: limits.
    """

    def __init__(self, connections: set[Any], options: ServeOptions) -> None:
        self.connections, self.options = connections, options
        self.since: dict[Connection, tuple[bool, float]] = {}
        """Whether a connection waits, and since when it does or does not."""

    async def run(self) -> None:
        """Looks at all connections again and again."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(time.monotonic())

    def sweep(self, now: float) -> None:
        """Ends the connections that have to end."""
        metrics.connections.set(len(self.connections))
        since = {}
        for connection in self.connections:
            waiting, start = self.since.get(connection, (None, now))
            since[connection] = (connection.is_waiting, start if waiting == connection.is_waiting else now)
        self.since = since
        options = self.options
        longest = options.body_seconds + options.request_seconds + options.header_seconds
        for connection, (waiting, start) in since.items():
            if not waiting and now - start > longest:
                connection.transport.abort()  # it does not read its answer
        waiting_since = sorted((start, item.number, item) for item, (waiting, start) in since.items() if waiting)
        excess = len(since) - options.max_connections
        for number, (start, _, connection) in enumerate(waiting_since):
            if number < excess or now - start > options.header_seconds:
                connection.end()
