"""cross_entropy and cross_entropy_gradient against other libraries.

Times are medians over rounds in which everybody takes a turn. For value and gradient, "torch" is
its forward and backward pass, "torch out" the same by hand into a given array (log_softmax, gather,
exp, subtract, scale), and scikit-learn its internal HalfMultinomialLoss. "soft_targets" is value
and gradient for targets of every class, "weighted_smoothed" those for labels with a weight of each
class and a tenth of the targets shared out, "fenchel_young" those of FenchelYoung(Softmax()) for
labels, the value of every row. JAX cannot change its threads: it is in the rows with all the CPUs.
SciPy uses one thread whatever the row says.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.special
import torch
from rich.console import Console
from torch.nn import functional

import luce
from benchmarks import reach, report
from benchmarks.report import ratio, time_of, times
from benchmarks.timing import Buffers, Call, Case, Contest, Row, all_cpus, close_to, jax

try:
    from sklearn._loss.loss import HalfMultinomialLoss
except ImportError:
    HalfMultinomialLoss = None

OPERATIONS = ("cross_entropy", "cross_entropy_gradient")
KIN = ("soft_targets", "weighted_smoothed", "fenchel_young")
SMOOTHING = 0.1
QUICK = ((1000, 10), (1000, 1024), (2000, 32000))
SHAPES = (
    (1, 10),
    (1000, 10),
    (100000, 10),
    (100000, 17),
    (100000, 32),
    (100000, 100),
    (1000, 1024),
    (20000, 1000),
    (20000, 1024),
    (2000, 32000),
    (512, 128000),
    (20, 1048576),
)
SOFT_SHAPES = ((1, 10), (100000, 10), (100000, 100), (1000, 1024), (20000, 1000))
OTHER_DTYPES = ("float64", "float16", "bfloat16")
OTHER_SHAPES = ((100000, 10), (1000, 1024), (20000, 1000))


def cases(quick: bool) -> Iterator[Case]:
    """Every row of the tables, those on the same array next to each other."""
    arrays = [(shape, "float32") for shape in (QUICK if quick else SHAPES)]
    others = OTHER_SHAPES[1:2] if quick else OTHER_SHAPES
    arrays += [(shape, dtype) for dtype in OTHER_DTYPES for shape in others]
    soft = SOFT_SHAPES[3:4] if quick else SOFT_SHAPES
    for shape, dtype in arrays:
        is_soft = dtype == "float32" and shape in soft
        for operation in (*OPERATIONS, *KIN) if is_soft else OPERATIONS:
            for threads in sorted({1, all_cpus()}):
                yield Case(operation, shape, dtype, threads=threads)


class LossBuffers(Buffers):
    """Scores, labels, and arrays for the gradient: another one, and one that holds the scores."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(shape, dtype)
        rows, classes = shape
        self.labels = np.random.default_rng(8).integers(0, classes, rows)
        self.labels_torch = torch.from_numpy(self.labels)
        self.labels_jax = None if jax is None else jax.numpy.asarray(self.labels)
        self.each = np.arange(rows)
        self.scratch = self.scores.copy()
        self.leaf = self.scores_torch.detach().requires_grad_()

    @cached_property
    def class_weight(self) -> np.ndarray[Any, Any]:
        """A weight of every class, which any float dtype holds."""
        classes = self.scores.shape[1]
        return np.random.default_rng(10).integers(1, 9, classes).astype(self.scores.dtype) / 8

    @cached_property
    def targets(self) -> np.ndarray[Any, Any]:
        """Targets of every class, for soft targets."""
        rows, classes = self.scores.shape
        shares = np.random.default_rng(9).exponential(size=(rows, classes))
        return (shares / shares.sum(axis=1, keepdims=True)).astype(self.scores.dtype)

    def clear(self) -> None:
        """Leave nothing of an earlier answer, and the scores where the gradient replaced them."""
        super().clear()
        np.copyto(self.scratch, self.scores)


@lru_cache(maxsize=1)
def buffers(shape: tuple[int, ...], dtype: str) -> LossBuffers:
    return LossBuffers(shape, dtype)


