"""softmax, log_softmax, logsumexp, argmax, hardmax and their kin against other libraries.

Times are medians over rounds in which everybody takes a turn; "out" is with the output given,
otherwise the result is allocated in the call. "vjp" is the derivative of softmax times a cotangent
(torch's is the kernel of its backward pass), "topk" finds five, "weighted_logsumexp" has weights of
both signs. JAX cannot change its threads: it is in the rows with
all the CPUs. SciPy and NumPy use one thread whatever the row says.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.special
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import luce
from benchmarks import reach, report
from benchmarks.report import ratio, time_of, times
from benchmarks.timing import (
    Buffers,
    Call,
    Case,
    Compare,
    Contest,
    Row,
    all_cpus,
    as_float64,
    close_to,
    jax,
)
from luce import kernels

OPERATIONS = ("softmax", "log_softmax", "logsumexp", "argmax", "hardmax")
KIN = ("vjp", "topk", "weighted_logsumexp")
KIN_SHAPES = ((1, 10), (100000, 10), (100000, 100), (1000, 1024), (20000, 1000))
K = 5
QUICK = ((1, 10), (100000, 10), (1000, 1024), (2000, 32000))
INNER = (
    *((n, 10) for n in (1, 1000)),
    *((100000, k) for k in (7, 8, 10, 15, 16, 17, 24, 32, 33, 48, 50, 64, 100)),
    (1000, 1024),
    (20000, 1000),
    (20000, 1024),
    (2000, 32000),
    (512, 128000),
    (20, 1048576),
)
OUTER = (((1000, 10000), 0), ((64, 100, 1000), 1), ((10, 100000), 0))
OTHER_DTYPES = ("float64", "float16", "bfloat16")
OTHER_SHAPES = (
    ((1, 10), -1),
    ((100000, 10), -1),
    ((1000, 1024), -1),
    ((20000, 1000), -1),
    ((1000, 10000), 0),
)


def cases(quick: bool) -> Iterator[Case]:
    """Every row of the tables, those on the same array next to each other."""
    arrays = [(shape, -1, "float32") for shape in (QUICK if quick else INNER)]
    arrays += [(shape, axis, "float32") for shape, axis in (OUTER[:1] if quick else OUTER)]
    others = OTHER_SHAPES[1:3] if quick else OTHER_SHAPES
    arrays += [(shape, axis, dtype) for dtype in OTHER_DTYPES for shape, axis in others]
    for shape, axis, dtype in arrays:
        has_kin = dtype == "float32" and shape in (KIN_SHAPES[3:4] if quick else KIN_SHAPES)
        for operation in (*OPERATIONS, *KIN) if has_kin else OPERATIONS:
            for threads in sorted({1, all_cpus()}):
                yield Case(operation, shape, dtype, axis, threads)


class MapBuffers(Buffers):
    """Scores, an output, and what the kin of the maps take beside them."""

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of the scores."""
        return luce.softmax(self.scores, self.axis)

    @cached_property
    def others(self) -> np.ndarray:
        """Cotangents, or weights of both signs, of which few are negative: so no sum cancels."""
        random = np.random.default_rng(8)
        return (random.standard_normal(self.scores.shape) + 1.5).astype(self.scores.dtype)


@lru_cache(maxsize=1)
def buffers(shape: tuple[int, ...], dtype: str, axis: int) -> MapBuffers:
    return MapBuffers(shape, dtype, axis)


@lru_cache(maxsize=1)
def comparison(operation: str, shape: tuple[int, ...], dtype: str, axis: int) -> Compare:
    """Answers compared with torch in float64; the choices of argmax with NumPy's."""
    b = buffers(shape, dtype, axis)
    if operation in ("argmax", "hardmax"):
        return same_choice(operation, b)
    if operation == "topk":
        return close_to(torch.topk(b.scores_torch.double(), K, axis).values, dtype=dtype, atol=0)
    if operation == "vjp":
        p, t = (as_float64(array) for array in (b.probabilities, b.others))
        top = t.gather(axis, p.argmax(axis, keepdim=True))
        moves = p * (t - top - (p * (t - top)).sum(axis, keepdim=True))
        return close_to(moves, dtype=dtype, atol=4 * torch.finfo(getattr(torch, dtype)).eps)
    if operation == "weighted_logsumexp":
        weights = as_float64(b.others)
        total = (weights * b.scores_torch.double().exp()).sum(axis)
        return close_to(total.abs().log(), dtype=dtype, atol=1e-5)
    reference = getattr(torch, operation)(b.scores_torch.double(), axis)
    if operation == "logsumexp":  # its result can cancel to nothing: judged against the scores
        largest = b.scores_torch.double().abs().max().item()
        return close_to(
            reference,
            dtype=dtype,
            atol=4 * largest * torch.finfo(getattr(torch, dtype)).eps,
        )
    return close_to(reference, dtype=dtype)


