"""A language model behind a server with OpenAI's chat interface.

The address must be public or allowed by ``knowledge.allow_networks``, as in the download stage; names are checked when
they are resolved. Redirects are not followed: they could lead elsewhere, and the key with them. The key comes from an
environment variable, is sent in one header, and is taken out of every message of the server.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from ita.config import Knowledge
from ita.download.address_guard import GuardedResolver, Networks, check_url, is_allowed, parse_networks
from ita.download.client import error_of_exception
from ita.download.errors import FetchError
from ita.download.store import single_line
from ita.errors import UserError
from ita.knowledge.backends import identity_of
from ita.knowledge.pictures import data_url, load_picture
from ita.knowledge.replies import answer_of, error_of_status
from ita.knowledge.types import Answer, Question, Record
from ita.vision.images import Unreadable

MOST_BYTES = 8 << 20
"""Longest response that is read."""


class ChatBackend:
    """Asks a server, several questions at a time.

    Args:
        settings: of the stage.

    Raises:
        UserError: for an address that must not be asked, or a key that is not there.
    """

    reads_images = True

    def __init__(self, settings: Knowledge) -> None:
        if not settings.model:
            raise UserError("setting knowledge.model: no model is named; give the name that the server knows")
        self.settings = settings
        self.allow = allowed_networks(settings)
        self.url = check_address(settings, self.allow)
        self.key = read_key(settings)
        self.identity = identity_of(settings)
        self.metadata = {**self.identity, "address": settings.address}
        self._resume_at = 0.0

    def ask(self, questions: Sequence[Question], record: Record) -> None:
        """Asks all questions; what ``record`` raises, or a question that shows that none can be answered, ends it."""
        try:
            asyncio.run(self._ask_all(questions, record))
        except* UserError as group:
            raise group.exceptions[0] from None

    async def _ask_all(self, questions: Sequence[Question], record: Record) -> None:
        waiting = iter(questions)
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout)
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self.allow), limit=0)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

        async def work() -> None:
            for question in waiting:
                record(question, await self._ask(session, question))

        async with session, asyncio.TaskGroup() as tasks:
            for _ in range(min(self.settings.concurrency, len(questions))):
                tasks.create_task(work())

    async def _ask(self, session: aiohttp.ClientSession, question: Question) -> Answer:
        """One answer, after as many attempts as it takes and the settings allow."""
        body = await asyncio.to_thread(self.body, question)
        start = time.monotonic()
        for attempt in range(1, self.settings.attempts + 1):
            await asyncio.sleep(max(0.0, self._resume_at - time.monotonic()))
            try:
                sent = time.monotonic()
                return answer_of(await self._request(session, body), time.monotonic() - sent)
            except FetchError as error:
                wait = self._wait(error, attempt)
                if not error.retryable or attempt == self.settings.attempts or wait > self.settings.max_wait:
                    return self._failed(error, attempt, time.monotonic() - start)
                if error.retry_after:
                    self._resume_at = max(self._resume_at, time.monotonic() + wait)  # of all requests
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    def _wait(self, error: FetchError, attempt: int) -> float:
        """Seconds until the next attempt."""
        backoff = self.settings.backoff * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
        return max(backoff, error.retry_after or 0.0)

    def _failed(self, error: FetchError, attempts: int, seconds: float) -> Answer:
        """The answer that an error is.

        Raises:
            UserError: for an error that every question would meet.
        """
        message = single_line(str(error))
        if error.kind == "private-address":
            raise UserError(f"{self.settings.address}: {message}; add it to knowledge.allow_networks if it is yours")
        if error.kind in ("http-401", "http-403", "http-404", "http-405", "redirect", "bad-url"):
            raise UserError(
                f"{self.settings.address}: {message}; check knowledge.address, knowledge.model and the key in the "
                f"environment variable that knowledge.key_variable names ({self.settings.key_variable or 'none'})"
            ) from None
        status = "refused" if error.status == "refused" else "failed"
        return Answer(status, error=f"{message} ({attempts} attempts)", seconds=round(seconds, 3))

    def scrub(self, content: bytes) -> bytes:
        """A response without the key, should the server repeat it."""
        return content.replace(self.key.encode(), b"***") if self.key else content

    async def _request(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> bytes:
        """Body of the response to one request.

        Raises:
            FetchError: for any but a successful one.
        """
        answered = False
        try:
            async with session.post(self.url, json=body, allow_redirects=False) as response:
                answered = True
                content = await response.content.read(MOST_BYTES)
                while len(content) < MOST_BYTES and (chunk := await response.content.read(MOST_BYTES)):
                    content += chunk
                content = self.scrub(content)
                if response.status != 200:
                    raise error_of_status(response.status, response.headers, content)
                return content
        except FetchError:
            raise
        except Exception as exception:
            refusal = fetch_error_in(exception)
            raise refusal or error_of_exception(exception, "the server", answered) from None

    def body(self, question: Question) -> dict[str, Any]:
        """The JSON of a request."""
        content: Any = question.text
        if question.image is not None:
            try:
                picture = data_url(load_picture(question.image, self.settings.max_pixels))
                content = [
                    {"type": "image_url", "image_url": {"url": picture}},
                    {"type": "text", "text": question.text},
                ]
            except Unreadable:
                pass  # asked without it
        system = [{"role": "system", "content": question.system}] if question.system else []
        body = {
            "model": self.settings.model,
            "messages": [*system, {"role": "user", "content": content}],
            "max_tokens": self.settings.max_tokens,
            "temperature": 0,
            **self.settings.request,
        }
        return {name: value for name, value in body.items() if value is not None}


def fetch_error_in(exception: BaseException) -> FetchError | None:
    """The refusal of an address that a library wrapped into an exception of its own."""
    cause: BaseException | None = exception
    while cause is not None:
        if isinstance(cause, FetchError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def allowed_networks(settings: Knowledge) -> Networks:
    """The allow list.

    Raises:
        UserError: for an entry that is no network.
    """
    try:
        return parse_networks(settings.allow_networks)
    except ValueError as error:
        raise UserError(f"setting knowledge.allow_networks: {error}; expected such as 127.0.0.1, 10.1.0.0/16") from None


def check_address(settings: Knowledge, allow: Networks) -> str:
    """The address of the interface.

    Raises:
        UserError: when it must not be asked, or is not safe for a key.
    """
    if "@" in settings.address or "?" in settings.address:
        raise UserError("setting knowledge.address: holds a password or a query; a key belongs into key_variable")
    try:
        url = check_url(f"{settings.address.rstrip('/')}/chat/completions", allow)
    except FetchError as error:
        raise UserError(
            f"setting knowledge.address: {settings.address}: {error}; a server of one's own is allowed by "
            "knowledge.allow_networks: [127.0.0.1]"
        ) from None
    if settings.key_variable and url.scheme == "http" and not is_own(url.raw_host or "", allow):
        raise UserError(
            f"setting knowledge.address: {settings.address} would carry the key unencrypted; use https, or name the "
            "network of the server in knowledge.allow_networks"
        )
    return str(url)


def is_own(host: str, allow: Networks) -> bool:
    """Whether a host is given as an address in an allowed network; a name could be anywhere."""
    try:
        return is_allowed(host, allow)
    except ValueError:
        return host == "localhost" and is_allowed("127.0.0.1", allow)


def read_key(settings: Knowledge) -> str | None:
    """The key, from the environment variable that the settings name.

    Raises:
        UserError: when it is not set, or holds what cannot stand in a header.
    """
    if settings.key_variable is None:
        return None
    key = os.environ.get(settings.key_variable, "").strip()
    if not key:
        raise UserError(
            f"setting knowledge.key_variable: the environment variable {settings.key_variable} is not set; "
            f"type export {settings.key_variable}=... before the command"
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"the environment variable {settings.key_variable} holds characters that no key has")
    return key
