"""Errors that a client is told: a status, a code for programs, what was found and what is expected."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        code: name for programs; errors are counted by it.
        message: what was found.
        expected: what is expected, or what to do.
        retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self, status: int, code: str, message: str, expected: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.expected = status, code, message, expected
        self.retry_after = retry_after

    def to_dict(self) -> dict[str, Any]:
        """The answer's body; ``error`` is a text, as KServe's protocol has it."""
        expected = {"expected": self.expected} if self.expected else {}
        return {"error": self.message, "code": self.code, **expected}

    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, min(60, round(self.retry_after))))}


INTERNAL = ServiceError(500, "internal", "the service failed at this request", "a report with the X-Request-ID")