def same_choice(operation: str, b: Buffers) -> Compare:
    """NumPy's choice from luce; from the others an equal value (of ties, torch takes any)."""
    first = b.scores.argmax(b.axis)

    def compare(answer: Any, strict: bool) -> str | None:
        if operation == "hardmax":
            hot = as_float64(answer)
            if not ((hot == 0) | (hot == 1)).all() or not (hot.sum(b.axis) == 1).all():
                return "not one 1 among zeros"
            answer = hot.argmax(b.axis)
        found = np.asarray(answer)
        if found.shape != first.shape:
            return f"shape {found.shape}, expected {first.shape}"
        if strict:
            wrong = found != first
        else:
            chosen, best = (
                np.take_along_axis(b.scores, np.expand_dims(i, b.axis), b.axis)
                for i in (found, first)
            )
            wrong = chosen != best
        return f"{int(wrong.sum())} of {wrong.size} choices differ" if wrong.any() else None

    return compare


def contest(case: Case) -> Contest:
    """Who takes part in a row."""
    b = buffers(case.shape, case.dtype, case.axis)
    name = case.operation
    reads_only = name in ("logsumexp", "argmax", "topk", "weighted_logsumexp")
    floors = b.reads() if reads_only else b.copies()
    axis = case.axis
    if name in KIN:
        players = KIN_PLAYERS[name](b, axis)
        return Contest(players, comparison(name, case.shape, case.dtype, axis), b.clear, floors)
    ours = getattr(luce, name)
    if not case.inner:
        turned = np.ascontiguousarray(np.moveaxis(b.scores, axis, -1))
        target = np.empty_like(turned)
        inner = {"out": target} if name in ("softmax", "log_softmax") else {}
        floors["inner"] = lambda: ours(turned, **inner)
    empty = getattr(kernels, "nothing", None)
    one_row = case.shape == (1, 10) and case.dtype == "float32"
    if empty is not None and name == "softmax" and one_row:
        floors["empty"] = lambda: empty(b.scores, 1.0, b.out)
    players = OPERATION[name](b, axis)
    players["luce"] = lambda: ours(b.scores, axis)
    if jax is not None and case.threads == all_cpus():
        players["jax"] = _jax(name, axis, b.scores_jax)
    compare = comparison(name, case.shape, case.dtype, axis)
    return Contest(players, compare, b.clear, floors)


def _softmax(b: Buffers, axis: int) -> dict[str, Call]:
    return {
        "luce out": lambda: luce.softmax(b.scores, axis, out=b.out),
        "torch out": lambda: torch.softmax(b.scores_torch, axis, out=b.out_torch),
        "torch": lambda: torch.softmax(b.scores_torch, axis),
        "scipy": lambda: scipy.special.softmax(b.scores, axis),
    }


def _log_softmax(b: Buffers, axis: int) -> dict[str, Call]:
    return {
        "luce out": lambda: luce.log_softmax(b.scores, axis, out=b.out),
        "torch out": lambda: torch.log_softmax(b.scores_torch, axis, out=b.out_torch),
        "torch": lambda: torch.log_softmax(b.scores_torch, axis),
        "scipy": lambda: scipy.special.log_softmax(b.scores, axis),
    }


def _logsumexp(b: Buffers, axis: int) -> dict[str, Call]:
    out = torch.empty_like(b.scores_torch.select(axis, 0), memory_format=torch.contiguous_format)
    return {
        "torch out": lambda: torch.logsumexp(b.scores_torch, axis, out=out),
        "torch": lambda: torch.logsumexp(b.scores_torch, axis),
        "scipy": lambda: scipy.special.logsumexp(b.scores, axis),
    }


def _argmax(b: Buffers, axis: int) -> dict[str, Call]:
    best = b.scores.argmax(axis)
    out = torch.from_numpy(np.empty_like(best))
    return {
        "torch out": lambda: torch.argmax(b.scores_torch, axis, out=out),
        "torch": lambda: torch.argmax(b.scores_torch, axis),
        "numpy out": lambda: b.scores.argmax(axis, out=best),
        "numpy": lambda: b.scores.argmax(axis),
    }


def _hardmax(b: Buffers, axis: int) -> dict[str, Call]:
    def with_torch() -> torch.Tensor:
        best = b.scores_torch.argmax(axis, keepdim=True)
        return torch.zeros_like(b.scores_torch).scatter_(axis, best, 1)

    def with_numpy() -> np.ndarray:
        hot = np.zeros_like(b.scores)
        np.put_along_axis(hot, b.scores.argmax(axis, keepdims=True), 1, axis)
        return hot

    return {"torch": with_torch, "numpy": with_numpy}


def _vjp(b: MapBuffers, axis: int) -> dict[str, Call]:
    p, t, softmax = b.probabilities, b.others, luce.Softmax(axis=axis)
    moves, back = (torch.from_numpy(array) for array in (t, p))
    backward = torch._softmax_backward_data
    return {
        "luce": lambda: softmax.vjp(p, t),
        "torch out": lambda: backward(moves, back, axis, torch.float32, grad_input=b.out_torch),
        "torch": lambda: backward(moves, back, axis, torch.float32),
        "numpy": lambda: p * (t - (p * t).sum(axis, keepdims=True)),
    }


