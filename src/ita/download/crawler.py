"""Asking for many images at once: a bounded pool of workers, attempts with back-off, and giving up without network."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from yarl import URL

from ita.config import Download
from ita.download.address_guard import FetchError, networks
from ita.download.client import Budget, Client, Limits
from ita.download.store import Row, Store, clean, new_row, now
from ita.errors import UserError

LOCALLY = (
    "Supply the images locally: set download.source to 'folder' and download.folder to a folder of files named by "
    "image id, or download.source to 'archive' and download.archive to a zip or tar file of them; or set download.url "
    "to a mirror that can be reached, such as https://mirror.example/{image_id}.jpg"
)
THREADS = 4
"""Check and store images: more than one also on one core, as they wait for the disk; few, as each may hold a decoded
image of max_pixels."""


class DownloadTarget(NamedTuple):
    """An image to get: its id and, where it is asked from a server, its URL."""

    image_id: str
    url: str | None


class Job(NamedTuple):
    """An image to ask for, its row so far, and the time it has left."""

    image: DownloadTarget
    row: Row
    budget: Budget


async def download_all(
    images: list[DownloadTarget], options: Download, store: Store, record: Callable[[Row], None], retried: set[str]
) -> None:
    """Asks for all images and hands each finished row to ``record``.

    Raises:
        UserError: for an allow list that cannot be read, and as ``Downloader.run`` does.
    """
    shared = {item.name: getattr(options, item.name) for item in fields(Limits) if item.name != "allow"}
    try:
        limits = Limits(**shared, allow=networks(options.allow_networks))
    except ValueError as error:
        raise UserError(f"download.allow_networks: {error}; expected networks such as 10.1.0.0/16") from None
    with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as threads:
        async with Client(limits) as client:
            await Downloader(options, client, store, threads, record, retried).run(images)


@dataclass
class Downloader:
    """A bounded pool of workers on one event loop.

    As long as no server has answered at all, images that cannot be reached are put off, so that a machine without
    network finds out in seconds; once a server has answered they get their remaining attempts. Images that failed in
    an earlier run (``retried``) do not count towards giving up: their hosts may be gone for good.
    """

    options: Download
    client: Client
    store: Store
    threads: ThreadPoolExecutor
    record: Callable[[Row], None]
    retried: set[str]
    put_off: list[Job] = field(default_factory=list)
    lost: Counter[str | None] = field(default_factory=Counter)

    async def run(self, images: list[DownloadTarget]) -> None:
        """Finishes every image. Raises UserError when the first ``give_up_after`` of them reach no server."""
        seconds = self.options.total_timeout
        await self.pool(Job(image, new_row(image.image_id, image.url), Budget(seconds)) for image in images)
        again, self.put_off = self.put_off, []
        if self.client.reached:
            await self.pool(again)
        else:
            for job in again:
                self.record(job.row)

    async def pool(self, jobs: Iterable[Job]) -> None:
        """Works jobs off with ``connections`` workers."""
        queue = iter(jobs)

        async def worker() -> None:
            for job in queue:  # shared: each job goes to whoever is free
                if await self.ask(job):
                    self.record(job.row)

        workers = [asyncio.create_task(worker()) for _ in range(self.options.connections)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def ask(self, job: Job) -> bool:
        """Fills in the row of one image; False when it is put off."""
        image, row, budget = job
        if image.url is None:
            row.update(status="missing", error="no-url: the data names none and download.url is not set")
            return True
        for attempt in range(row["attempts"] + 1, self.options.attempts + 1):
            row.update(attempts=attempt, fetched_at=now())
            failure = await self.attempt(image.url, row, budget)
            if failure is None:
                break
            unreached = failure.connection and not self.client.reached
            if unreached:
                self.count_lost(image, failure)
            if not failure.retry or attempt == self.options.attempts:
                break
            if unreached:
                self.put_off.append(job)
                return False
            wait = self.options.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            wait = max(wait, failure.retry_after or 0.0)
            if wait > budget.left:
                break  # asking earlier than told is impolite, waiting that long would stall the run
            with budget.running():
                await asyncio.sleep(wait)
        return True

    async def attempt(self, url: str, row: Row, budget: Budget) -> FetchError | None:
        """One request: the row says what came of it, the return value why it failed."""
        try:
            row["http_status"], data = await self.client.get(url, budget)
            row.update(await asyncio.get_running_loop().run_in_executor(self.threads, self.store.keep, data))
        except UserError:
            raise
        except FetchError as failure:
            row.update(status=failure.status, error=clean(str(failure)))
            row["http_status"] = failure.http_status or row["http_status"]
            return failure
        except Exception as error:  # nothing about one image may stop the others
            row.update(status="failed", error=clean(f"unexpected: {type(error).__name__}: {error}"))
        return None

    def count_lost(self, image: DownloadTarget, failure: FetchError) -> None:
        """Gives up when too many images in a row have reached no server, and none ever did."""
        if image.image_id in self.retried:
            return
        self.lost[URL(image.url or "").host] += 1
        if self.lost.total() == self.options.give_up_after:
            hosts = ", ".join(str(host) for host, _ in self.lost.most_common(3))
            raise UserError(
                f"no server answered: the first {self.lost.total()} images all failed to reach {hosts} ({failure}). "
                f"{LOCALLY}"
            )
