"""Why a file could not be downloaded or read."""

from __future__ import annotations


class FetchError(Exception):
    """A URL or a file gave no usable bytes.

    Attributes:
        status: ``missing``, ``failed`` (may work later) or ``refused`` (will not).
        kind: short class of the error, such as ``http-404`` or ``read-timeout``.
        http_status: status of the response, None without a response.
        retryable: whether another attempt soon may succeed.
        unreachable: whether the server sent no response at all.
        retry_after: seconds that the server asked to wait, None where it did not.
    """

    def __init__(
        self,
        status: str,
        kind: str,
        detail: str,
        *,
        http_status: int | None = None,
        retryable: bool = False,
        unreachable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.status = status
        self.kind = kind
        self.http_status = http_status
        self.retryable = retryable
        self.unreachable = unreachable
        self.retry_after = retry_after
