"""Contests: the answers of all contestants compared, then their median times, taken in turns."""

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from math import ceil
from random import Random
from statistics import median
from typing import Any

import ml_dtypes
import numpy as np
import torch
from threadpoolctl import threadpool_limits

import luce

try:
    import jax
except ImportError:
    jax = None
else:
    jax.config.update("jax_enable_x64", True)

Call = Callable[[], Any]
Compare = Callable[[Any, bool], str | None]

SHORT_CALL = 0.2  # seconds; below, a sample starts with calls that are not timed
BLOCK = 1 << 16  # entries compared at a time
# Seconds of such calls: one where nobody else has threads. They wait actively for milliseconds, on
# the CPU that the next one's threads want; a pause would let the CPUs fall asleep as well.
WARMING = 0.012


def all_cpus() -> int:
    """Number of CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Case:
    """What is timed: one operation on one array with one number of threads."""

    operation: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    axis: int = -1
    threads: int = 1

    @property
    def classes(self) -> int:
        """Length of the axis."""
        return self.shape[self.axis]

    @property
    def size(self) -> str:
        """The shape in one word."""
        return "x".join(map(str, self.shape))

    @property
    def inner(self) -> bool:
        """Whether the classes are the last axis."""
        return self.axis % len(self.shape) == len(self.shape) - 1

    @property
    def bytes(self) -> int:
        """Bytes of the scores."""
        return int(np.prod(self.shape)) * dtype_of(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.operation} {self.size} axis={self.axis} {self.dtype} threads={self.threads}"


@dataclass
class Contest:
    """Contestants whose answers must agree, and floors: what nobody can be faster than.

    `compare(answer, strict)` says what is wrong with an answer, or None; it is strict with luce.
    `prepare` restores the buffers before each answer that is compared.
    """

    contestants: dict[str, Call]
    compare: Compare
    prepare: Call
    floors: dict[str, Call] = field(default_factory=dict)


@dataclass
class Row:
    """Median seconds of every contestant and floor, and what was wrong."""

    case: Case
    seconds: dict[str, float]
    failures: list[str]

    def best(self, *names: str) -> float | None:
        """The least time among those of these names that took part."""
        return min((self.seconds[name] for name in names if name in self.seconds), default=None)

    @property
    def ours(self) -> float | None:
        """The time of luce with the output given, or fresh where it takes no output."""
        return self.best("luce out") or self.best("luce")

    @property
    def torch(self) -> float | None:
        """The time of torch with the output given, or fresh where it takes no output."""
        return self.best("torch out") or self.best("torch")

    @property
    def copy(self) -> float | None:
        """The faster of two plain copies of the scores."""
        return self.best("copy numpy", "copy torch")

    @property
    def read(self) -> float | None:
        """The faster of two plain readings of the scores."""
        return self.best("read numpy", "read torch")


class Buffers:
    """Scores and an output, as NumPy and as torch arrays of the same memory."""

    def __init__(self, shape: tuple[int, ...], dtype: str, axis: int = -1) -> None:
        values = np.random.default_rng(7).standard_normal(shape, np.float32)
        values *= 3
        self.axis = axis
        self.dtype = dtype
        self.scores = values.astype(dtype_of(dtype), copy=False)
        self.out = np.zeros_like(self.scores)
        self.scores_torch = as_torch(self.scores)
        self.out_torch = as_torch(self.out)
        self.scores_jax = None if jax is None else jax.numpy.asarray(self.scores)

    def clear(self) -> None:
        """Leave nothing of an earlier answer in the output."""
        self.out.fill(np.nan)

    def copies(self) -> dict[str, Call]:
        """Plain copies of the scores into the output."""
        source, target = words(self.scores), words(self.out)
        tensor, out = torch.from_numpy(source), torch.from_numpy(target)
        return {
            "copy numpy": lambda: np.copyto(target, source),
            "copy torch": lambda: out.copy_(tensor),
        }

    def reads(self) -> dict[str, Call]:
        """Plain readings of the scores: their bytes summed as integers."""
        source = words(self.scores)
        tensor = torch.from_numpy(source)
        return {"read numpy": source.sum, "read torch": tensor.sum}


def dtype_of(name: str) -> np.dtype[Any]:
    """NumPy's dtype of this name, bfloat16 included."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def as_torch(array: np.ndarray) -> torch.Tensor:
    """The same memory as a tensor."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def words(array: np.ndarray) -> np.ndarray:
    """The same memory as a vector of 64-bit integers, or of bytes where that does not divide."""
    return array.reshape(-1).view(np.uint8 if array.nbytes % 8 else np.int64)


def close_to(*reference: torch.Tensor, dtype: str, atol: float | None = None) -> Compare:
    """Compare answers with float64 references; luce's within 4 ulp (or `atol`)."""
    limits = torch.finfo(getattr(torch, dtype))
    floor = 2 * limits.tiny * limits.eps if atol is None else atol
    tight = max(4 * limits.eps, 1e-11)
    loose = max((16 if limits.bits == 16 else 1000) * limits.eps, 1e-11)

    def compare(answer: Any, strict: bool) -> str | None:
        parts = answer if isinstance(answer, tuple) else (answer,)
        rtol = tight if strict else loose
        for part, expected in zip(parts, reference, strict=True):
            if tuple(part.shape) != tuple(expected.shape):
                return f"shape {tuple(part.shape)}, expected {tuple(expected.shape)}"
            atol = floor if strict else loose * max(expected.max(), -expected.min()).item()
            wrong = 0
            for found, right in _blocks(part, expected):
                close = (found - right).abs() <= right.abs().mul_(rtol).add_(atol)
                if not wrong and not close.all():
                    at = int(close.int().argmin())
                    example = f"{found[at]:.9g} for {right[at]:.9g}"
                wrong += int((~close).sum())
            if wrong:
                return f"{wrong} of {expected.numel()} entries are wrong, the first {example}"
        return None

    return compare


