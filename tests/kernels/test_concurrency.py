"""Many threads at once, forks, interrupts, and memory over many calls."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import luce

pytestmark = pytest.mark.one_isa  # threads, forks and calls are the same code under all

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
STATM = Path("/proc/self/statm")

# Small, long, wide and tall: some of them large enough to be shared among threads.
SHAPES = [(1, 10), (5000, 10), (3, 200_000), (300, 1000), (40, 3, 50)]
FUNCTIONS = [
    luce.softmax,
    luce.log_softmax,
    luce.logsumexp,
    luce.argmax,
    luce.hardmax,
    lambda scores, axis: luce.topk(scores, min(5, scores.shape[-1]))[1],
    lambda scores, axis: luce.Softmax(axis=axis).vjp(luce.softmax(scores, axis), scores),
    lambda scores, axis: luce.logsumexp(scores, axis, weights=scores, return_sign=True)[0],
    lambda scores, axis: luce.softmax(np.array(scores), axis, temperature=0.5, out=None),
    lambda scores, axis: luce.softmax(scores.astype(np.float16), axis),
    lambda scores, axis: luce.cross_entropy_gradient(
        scores.reshape(len(scores), -1), np.arange(len(scores)) % scores[0].size
    )[1],
]


def scores_of(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_many_python_threads_at_once(threads):
    tasks = [
        (function, scores_of(shape, seed), axis)
        for seed, shape in enumerate(SHAPES)
        for function in FUNCTIONS
        for axis in (0, -1)
    ]
    with luce.threads(1):
        expected = [function(scores, axis) for function, scores, axis in tasks]
    start = threading.Barrier(6)

    def work(seed):
        start.wait()
        with luce.threads(threads):
            for i in np.random.default_rng(seed).permutation(len(tasks)):
                function, scores, axis = tasks[i]
                np.testing.assert_array_equal(function(scores, axis), expected[i])
        return seed

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == list(range(6))


@contextmanager
def running(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


FORKS = """
import os, signal, sys, threading
import numpy as np
import luce

scores = np.random.default_rng(1).standard_normal((2000, 500)).astype(np.float32)
threads, busy = int(sys.argv[1]), sys.argv[2] == "busy"
stop = threading.Event()

def compute(n):
    with luce.threads(n):
        return [luce.softmax(scores), luce.softmax(scores, 0), luce.argmax(scores)]

def same(n):
    return all(np.array_equal(a, b) for a, b in zip(compute(n), expected))

def go_on():
    while not stop.is_set():
        compute(threads)

expected = compute(threads)
others = [threading.Thread(target=go_on) for _ in range(2 if busy else 0)]
for other in others:
    other.start()
children = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is killed
        right = same(1) and same(threads)
        grandchild = os.fork()
        if grandchild == 0:
            signal.alarm(20)
            os._exit(0 if same(threads) else 4)
        right = right and os.waitpid(grandchild, 0)[1] == 0
        os._exit(0 if right else 3)
    children.append(child)
    assert same(threads)
codes = [os.waitpid(child, 0)[1] for child in children]
stop.set()
for other in others:
    other.join()
assert same(threads)
print(codes)
"""


@POSIX
@pytest.mark.parametrize("parent", ["idle", "busy"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_children_after_a_fork_compute(threads, parent):
    with running(FORKS, threads, parent) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip()) == (0, "[0, 0, 0, 0, 0]"), err


# Calls that take several times as long as an interrupt may: many rows that are one row in memory,
# whose results take memory as they go, and columns.
CALLS = {
    "logsumexp": "rows",
    "argmax": "rows",
    "softmax": "rows[:40_000], out=results",
    "softmax of rows into fresh memory": "rows[:40_000]",
    "softmax of columns": "columns, 0, out=columns",
    "log_softmax": "rows[:40_000], out=results",
    "cross_entropy_gradient": "rows[:40_000], labels",
    "topk of one row": "long_row, 10_000_000",
    "logsumexp with weights": "wide_rows, weights=wide_rows[0]",
    "Softmax().vjp": "rows[:40_000], rows[:40_000]",
}
# Prints how long after the interrupt it was heard, in each of the attempts.
INTERRUPTED = """
import signal, sys, time
import numpy as np
import luce

signal.signal(signal.SIGALRM, signal.default_int_handler)
row = np.linspace(-5, 5, 20_000, dtype=np.float32)
rows = np.broadcast_to(row, (3_000_000, row.size))
columns = np.ones((100_000, 4000), np.float32) if "columns" in sys.argv[3] else None
results, labels = np.empty((40_000, 20_000), np.float32), np.zeros(40_000, int)
long_row = np.ones(20_000_000, np.float32) if "long_row" in sys.argv[3] else None
wide_rows = np.broadcast_to(row.astype(float), (40_000, row.size))
call = compile(f"luce.{sys.argv[2]}({sys.argv[3]})", "call", "eval")
with luce.threads(int(sys.argv[1])):
    for _ in range(int(sys.argv[4])):
        try:
            due = time.monotonic() + 0.05
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            eval(call)
            signal.pause()
        except KeyboardInterrupt:
            print(time.monotonic() - due, flush=True)
        luce.softmax(row)
"""
ATTEMPTS = 3  # for the machine may be busy with something else


@POSIX
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_is_heard_at_once(call, threads):
    function = call.partition(" ")[0]
    with running(INTERRUPTED, threads, function, CALLS[call], ATTEMPTS) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    delays = [float(delay) for delay in out.split()]
    print(f"{call}, {threads} threads: heard after {delays} s")
    assert len(delays) == ATTEMPTS
    assert 0 <= min(delays) < 0.2


def resident():
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATM.exists(), reason="needs /proc")
def test_memory_over_many_small_calls():
    scores, out = scores_of((1, 10), 1), np.empty((1, 10), np.float32)
    halves, columns = scores.astype(np.float16), scores_of((3, 2), 1)
    where, labels = scores > 0, np.zeros(1, int)

    def call(times):
        """Twenty-three calls each time; luce's own errors are among them."""
        for _ in range(times):
            for _ in range(5):
                luce.softmax(scores)
                luce.log_softmax(scores, out=out)
            luce.softmax(halves)
            luce.softmax(columns, 0)
            luce.softmax(scores, where=where)
            luce.logsumexp(scores)
            luce.logsumexp(columns, None)
            luce.argmax(scores)
            luce.argmax(columns, (0, 1))
            luce.hardmax(scores)
            luce.topk(scores, 3)
            luce.Softmax().vjp(out, scores)
            luce.logsumexp(scores, weights=columns[0, 0])
            luce.cross_entropy_gradient(scores, labels)
            with suppress(luce.DataError):
                luce.softmax(scores, temperature=-1.0)

    call(500)
    growths = []
    for _ in range(
        2
    ):  # what is not of these calls, such as a cache of the interpreter's, grows once
        before = resident()
        call(5000)
        growths.append(resident() - before)
    print(f"RSS grew by {growths}")
    assert min(growths) < 2e5  # two bytes a call
