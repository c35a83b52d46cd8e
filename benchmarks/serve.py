"""Load on a running service, from a process of its own: every answer is checked, none may be lost.

    ita serve MODEL --port 8000 &
    python benchmarks/serve.py MODEL --pid $! --texts posts.txt --clients 1 8 64 --minutes 10

The expected answers are those of ``ita.Tagger`` in this process. Each of N clients has one connection and sends the
next post when it has its answer; with ``--images FOLDER`` one request in ``--every`` uploads a picture. Prints a line
for each number of clients: answers, requests/s, p50 and p99 in milliseconds, the processor time of the service for an
answer, which a busy machine changes little, and its resident memory at the start and after each tenth of the time.
``--connections N`` also holds N idle connections open meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

SCORE_TOLERANCE = 0.002
"""Scores depend in their last digits on the posts beside them."""


class Load:
    """What is sent, what is expected, what arrived."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.texts = [line for line in options.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
        suffixes = {".png", ".jpg", ".jpeg", ".webp"}
        self.images: list[bytes] = []
        if options.images:
            files = sorted(path for path in options.images.iterdir() if path.suffix.lower() in suffixes)
            self.images = [path.read_bytes() for path in files[: options.most_images]]
        self.expected: dict[tuple[int, int | None], Any] = {}
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.seconds: dict[str, list[float]] = {"text": [], "picture": []}

    def expect(self) -> None:
        """Makes the expected answers."""
        from ita import Tagger

        tagger = Tagger.from_pretrained(self.options.model)
        keys: list[tuple[int, int | None]] = [(text, None) for text in range(len(self.texts))]
        # One text for each image: all pairs would take too long.
        keys += [(image % len(self.texts), image) for image in range(len(self.images))]
        posts = [
            {"text": self.texts[text], "image": None if image is None else self.images[image]} for text, image in keys
        ]
        for key, answer in zip(keys, tagger.predict(posts), strict=True):
            self.expected[key] = answer.to_dict()

    def check(self, key: tuple[int, int | None], answer: Any) -> None:
        """Compares an answer."""
        expected = self.expected[key]
        same = answer["text"] == expected["text"] and answer["view"] == expected["view"]
        same = same and len(answer["entities"]) == len(expected["entities"])
        for found, wanted in zip(answer["entities"], expected["entities"], strict=False):
            same = same and {**found, "score": 0} == {**wanted, "score": 0}
            same = same and abs(found["score"] - wanted["score"]) <= SCORE_TOLERANCE
        if not same:
            self.wrong.append(f"{key}: {answer} instead of {expected}")

    async def client(self, session: aiohttp.ClientSession, number: int, until: float) -> None:
        """Sends posts one after another."""
        draw = random.Random(number)
        while time.monotonic() < until:
            pictured = bool(self.images) and draw.randrange(self.options.every) == 0
            image = draw.randrange(len(self.images)) if pictured else None
            text = draw.randrange(len(self.texts)) if image is None else image % len(self.texts)
            start = time.monotonic()
            status, answer = await self.send(session, text, image)
            self.statuses[status] += 1
            if status == 200:
                self.seconds["text" if image is None else "picture"].append(time.monotonic() - start)
                self.check((text, image), answer["posts"][0])
            elif status == 429:
                await asyncio.sleep(0.2)

    async def send(self, session: aiohttp.ClientSession, text: int, image: int | None) -> tuple[int, Any]:
        """One request: status, 0 for a lost one, and answer."""
        address = self.options.address
        try:
            if image is None:
                request = session.post(f"{address}/v1/tag", json={"text": self.texts[text]})
            else:
                form = aiohttp.FormData({"text": self.texts[text]})
                form.add_field("image", self.images[image], filename="image")
                request = session.post(f"{address}/v1/upload", data=form)
            async with request as response:
                return response.status, await response.json()
        except (aiohttp.ClientError, OSError) as error:
            self.wrong.append(f"lost: {error!r}")
            return 0, None


def processes(pid: int) -> list[Any]:
    """A process and its children."""
    import psutil

    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def resident(pid: int) -> float:
    """Resident memory of a service in MB."""
    return float(sum(process.memory_info().rss for process in processes(pid)) / 1e6)


def cpu_seconds(pid: int) -> float:
    """Processor time that a service has taken."""
    return float(sum(process.cpu_times().user + process.cpu_times().system for process in processes(pid)))


def quantile(values: list[float], share: float) -> float:
    """A quantile in milliseconds."""
    return 1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


async def hold(address: str, count: int) -> list[asyncio.StreamWriter]:
    """Idle connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    place = urlsplit(address)
    return [(await asyncio.open_connection(place.hostname, place.port))[1] for _ in range(count)]


async def round_of(options: argparse.Namespace, load: Load, clients: int) -> dict[str, Any]:
    """Load by a number of clients for some minutes."""
    load.statuses, load.seconds = Counter(), {"text": [], "picture": []}
    start = time.monotonic()
    until = start + 60 * options.minutes
    memory = [resident(options.pid)] if options.pid else []
    cpu = cpu_seconds(options.pid) if options.pid else 0.0
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        idle = await hold(options.address, options.connections)
        tasks = [asyncio.ensure_future(load.client(session, number, until)) for number in range(clients)]
        while options.pid and time.monotonic() < until:
            await asyncio.sleep(min(60 * options.minutes / 10, max(0.1, until - time.monotonic())))
            memory.append(resident(options.pid))
        await asyncio.gather(*tasks)
        for writer in idle:
            writer.close()
    seconds = time.monotonic() - start
    timings = {
        f"{kind}_{name}_ms": round(quantile(values, share), 1)
        for kind, values in load.seconds.items()
        if values
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
    return {
        "clients": clients,
        "seconds": round(seconds, 1),
        "answers": load.statuses[200],
        "statuses": dict(load.statuses),
        "requests_per_second": round(load.statuses[200] / seconds, 1),
        **timings,
        "cpu_ms_per_answer": round(1000 * (cpu_seconds(options.pid) - cpu) / max(load.statuses[200], 1), 1)
        if options.pid
        else None,
        "resident_mb": [round(value) for value in memory],
        "wrong_or_lost": len(load.wrong),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the run folder that is served")
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    parser.add_argument("--pid", type=int, help="of the service, to measure its memory")
    parser.add_argument("--texts", type=Path, required=True, help="a post a line")
    parser.add_argument("--images", type=Path, help="folder of pictures")
    parser.add_argument("--most-images", type=int, default=20, help="pictures that are used")
    parser.add_argument("--every", type=int, default=10, help="one request in so many has a picture")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--minutes", type=float, default=10.0, help="for each number of clients")
    parser.add_argument("--connections", type=int, default=0, help="idle connections that are held open meanwhile")
    options = parser.parse_args()
    load = Load(options)
    load.expect()
    for clients in options.clients:
        print(json.dumps(asyncio.run(round_of(options, load, clients))), flush=True)
    for line in load.wrong[:10]:
        print(line)
    raise SystemExit(bool(load.wrong))


if __name__ == "__main__":
    main()