@lru_cache(maxsize=2)
def reference(
    shape: tuple[int, ...], dtype: str, kin: str | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Value and gradient by torch in float64."""
    b = buffers(shape, dtype)
    leaf = b.scores_torch.double().requires_grad_()
    truth = torch.from_numpy(b.targets).double() if kin == "soft_targets" else b.labels_torch
    options = {"reduction": "none"} if kin == "fenchel_young" else {}
    if kin == "weighted_smoothed":
        weight = torch.from_numpy(b.class_weight).double()
        options = {"weight": weight, "label_smoothing": SMOOTHING}
    value = functional.cross_entropy(leaf, truth, **options)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), gradient


def contest(case: Case) -> Contest:
    """Who takes part in a row."""
    b = buffers(case.shape, case.dtype)
    kin = case.operation if case.operation in KIN else None
    value, gradient = reference(case.shape, case.dtype, kin)
    limits = torch.finfo(getattr(torch, case.dtype))
    # luce sets what would be subnormal to 0; where probability and target are nearly the same,
    # their difference has the rounding of an exponential
    has_targets = kin in ("soft_targets", "weighted_smoothed")
    atol = limits.eps / len(b.scores) if has_targets else limits.tiny
    if case.operation == "cross_entropy":
        players, floors = _value(b), b.reads()
        compare = close_to(value, dtype=case.dtype)
    else:
        players = KIN_PLAYERS[kin](b) if kin else _gradient(b, case.threads)
        floors = b.copies()
        compare = close_to(value, gradient, dtype=case.dtype, atol=atol)
    if jax is not None and case.threads == all_cpus() and kin is None:
        function = _jax_function(case.operation)
        players["jax"] = lambda: jax.block_until_ready(function(b.scores_jax, b.labels_jax))
    return Contest(players, compare, b.clear, floors)


def _value(b: LossBuffers) -> dict[str, Call]:
    def with_torch() -> torch.Tensor:
        with torch.inference_mode():
            return functional.cross_entropy(b.scores_torch, b.labels_torch)

    def with_scipy() -> Any:
        at_label = b.scores[b.each, b.labels]
        return (scipy.special.logsumexp(b.scores, axis=1) - at_label).mean(dtype=np.float64)

    return {
        "luce": lambda: luce.cross_entropy(b.scores, b.labels),
        "torch": with_torch,
        "scipy": with_scipy,
    }


def _gradient(b: LossBuffers, threads: int) -> dict[str, Call]:
    rows = len(b.scores)
    column = b.labels_torch[:, None]
    minus_one = torch.tensor(-1.0, dtype=b.scores_torch.dtype).expand(rows, 1)

    def with_torch() -> tuple[Any, ...]:
        value = functional.cross_entropy(b.leaf, b.labels_torch)
        return value.detach(), *torch.autograd.grad(value, b.leaf)

    def by_hand() -> tuple[Any, ...]:
        out = b.out_torch
        with torch.inference_mode():
            torch.log_softmax(b.scores_torch, 1, out=out)
            value = -out.gather(1, column).mean()
            out.exp_().scatter_add_(1, column, minus_one).div_(rows)
        return value, out

    def with_scipy() -> tuple[Any, ...]:
        logs = scipy.special.log_softmax(b.scores, axis=1)
        value = -logs[b.each, b.labels].mean(dtype=np.float64)
        gradient = np.exp(logs)
        gradient[b.each, b.labels] -= 1
        gradient /= rows
        return value, gradient

    players = {
        "luce out": lambda: luce.cross_entropy_gradient(b.scores, b.labels, out=b.out),
        "luce in place": lambda: luce.cross_entropy_gradient(b.scratch, b.labels, out=b.scratch),
        "luce": lambda: luce.cross_entropy_gradient(b.scores, b.labels),
        "torch": with_torch,
        "torch out": by_hand,
        "scipy": with_scipy,
    }
    if HalfMultinomialLoss is not None and b.scores.dtype.itemsize > 2:
        players["sklearn"] = _sklearn(b, threads)
    return players


def _of_soft_targets(b: LossBuffers) -> dict[str, Call]:
    rows, targets = len(b.scores), torch.from_numpy(b.targets)

    def with_torch() -> tuple[Any, ...]:
        value = functional.cross_entropy(b.leaf, targets)
        return value.detach(), *torch.autograd.grad(value, b.leaf)

    def by_hand() -> tuple[Any, ...]:
        out = b.out_torch
        with torch.inference_mode():
            torch.log_softmax(b.scores_torch, 1, out=out)
            value = -torch.vdot(out.view(-1), targets.view(-1)) / rows
            out.exp_().sub_(targets).div_(rows)
        return value, out

    return {
        "luce out": lambda: luce.cross_entropy_gradient(b.scores, b.targets, out=b.out),
        "luce in place": lambda: luce.cross_entropy_gradient(b.scratch, b.targets, out=b.scratch),
        "luce": lambda: luce.cross_entropy_gradient(b.scores, b.targets),
        "torch": with_torch,
        "torch out": by_hand,
    }


def _weighted_smoothed(b: LossBuffers) -> dict[str, Call]:
    options = {"class_weight": b.class_weight, "label_smoothing": SMOOTHING}
    weight = torch.from_numpy(b.class_weight)

    def with_torch() -> tuple[Any, ...]:
        value = functional.cross_entropy(
            b.leaf, b.labels_torch, weight=weight, label_smoothing=SMOOTHING
        )
        return value.detach(), *torch.autograd.grad(value, b.leaf)

    gradient = luce.cross_entropy_gradient
    return {
        "luce out": lambda: gradient(b.scores, b.labels, out=b.out, **options),
        "luce in place": lambda: gradient(b.scratch, b.labels, out=b.scratch, **options),
        "luce": lambda: gradient(b.scores, b.labels, **options),
        "torch": with_torch,
    }


def _fenchel_young(b: LossBuffers) -> dict[str, Call]:
    loss = luce.FenchelYoung(luce.Softmax())

    def with_torch() -> tuple[Any, ...]:
        value = functional.cross_entropy(b.leaf, b.labels_torch, reduction="none")
        return value.detach(), *torch.autograd.grad(value.sum(), b.leaf)

    return {"luce": lambda: loss.value_and_gradient(b.scores, b.labels), "torch": with_torch}


KIN_PLAYERS = {
    "soft_targets": _of_soft_targets,
    "weighted_smoothed": _weighted_smoothed,
    "fenchel_young": _fenchel_young,
}


def _sklearn(b: LossBuffers, threads: int) -> Call:
    rows, classes = b.scores.shape
    loss = HalfMultinomialLoss(n_classes=classes)
    truth = b.labels.astype(b.scores.dtype)
    weight = np.full(rows, 1 / rows, b.scores.dtype)
    losses = np.empty_like(weight)

    def call() -> tuple[Any, ...]:
        loss.loss_gradient(
            y_true=truth,
            raw_prediction=b.scores,
            sample_weight=weight,
            loss_out=losses,
            gradient_out=b.out,
            n_threads=threads,
        )
        return losses.sum(), b.out

    return call


@cache
def _jax_function(operation: str) -> Callable[..., Any]:
    def value(scores: Any, labels: Any) -> Any:
        at_label = jax.numpy.take_along_axis(scores, labels[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(scores, axis=1) - at_label).mean()

    return jax.jit(value if operation == "cross_entropy" else jax.value_and_grad(value))


COLUMNS: tuple[report.Column, ...] = (
    ("luce out", time_of("luce out")),
    ("in place", time_of("luce in place")),
    ("luce", time_of("luce")),
    ("torch", time_of("torch")),
    ("torch out", time_of("torch out")),
    ("SciPy", time_of("scipy")),
    ("sklearn", time_of("sklearn")),
    ("JAX", time_of("jax")),
    ("copy", time_of("copy numpy", "copy torch")),
    ("read", time_of("read numpy", "read torch")),
    ("luce/copy", lambda row: times(ratio(row.ours, row.copy))),
    ("in place/copy", lambda row: times(ratio(row.best("luce in place"), row.copy))),
    ("luce/read", lambda row: times(ratio(row.ours, row.read))),
    ("torch/luce", lambda row: times(ratio(row.best("torch"), row.ours))),
    ("torch out/luce", lambda row: times(ratio(row.best("torch out"), row.ours))),
    ("SciPy/luce", lambda row: times(ratio(row.best("scipy"), row.ours))),
    ("sklearn/luce", lambda row: times(ratio(row.best("sklearn"), row.ours))),
    ("JAX/luce", lambda row: times(ratio(row.best("jax"), row.ours))),
)


def main() -> int:
    def closing(out: Console, rows: list[Row]) -> list[dict[str, Any]]:
        return reach.print_targets(out, reach.loss_targets(), rows)

    return report.present("losses", __doc__, cases, contest, COLUMNS, closing)


if __name__ == "__main__":
    sys.exit(main())
