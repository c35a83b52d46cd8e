"""A process of the service: the model, the routes, uvicorn."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ita.log import configure_log, log
from ita.serving.options import ServeOptions
from ita.tagging.tagger import Precision, Quantization, View

if TYPE_CHECKING:
    from ita.serving.service import Service

BACKLOG = 2048
URL_SHARE = 0.5
"""Share of a request's seconds in which its images have to be fetched."""


@dataclass(frozen=True)
class ModelChoice:
    """Which model is served, and how."""

    model: str
    revision: str | None = None
    device: str = "auto"
    precision: Precision = "fp32"
    quantize: Quantization | None = None
    risk: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    view: View = "auto"
    log_level: str = "info"


def serve(choice: ModelChoice, options: ServeOptions, listener: socket.socket, ready: Callable[[], object]) -> None:
    """Loads the model and answers until SIGTERM or SIGINT.

    Args:
        choice: the model.
        options: limits.
        listener: bound socket.
        ready: called when requests are answered.

    Raises:
        UserError: for a model that cannot be loaded.
    """
    from ita.serving.app import build_app
    from ita.serving.guard import Guard
    from ita.serving.memory import limit_shape_caches

    limit_shape_caches()
    configure_log(None)
    logging.getLogger().setLevel(choice.log_level.upper())
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if choice.log_level != "debug" else logging.DEBUG)
    raise_open_files()
    service = load(choice, options)
    # uvicorn answers what has come, then raises the signal again: that is no reason to end otherwise than well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    asyncio.run(run(Guard(build_app(service), options), options, listener, ready))
    if service.is_working:
        # What was given up is still worked on by a thread, which no process may end beneath.
        logging.shutdown()
        os._exit(0)


def load(choice: ModelChoice, options: ServeOptions) -> Service:
    """The model, ready to answer."""
    import torch

    from ita.download.verify import set_pixel_limit
    from ita.serving.service import Service
    from ita.tagging.tagger import Tagger

    if options.threads or options.workers > 1:
        torch.set_num_threads(options.threads or max(1, torch.get_num_threads() // options.workers))
    settings = with_limits(choice.settings, options)
    # No path of this machine is ever read for a client: an image is uploaded, or fetched by the guarded client.
    tagger = Tagger.from_pretrained(
        choice.model,
        revision=choice.revision,
        device=choice.device,
        settings=settings,
        image_folder=None,
        precision=choice.precision,
        quantize=choice.quantize,
        risk=choice.risk,
    )
    set_pixel_limit(options.max_pixels)
    service = Service(tagger, options, choice.name or model_name(tagger.record, tagger.folder.name), choice.view)
    tagger.predict(["a"])  # what is loaded at the first post is not loaded at the first client's
    return service


def with_limits(settings: Mapping[str, Any], options: ServeOptions) -> dict[str, Any]:
    """Settings whose downloads keep to the limits of the service, as they do to their own."""
    seconds = URL_SHARE * options.request_seconds
    limits = {"max_bytes": options.max_image_bytes, "max_pixels": options.max_pixels, "total_timeout": seconds}
    download = dict(settings.get("download", {}))
    for name, limit in limits.items():
        download[name] = min(download.get(name, limit), limit)
    return {**settings, "download": download}


def model_name(record: Mapping[str, Any], folder: str) -> str:
    """Data set, encoder and system of the run, else the name of its folder."""
    run = record.get("run") or record.get("settings", {}).get("run") or {}
    parts = [str(run[part]) for part in ("dataset", "encoder", "system") if run.get(part)]
    return "-".join(parts) or folder


async def run(app: Any, options: ServeOptions, listener: socket.socket, ready: Callable[[], object]) -> None:
    """Answers requests until a signal comes, then those that have come."""
    import uvicorn

    from ita.serving.connections import Connection, ConnectionLimits
    from ita.serving.memory import trim_regularly

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=max(1, int(options.header_seconds)),
        timeout_graceful_shutdown=max(1, int(options.stop_seconds)),
    )
    server = uvicorn.Server(config)
    limits = ConnectionLimits(server.server_state.connections, options)
    tasks = [asyncio.ensure_future(task) for task in (limits.run(), trim_regularly(), announce(server, ready))]
    await server.serve([listener])
    for task in tasks:
        task.cancel()
    log.info("serve: process %d has answered everything and ends", os.getpid())


async def announce(server: Any, ready: Callable[[], object]) -> None:
    """Says when requests are answered."""
    while not server.started:
        await asyncio.sleep(0.01)
    ready()


def raise_open_files() -> None:
    """Allows as many open files, and so connections, as the system does."""
    with suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
