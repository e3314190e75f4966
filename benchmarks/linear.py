"""A pass of a linear classifier against its limits, and linear_cross_entropy against torch.

A size is rows x features x classes. "pass" is value and gradient with respect to the coefficients;
its limits are to read the features once, and two products of its size at the rate of a large one.
"linear_cross_entropy" has the gradient with respect to the features too; "fused" is the function of
that name in torch. The answers are compared with NumPy in float64: the value of luce is to be
within 1e-9 of it, relatively, and its gradient within 1e-6 of the sums of |x| |p - y|.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

import numpy as np
import scipy.special
import torch
from scipy.linalg.blas import sgemm
from torch.nn import functional

import luce
from benchmarks import report
from benchmarks.report import duration, ratio, time_of, times
from benchmarks.timing import Call, Case, Compare, Contest, Row, all_cpus, medians, using, words
from luce import kernels

QUICK = ((20_000, 784, 10),)
SHAPES = (
    (50_000, 300, 10),
    (20_000, 784, 10),
    (20_000, 384, 500),
    (200_000, 128, 1000),
    (1_000_000, 64, 5),
)
VOCABULARY = (2048, 1024, 32_000)
PRODUCT = 3072  # rows and columns of the large product
REFERENCE_ROWS = 2048


def cases(quick: bool) -> Iterator[Case]:
    """Every row of the tables."""
    for threads in sorted({1, all_cpus()}):
        for shape in QUICK if quick else SHAPES:
            yield Case("pass", shape, threads=threads)
        if not quick:
            yield Case("linear_cross_entropy", VOCABULARY, threads=threads)


@lru_cache(maxsize=1)
def problem(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, coefficients and labels."""
    n, d, k = shape
    random = np.random.default_rng(7)
    features = random.standard_normal((n, d), np.float32)
    coef = random.standard_normal((k, d), np.float32) / np.float32(np.sqrt(d))
    return features, coef, random.integers(0, k, n)


@lru_cache(maxsize=1)
def reference(shape: tuple[int, int, int]) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean loss, its gradient, and what the gradient's entries are made of, in float64."""
    features, coef, labels = problem(shape)
    n, wide = len(features), coef.astype(np.float64)
    loss, gradient, size = 0.0, np.zeros(wide.shape), np.zeros(wide.shape)
    for start in range(0, n, REFERENCE_ROWS):
        rows = features[start : start + REFERENCE_ROWS].astype(np.float64)
        at = np.arange(len(rows)), labels[start : start + REFERENCE_ROWS]
        scores = rows @ wide.T
        loss += (scipy.special.logsumexp(scores, axis=1) - scores[at]).sum()
        residuals = scipy.special.softmax(scores, axis=1)
        residuals[at] -= 1
        gradient += residuals.T @ rows
        size += np.abs(residuals).T @ np.abs(rows)
    return loss / n, gradient / n, size / n


def compared(case: Case) -> Compare:
    """Compare values and gradients with the reference."""

    def compare(answer: Any, strict: bool) -> str | None:
        value, gradient = answer
        loss, exact, size = reference(case.shape)
        off = abs(float(value) / loss - 1)
        if off > (1e-9 if strict else 1e-5):
            return f"the value is off by {off:.1e}"
        worst = float((np.abs(np.asarray(gradient) - exact) / size).max())
        if worst > (1e-6 if strict else 1e-4):
            return f"the gradient is off by {worst:.1e} of what it is made of"
        return None

    return compare


def torch_call(shape: tuple[int, int, int], loss: Callable[..., Any], whole: bool) -> Call:
    """Forward and backward; with respect to the features too if `whole`."""
    features, coef, labels = (torch.from_numpy(array) for array in problem(shape))
    features = features.detach().requires_grad_(whole)
    coef = coef.detach().requires_grad_()

    def call() -> tuple[float, Any]:
        features.grad = coef.grad = None
        value = loss(features, coef, labels)
        value.backward()
        return value.item(), coef.grad

    return call


def plain(features: torch.Tensor, coef: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss by the product and the cross-entropy."""
    return functional.cross_entropy(features @ coef.T, labels)


def contest(case: Case) -> Contest:
    """Who takes part in a row."""
    features, coef, labels = problem(case.shape)
    whole = case.operation != "pass"
    gradient, bias = np.empty(coef.shape), np.empty(len(coef))
    weights = np.full(len(features), 1 / len(features))

    def one_pass() -> tuple[float, Any]:
        value = kernels.linear_cross_entropy(
            features, labels, weights, coef, None, gradient, bias, threads=case.threads
        )
        return value, gradient

    def with_features() -> tuple[float, Any]:
        found = luce.linear_cross_entropy(features, coef, labels)
        return found.value, found.coef

    contestants = {
        "luce": with_features if whole else one_pass,
        "torch": torch_call(case.shape, plain, whole),
    }
    fused = getattr(functional, "linear_cross_entropy", None)
    if whole and fused is not None:
        contestants["torch fused"] = torch_call(case.shape, fused, whole)
    if whole:
        return Contest(contestants, compared(case), prepare=lambda: None)
    numbers = words(features)
    tensor = torch.from_numpy(numbers)
    floors = {"read numpy": numbers.sum, "read torch": tensor.sum}
    return Contest(contestants, compared(case), prepare=lambda: None, floors=floors)


@cache
def large_product(threads: int) -> float:
    """Seconds of a large product by SciPy's BLAS, apart: its threads wait actively for long."""
    left = np.asfortranarray(np.ones((PRODUCT, PRODUCT), np.float32))
    product = np.empty_like(left)
    call = {"product": lambda: sgemm(1.0, left, left, c=product, overwrite_c=True)}
    with using(threads):
        call["product"]()
        return medians(call, rounds=5, sample=0.01)["product"]


def products(row: Row) -> float | None:
    """Seconds of the two products of a pass at the rate of the large one."""
    if row.case.operation != "pass":
        return None
    n, d, k = row.case.shape
    return large_product(row.case.threads) * 2 * n * d * k / PRODUCT**3


def over_limit(row: Row) -> float | None:
    """The time in units of the larger limit."""
    limit = products(row)
    return None if limit is None else ratio(row.ours, max(limit, row.read or 0.0))


COLUMNS: tuple[report.Column, ...] = (
    ("luce", time_of("luce")),
    ("reading", lambda row: duration(row.read)),
    ("products", lambda row: duration(products(row))),
    ("luce/limit", lambda row: times(over_limit(row))),
    ("torch", time_of("torch")),
    ("torch fused", time_of("torch fused")),
    ("torch/luce", lambda row: times(ratio(row.best("torch", "torch fused"), row.ours))),
)


def main() -> int:
    return report.present("linear", __doc__, cases, contest, COLUMNS)


if __name__ == "__main__":
    sys.exit(main())