def _blocks(part: Any, expected: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Both flat in float64, in blocks: temporary arrays of full size would take seconds."""
    if not isinstance(part, torch.Tensor):
        part = np.asarray(part)
    found, right = part.reshape(-1), expected.reshape(-1)
    for start in range(0, len(right), BLOCK):
        block = slice(start, start + BLOCK)
        yield as_float64(found[block]), right[block]


def as_float64(values: Any) -> torch.Tensor:
    """Any library's array in float64."""
    if isinstance(values, torch.Tensor):
        return values.double()
    return torch.from_numpy(np.asarray(values).astype(np.float64))


def hold(case: Case, contest: Contest, rounds: int, sample: float) -> Row:
    """Compare the answers, then time whoever gave one; a wrong answer is timed all the same."""
    failures = []
    able = {}
    with using(case.threads):
        for name, call in (contest.contestants | contest.floors).items():
            contest.prepare()
            ours = name.startswith("luce")
            try:
                answer = call()
            except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
                if ours:
                    failures.append(f"{case}: {name} raised {type(error).__name__}: {error}")
                continue
            able[name] = call
            problem = contest.compare(answer, ours) if name in contest.contestants else None
            if problem is not None:
                failures.append(f"{case}: {name}: {problem}")
        contest.prepare()
        seconds = medians(able, rounds, sample, WARMING if case.threads > 1 else 0.0)
    return Row(case, seconds, failures)


@contextmanager
def using(threads: int) -> Iterator[None]:
    """Let luce, torch and BLAS use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with luce.threads(threads), threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def medians(
    calls: dict[str, Call], rounds: int, sample: float, warming: float = 0.0
) -> dict[str, float]:
    """Median seconds a call; in every round each call has its turn, in an order drawn anew.

    A sample is as many calls as take about `sample` seconds; every call has been made before.
    """
    estimates = {name: _estimate(call, sample / 4) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    draw = Random(7)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            draw.shuffle(order)
            for name in order:
                if estimates[name] < SHORT_CALL:
                    _elapsed(calls[name], max(1, ceil(warming / estimates[name])))
                repeats = ceil(sample / estimates[name])
                samples[name].append(_elapsed(calls[name], repeats) / repeats)
    finally:
        if collecting:
            gc.enable()
    return {name: median(times) for name, times in samples.items()}


def _estimate(call: Call, enough: float) -> float:
    """About how many seconds a call takes, from calls for this long."""
    count = 1
    while (elapsed := _elapsed(call, count)) < enough:
        count *= 4
    return elapsed / count


def _elapsed(call: Call, count: int) -> float:
    start = time.perf_counter()
    for _ in repeat(None, count):
        call()
    return time.perf_counter() - start
