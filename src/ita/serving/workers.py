"""Several processes behind one address; one that dies is started again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from types import FrameType

from ita.errors import UserError
from ita.log import configure_log, log
from ita.serving.options import ServeOptions
from ita.serving.server import ModelChoice, serve

POLL_SECONDS = 0.1
PAUSE_SECONDS = 1.0
"""Before a process is started that died before it was ready; doubled each time up to the next."""
LONGEST_PAUSE = 30.0
FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def work(choice: ModelChoice, options: ServeOptions, listener: socket.socket, ready: Event) -> None:
    """The life of a process."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        serve(choice, options, listener, ready.set)
    except (UserError, OSError) as error:
        configure_log(None)
        log.error("serve: %s", error)
        raise SystemExit(1) from None


def end_with_parent() -> None:
    """Ends this process gracefully when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


class Workers:
    """The processes, each with a model of its own.

    Args:
        choice: the model.
        options: limits; ``workers`` is their number.
        listener: bound socket, from which all accept.
    """

    def __init__(self, choice: ModelChoice, options: ServeOptions, listener: socket.socket) -> None:
        self.choice, self.options, self.listener = choice, options, listener
        self.context = multiprocessing.get_context("spawn")
        self.processes: dict[BaseProcess, Event] = {}
        self.stopping = False
        self.was_ready = False
        self.pause = PAUSE_SECONDS

    def run(self, ready: Callable[[], object]) -> None:
        """Keeps the processes running until SIGTERM or SIGINT, then waits for their last answers.

        Args:
            ready: called when all answer for the first time.

        Raises:
            UserError: when none of them can start.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with tempfile.TemporaryDirectory(prefix="ita-metrics-") as folder:
            os.environ[FOLDER] = folder
            for _ in range(self.options.workers):
                self._start()
            try:
                while not self.stopping:
                    self._watch(ready)
            finally:
                self._end()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _start(self) -> None:
        try:
            ready = self.context.Event()
        except OSError as error:
            raise UserError(f"shared memory cannot be used ({error}): mount /dev/shm, or leave --workers out") from None
        process = self.context.Process(target=work, args=(self.choice, self.options, self.listener, ready))
        process.start()
        self.processes[process] = ready

    def _watch(self, ready: Callable[[], object]) -> None:
        """Waits a moment, and starts again what has died."""
        connection.wait([process.sentinel for process in self.processes], timeout=POLL_SECONDS)
        if not self.was_ready and all(event.is_set() for event in self.processes.values()):
            self.was_ready = True
            ready()
        for process in [process for process in self.processes if not process.is_alive()]:
            if not self.stopping:
                self._replace(process)

    def _replace(self, process: BaseProcess) -> None:
        from ita.serving.metrics import forget_process

        started = self.processes.pop(process).is_set()
        if process.pid is not None:
            forget_process(process.pid)
        if not started and not self.was_ready:
            raise UserError("a process could not start, for the reason above")
        log.error("serve: process %s died (exit code %s); another one starts", process.pid, process.exitcode)
        self.pause = PAUSE_SECONDS if started else min(2 * self.pause, LONGEST_PAUSE)
        until = time.monotonic() + (0 if started else self.pause)
        while time.monotonic() < until and not self.stopping:
            time.sleep(POLL_SECONDS)
        if not self.stopping:
            self._start()

    def _end(self) -> None:
        """Ends all processes: gracefully, and those that do not end in time by force."""
        self.listener.close()
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        until = time.monotonic() + self.options.stop_seconds + 2
        for process in self.processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