def _topk(b: MapBuffers, axis: int) -> dict[str, Call]:
    def with_numpy() -> np.ndarray:
        found = np.argpartition(b.scores, -K, axis)[:, -K:]
        values = np.take_along_axis(b.scores, found, axis)
        return np.sort(values, axis)[:, ::-1]

    return {
        "luce": lambda: luce.topk(b.scores, K)[0],
        "torch": lambda: torch.topk(b.scores_torch, K, axis).values,
        "numpy": with_numpy,
    }


def _weighted_logsumexp(b: MapBuffers, axis: int) -> dict[str, Call]:
    x, w = b.scores, b.others
    return {
        "luce": lambda: luce.logsumexp(x, axis, weights=w, return_sign=True)[0],
        "scipy": lambda: scipy.special.logsumexp(x, axis, b=w, return_sign=True)[0],
    }


KIN_PLAYERS: dict[str, Callable[[MapBuffers, int], dict[str, Call]]] = {
    "vjp": _vjp,
    "topk": _topk,
    "weighted_logsumexp": _weighted_logsumexp,
}
OPERATION: dict[str, Callable[[Buffers, int], dict[str, Call]]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "argmax": _argmax,
    "hardmax": _hardmax,
}


@cache
def _jax_function(name: str, axis: int) -> Callable[[Any], Any]:
    functions = {
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "logsumexp": jax.nn.logsumexp,
        "argmax": jax.numpy.argmax,
        "hardmax": lambda x, axis: jax.nn.one_hot(
            jax.numpy.argmax(x, axis), x.shape[axis], dtype=x.dtype, axis=axis
        ),
    }
    return jax.jit(lambda x: functions[name](x, axis=axis))


def _jax(name: str, axis: int, scores: Any) -> Call:
    function = _jax_function(name, axis)
    return lambda: function(scores).block_until_ready()


COLUMNS: tuple[report.Column, ...] = (
    ("luce out", time_of("luce out")),
    ("luce", time_of("luce")),
    ("torch out", time_of("torch out")),
    ("torch", time_of("torch")),
    ("SciPy", time_of("scipy")),
    ("NumPy out", time_of("numpy out")),
    ("NumPy", time_of("numpy")),
    ("JAX", time_of("jax")),
    ("copy", time_of("copy numpy", "copy torch")),
    ("read", time_of("read numpy", "read torch")),
    ("inner", time_of("inner")),
    ("luce/copy", lambda row: times(ratio(row.ours, row.copy))),
    ("luce/read", lambda row: times(ratio(row.ours, row.read))),
    ("luce/inner", lambda row: times(ratio(row.ours, row.best("inner")))),
    ("torch out/luce", lambda row: times(ratio(row.best("torch out"), row.ours))),
    ("torch/luce", lambda row: times(ratio(row.best("torch"), row.best("luce")))),
    ("SciPy/luce", lambda row: times(ratio(row.best("scipy"), row.ours))),
    ("NumPy/luce", lambda row: times(ratio(row.best("numpy", "numpy out"), row.ours))),
    ("JAX/luce", lambda row: times(ratio(row.best("jax"), row.best("luce")))),
)


def exponentials(rows: list[Row]) -> Table | None:
    """What softmax costs above argmax, a score, on one thread."""
    found: dict[tuple[int, ...], dict[str, float]] = {}
    for row in rows:
        case = row.case
        if case.threads == 1 and case.dtype == "float32" and case.inner and row.ours is not None:
            found.setdefault(case.shape, {})[case.operation] = row.ours / np.prod(case.shape) * 1e9
    both = {shape: time for shape, time in found.items() if {"argmax", "softmax"} <= time.keys()}
    if not both:
        return None
    table = Table(
        title="argmax against softmax side by side: what the exponentials cost\n"
        "nanoseconds a score, float32, one thread, output given where it can be",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for header in ("shape", *OPERATIONS, "softmax - argmax", "softmax / argmax"):
        table.add_column(header, justify="right")
    for shape, time in both.items():
        cells = [f"{time[name]:.3f}" if name in time else "–" for name in OPERATIONS]
        argmax, softmax = time["argmax"], time["softmax"]
        extra = (f"{softmax - argmax:.3f}", times(softmax / argmax))
        table.add_row("x".join(map(str, shape)), *cells, *extra)
    return table


def main() -> int:
    def closing(out: Console, rows: list[Row]) -> list[dict[str, Any]]:
        figures = reach.print_targets(out, reach.map_targets(), rows)
        table = exponentials(rows)
        if table is not None:
            out.print(table)
        return figures

    with torch.inference_mode():
        return report.present("maps", __doc__, cases, contest, COLUMNS, closing)


if __name__ == "__main__":
    sys.exit(main())
