"""Posts per second and memory of the stage knowledge, asking a server on this machine that answers after a set time.

    python benchmarks/knowledge.py --posts 10000 --concurrency 64 --seconds 0.5

The server is a process of its own. Prints what the stage took, beside the shortest time possible (posts x seconds /
concurrency), its CPU time and peak memory, and what a rerun takes, which asks nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from ita.io import parquet
from ita.stages import knowledge

ANSWER = "Anna Meyer (politician), Ulm (town). The picture shows a person behind a desk with a flag. " * 2


def serve(port: Any, seconds: float) -> None:
    """Answers every request after some seconds; the port is told by a connection."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(seconds)
        choice = {"message": {"content": ANSWER}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 900, "completion_tokens": 40}
        return web.json_response({"model": "made", "choices": [choice], "usage": usage})

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


def write_tables(folder: Path, posts: int) -> None:
    """Posts of 16 words, with a caption each."""
    rows = [
        {
            "post_id": str(number),
            "split": "train",
            "image_id": str(number),
            "tokens": [f"word{number + word}" for word in range(16)],
            "tags": ["O"] * 16,
        }
        for number in range(posts)
    ]
    parquet.write("posts", rows, folder / "posts.parquet")
    captions = [
        {"image_id": str(number), "rank": 0, "caption": f"a man in front of house {number}"} for number in range(posts)
    ]
    parquet.write("captions", captions, folder / "captions.parquet")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5, help="that the server takes for an answer")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, options.seconds), daemon=True)
    server.start()
    settings = {
        "model": "made",
        "address": f"http://127.0.0.1:{here.recv()}/v1",
        "allow_networks": ["127.0.0.1"],
        "concurrency": options.concurrency,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder, options.posts)
        for what in ("asking", "again"):
            start, cpu = time.monotonic(), time.process_time()
            knowledge.work(
                {"knowledge": settings},
                folder / "out.parquet",
                folder / "posts.parquet",
                captions=folder / "captions.parquet",
            )
            seconds, cpu = time.monotonic() - start, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            least = options.posts * options.seconds / options.concurrency if what == "asking" else 0.0
            print(
                f"{what}: {options.posts / seconds:.0f} posts/s ({seconds:.1f} s, at least {least:.1f} s), "
                f"{1e3 * cpu / options.posts:.2f} ms of CPU a post, peak {peak:.0f} MB"
            )
    server.kill()


if __name__ == "__main__":
    main()
