"""Processes that fit on request, ended when their time is up; the peak memory of a fit."""

import ctypes
import gc
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.problems import PROBLEMS, Facts, facts_of
from benchmarks.trainers import Answer, Request, answer, partial_fit, warm_up

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
FITTED = "fitted"
SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """A process that answers requests, such as `fitter` or a benchmark of its own makes them.

    `serve` gets a connection and the arguments. It sends the facts of its data, and for each
    request `FITTED` when the clock has stopped, then an answer; or an answer alone. `failed` makes
    an answer of the news that the process died.
    """

    def __init__(self, serve: Callable[..., None], *arguments: Any, failed: Callable[[str], Any]):
        self._serve, self._arguments, self._failed = serve, arguments, failed
        self._process: Any = None
        self._connection: Connection | None = None
        self.facts: Any

    def start(self) -> None:
        """Start the process and let it load the data."""
        self._connection, far = SPAWN.Pipe()
        self._process = SPAWN.Process(target=self._serve, args=(far, *self._arguments), daemon=True)
        self._process.start()
        far.close()
        self.facts = self._connection.recv()

    def ask(self, request: Any, limit: float) -> Any:
        """The answer, or None if fitting took longer than `limit` seconds."""
        if self._process is None:
            self.start()
        assert self._connection is not None
        self._connection.send(request)
        if not self._connection.poll(limit):
            self.close()
            return None
        try:
            first = self._connection.recv()
            return self._connection.recv() if first == FITTED else first
        except EOFError:
            self.close()
            return self._failed("the process died, perhaps of too little memory")

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = None


def fitter(problem: str, variant: str) -> Worker:
    """A process that holds one problem's data; requests and answers are those of `trainers`."""
    return Worker(_serve, problem, variant, failed=lambda what: Answer([], failure=what))


def _serve(connection: Connection, problem: str, variant: str) -> None:
    data = PROBLEMS[problem].load(variant)
    connection.send(facts_of(data))
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            reply = answer(request, data, lambda: connection.send(FITTED))
        except Exception as error:  # a peer may fail as it likes: that is its result
            reply = Answer([], failure=f"{type(error).__name__}: {error}")
        connection.send(reply)
        gc.collect()


def peak_memory(problem: str, variant: str, C: float, threads: int) -> tuple[int, Facts] | None:
    """Bytes at the peak of luce's fit above those before it, X in memory; in a fresh process."""
    if not CLEAR.exists():
        return None
    connection, far = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_measure, args=(far, problem, variant, C, threads), daemon=True)
    process.start()
    far.close()
    try:
        return connection.recv()
    except EOFError:
        return None
    finally:
        process.join()


def _measure(connection: Connection, problem: str, variant: str, C: float, threads: int) -> None:
    import luce

    data = PROBLEMS[problem].load(variant)
    with luce.threads(threads):
        warm_up("luce", threads)
        fit = partial_fit(Request("luce", C, 1e-6, threads), data)
        before = settled_memory()
        fit()
    connection.send((peak_since_settled() - before, facts_of(data)))


def settled_memory() -> int:
    """Give back what is free, forget the peak so far, and tell the bytes in memory."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
        time.sleep(0.05)  # threads that wait actively fall asleep
        CLEAR.write_text("5")  # the peak becomes what is in memory now
    return _status("VmRSS")


def peak_since_settled() -> int:
    """The most bytes that were in memory since then."""
    if STATUS.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(field: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {field} in {STATUS}")
