"""Downloads many images at a time: a bounded pool of workers, retries with back-off, and giving up without network."""

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
from ita.download.address_guard import parse_networks
from ita.download.client import Client, Limits, TimeBudget
from ita.download.errors import FetchError
from ita.download.store import ImageStore, Row, new_row, single_line, utc_now
from ita.errors import UserError

OFFLINE_ADVICE = (
    "Supply the images locally: set download.source to 'folder' and download.folder to a folder of files named by "
    "image id, or download.source to 'archive' and download.archive to a zip or tar file of them; or set download.url "
    "to a mirror that can be reached, such as https://mirror.example/{image_id}.jpg"
)
THREADS = 4
"""Threads that verify and store images: more than one even on one core, as they wait for the disk; few, as each may
hold a decoded image of max_pixels."""


class DownloadTarget(NamedTuple):
    """An image to get: its id and, where it is requested from a server, its URL."""

    image_id: str
    url: str | None


class Job(NamedTuple):
    """An image to request, its row so far, and the time that remains for it."""

    target: DownloadTarget
    row: Row
    budget: TimeBudget


def limits_of(options: Download) -> Limits:
    """The client's limits from the settings. Raises UserError for an allow list that cannot be read."""
    shared = {item.name: getattr(options, item.name) for item in fields(Limits) if item.name != "allow"}
    try:
        return Limits(**shared, allow=parse_networks(options.allow_networks))
    except ValueError as error:
        raise UserError(f"download.allow_networks: {error}; expected networks such as 10.1.0.0/16") from None


async def download_all(
    targets: list[DownloadTarget],
    options: Download,
    store: ImageStore,
    record: Callable[[Row], None],
    retried: set[str],
) -> None:
    """Requests all images and hands each finished row to ``record``.

    Args:
        targets: the images.
        options: settings of the stage.
        store: takes the bytes.
        record: takes the rows, in the order in which they finish.
        retried: ids of images that failed in an earlier run.

    Raises:
        UserError: for an allow list that cannot be read, and as ``Downloader.run`` does.
    """
    limits = limits_of(options)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as threads:
        async with Client(limits) as client:
            await Downloader(options, client, store, threads, record, retried).run(targets)


@dataclass
class Downloader:
    """A bounded pool of workers on one event loop.

    As long as no server has answered at all, images that cannot be reached are deferred, so that a machine without
    network finds out in seconds; once a server has answered they get their remaining attempts. Images that failed in
    an earlier run (``retried``) do not count towards giving up: their hosts may be gone for good.

    Attributes:
        deferred: images that wait for the first answer of any server.
        unreachable: host -> its images that reached no server.
    """

    options: Download
    client: Client
    store: ImageStore
    threads: ThreadPoolExecutor
    record: Callable[[Row], None]
    retried: set[str]
    deferred: list[Job] = field(default_factory=list)
    unreachable: Counter[str | None] = field(default_factory=Counter)

    async def run(self, targets: list[DownloadTarget]) -> None:
        """Finishes every image. Raises UserError when the first ``give_up_after`` of them reach no server."""
        seconds = self.options.total_timeout
        await self.work_off(
            Job(target, new_row(target.image_id, target.url), TimeBudget(seconds)) for target in targets
        )
        deferred, self.deferred = self.deferred, []
        if self.client.reached:
            await self.work_off(deferred)
        else:
            for job in deferred:
                self.record(job.row)

    async def work_off(self, jobs: Iterable[Job]) -> None:
        """Does jobs with ``connections`` workers."""
        queue = iter(jobs)

        async def worker() -> None:
            for job in queue:  # shared by the workers: each job goes to whoever is free
                if await self.download(job):
                    self.record(job.row)

        workers = [asyncio.create_task(worker()) for _ in range(self.options.connections)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def download(self, job: Job) -> bool:
        """Makes the attempts for one image and fills in its row; False when it is deferred."""
        target, row, budget = job
        if target.url is None:
            row.update(status="missing", error="no-url: the data names none and download.url is not set")
            return True
        for attempt in range(row["attempts"] + 1, self.options.attempts + 1):
            row.update(attempts=attempt, fetched_at=utc_now())
            error = await self.attempt(target.url, row, budget)
            if error is None:
                break
            offline = error.unreachable and not self.client.reached
            if offline:
                self.count_unreachable(target, error)
            if not error.retryable or attempt == self.options.attempts:
                break
            if offline:
                self.deferred.append(job)
                return False
            if not await self.back_off(attempt, error.retry_after, budget):
                break
        return True

    async def attempt(self, url: str, row: Row, budget: TimeBudget) -> FetchError | None:
        """One attempt: the row says what became of it, the return value why no body arrived."""
        try:
            row["http_status"], data = await self.client.get(url, budget)
            row.update(await asyncio.get_running_loop().run_in_executor(self.threads, self.store.add, data))
        except UserError:
            raise
        except FetchError as error:
            row.update(status=error.status, error=single_line(str(error)))
            row["http_status"] = error.http_status or row["http_status"]
            return error
        except Exception as error:  # nothing about one image may stop the others
            row.update(status="failed", error=single_line(f"unexpected: {type(error).__name__}: {error}"))
        return None

    async def back_off(self, attempt: int, retry_after: float | None, budget: TimeBudget) -> bool:
        """Waits before the next attempt, exponentially with jitter; False when too little time remains for it."""
        wait = self.options.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
        wait = max(wait, retry_after or 0.0)
        if wait > budget.remaining:
            return False  # a request before Retry-After is impolite, waiting that long would stall the run
        with budget.spend():
            await asyncio.sleep(wait)
        return True

    def count_unreachable(self, target: DownloadTarget, error: FetchError) -> None:
        """Raises UserError when ``give_up_after`` images have reached no server and none has ever answered."""
        if target.image_id in self.retried:
            return
        self.unreachable[URL(target.url or "").host] += 1
        count = self.unreachable.total()
        if count == self.options.give_up_after:
            hosts = ", ".join(str(host) for host, _ in self.unreachable.most_common(3))
            raise UserError(
                f"no server answered: the first {count} images all failed to reach {hosts} ({error}). {OFFLINE_ADVICE}"
            )
