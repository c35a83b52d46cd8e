"""Responses of servers with OpenAI's chat interface, read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ita.data.generated_text import clean
from ita.download.errors import FetchError
from ita.download.headers import parse_retry_after
from ita.download.store import single_line
from ita.knowledge.types import Answer

RETRYABLE = (408, 409, 425, 429)
REFUSALS = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
"""Codes by which providers say that they will not answer."""
SHOWN = 300
"""Letters of a server's message that are shown."""


def error_of_status(status: int, headers: Mapping[str, str], content: bytes) -> FetchError:
    """The error that a response without success is."""
    if 300 <= status < 400:
        return FetchError("refused", "redirect", "it leads elsewhere, which is not followed", http_status=status)
    code, message = error_in(content)
    if code in REFUSALS:
        return FetchError("refused", "content-filter", message or code, http_status=status)
    retryable = status >= 500 or status in RETRYABLE
    return FetchError(
        "failed",
        f"http-{status}",
        message or "no reason given",
        http_status=status,
        retryable=retryable and code != "insufficient_quota",
        retry_after=parse_retry_after(headers.get("Retry-After")) if retryable else None,
    )


def error_in(content: bytes) -> tuple[str, str]:
    """Code and message of an error; empty where there is none."""
    try:
        error = json.loads(content)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", " ".join(content[:SHOWN].decode(errors="replace").split())
    if not isinstance(error, Mapping):
        return "", str(error)[:SHOWN]
    return str(error.get("code") or ""), str(error.get("message") or "")[:SHOWN]


def answer_of(content: bytes, seconds: float) -> Answer:
    """The answer in a successful response.

    Raises:
        FetchError: for a response that is no answer; asked again, it may be one.
    """
    try:
        reply = json.loads(content)
        choices = reply["choices"]
        choice: Any = choices[0] if choices else {"message": {}}
        message, finish = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content"), message.get("refusal")
        usage = reply.get("usage") or {}
        counts = [count_or_none(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise FetchError("failed", "bad-answer", f"{type(error).__name__}: {error}"[:SHOWN], retryable=True) from None
    if isinstance(text, list):  # parts of a message
        text = "".join(str(part.get("text", "")) for part in text if isinstance(part, Mapping))
    if not isinstance(text, str | None):
        raise FetchError("failed", "bad-answer", f"its content is a {type(text).__name__}", retryable=True)
    details: dict[str, Any] = {
        "finish": single_line(finish) if isinstance(finish, str) else None,
        "prompt_tokens": counts[0],
        "completion_tokens": counts[1],
        "model": single_line(reply["model"]) if isinstance(reply.get("model"), str) else None,
        "seconds": round(seconds, 3),
    }
    if refusal or finish == "content_filter":
        return Answer("refused", error=single_line(str(refusal or "content filter")), **details)
    if not (cleaned := clean(text or "")):
        return Answer("empty", error="no choices" if not choices else "an empty text", **details)
    return Answer("ok", cleaned, **details)


def count_or_none(value: Any) -> int | None:
    """A count, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
