"""Images per second and memory of the download stage on loopback, beside a plain loop over ``urllib``.

A server in a process of its own sends JPEG files of noise, each with its own number in a comment, so that no two are
the same. The stage fetches, decodes, hashes and stores them and writes images.parquet; the loop reads each URL and
writes it to a file, and decodes it with Pillow or not. Each program runs in a process of its own::

    python benchmarks/download.py --images 1000 10000
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).resolve())


def serve(width: int, height: int, delay: float) -> None:
    """Answers /N with the N-th image until the process is ended; prints the port."""
    import asyncio

    from aiohttp import web
    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((width // 4, height // 4), 60).resize((width, height)).convert("RGB").save(
        out, "JPEG", quality=90
    )
    start, rest = out.getvalue()[:2], out.getvalue()[2:]

    async def image(request: web.Request) -> web.Response:
        await asyncio.sleep(delay)
        comment = request.path.encode()
        head = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        return web.Response(body=start + head + rest, content_type="image/jpeg")

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/{name}", image)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], len(start + rest), flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def stage(base: str, count: int, folder: Path, connections: int) -> None:
    """The download stage over the first ``count`` images."""
    from ita.io import parquet
    from ita.stages import download

    options = {"url": base + "/{image_id}", "allow_networks": ["127.0.0.1"]}
    options |= {"connections": connections, "per_host": connections}
    download.work({"download": options}, folder / "images.parquet", folder / "posts.parquet", folder / "images")
    statuses = parquet.read("images", folder / "images.parquet")["status"].to_pylist()
    if statuses != ["ok"] * count:
        raise SystemExit(f"only {statuses.count('ok')} of {count} images arrived")


def loop(base: str, count: int, folder: Path, decode: bool) -> None:
    """A plain loop, without any care."""
    from PIL import Image

    for n in range(count):
        data = urllib.request.urlopen(f"{base}/{n}").read()
        if decode:
            Image.open(io.BytesIO(data)).load()
        (folder / f"{n}.jpg").write_bytes(data)


def measure(program: str, base: str, count: int, connections: int) -> dict[str, float]:
    """Runs a program in a process of its own: seconds of its work, of CPU with start-up, and peak memory."""
    from ita.io import parquet  # not above: the loop goes without

    with tempfile.TemporaryDirectory() as folder:
        post = {"split": "train", "tokens": ["a"], "tags": ["O"], "repaired": 0}
        posts = ({"post_id": str(n), "image_id": str(n), **post} for n in range(count))
        parquet.write("posts", posts, Path(folder) / "posts.parquet")
        command = [sys.executable, HERE, "--run", program, base, str(count), folder, str(connections)]
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        return dict(zip(("seconds", "cpu_seconds", "peak_mb"), map(float, output.split()), strict=True))


def peak_mb() -> float:
    """Peak memory of this process in MB. Not ``ru_maxrss``, which begins with that of the process that started it."""
    return float(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def compare(counts: list[int], sample: int, size: tuple[int, int], delay: float, connections: int) -> dict[str, Any]:
    """All programs against one server; prints a line for each and returns the figures."""
    command = [sys.executable, HERE, "--serve", *map(str, size), str(delay)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port, length = server.stdout.readline().split()
        base = f"http://127.0.0.1:{port}"
        print(f"\n{size[0]}x{size[1]}, {int(length) / 1000:.0f} kB, answered after {1000 * delay:.0f} ms")
        figures: dict[str, Any] = {"bytes": int(length), "delay": delay}
        baseline = 0.0
        for program, count in [("loop", sample), ("loop+decode", sample), *(("stage", count) for count in counts)]:
            result = measure(program, base, count, connections)
            rate = count / result["seconds"]
            baseline = baseline or rate
            figures[f"{program} {count}"] = {**result, "images_per_second": rate, "cost": baseline / rate}
            print(
                f"{program:12} {count:6} images {rate:8.1f} images/s {baseline / rate:6.2f} x the time of the loop"
                f" {1000 * result['cpu_seconds'] / count:7.2f} ms CPU each {result['peak_mb']:7.1f} MB peak",
                flush=True,
            )
        if len(counts) > 1:
            fewest, most = counts[0], counts[-1]
            growth = figures[f"stage {most}"]["peak_mb"] - figures[f"stage {fewest}"]["peak_mb"]
            each = 1024 * growth / (most - fewest)
            print(f"peak memory grows by {growth:.1f} MB, {each:.2f} KiB for each further image")
        return figures
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Prints a table, and JSON with ``--json``."""
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    if sys.argv[1:2] == ["--run"]:
        program, base, count, folder, connections = sys.argv[2:]
        start = time.monotonic()
        if program == "stage":
            stage(base, int(count), Path(folder), int(connections))
        else:
            loop(base, int(count), Path(folder), program == "loop+decode")
        print(time.monotonic() - start, time.process_time(), peak_mb())
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000], help="runs of the stage: images")
    parser.add_argument("--loop", type=int, default=1000, help="images of the loop")
    parser.add_argument("--size", type=int, nargs=2, default=[600, 400], help="width and height in pixels")
    parser.add_argument("--delay", type=float, nargs="+", default=[0.0, 0.05], help="seconds before each answer")
    parser.add_argument("--connections", type=int, default=16, help="requests in flight")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    figures = [
        compare(options.images, options.loop, tuple(options.size), delay, options.connections)
        for delay in options.delay
    ]
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
