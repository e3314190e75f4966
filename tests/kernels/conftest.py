"""The exact answers, in 400 bits, and the distance to them in units in the last place.

A double's whole range is there with room to spare: `rest`, the sum of all exponentials but a
largest one, is summed by itself, so that log(1 + rest) keeps its digits however small.
"""

import math
from functools import cache
from types import SimpleNamespace

import gmpy2
import numpy as np
import pytest
from gmpy2 import exp, fsum, log1p, mpfr

from luce import kernels
from luce.kernels import reference

LIMITS = {np.dtype(np.float32): (24, -149), np.dtype(np.float64): (53, -1074)}
LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in LIMITS}


def last_place(exact, dtype):
    """The power of two that the last digit of a rounded number stands for."""
    digits, smallest = LIMITS[dtype]
    return smallest if exact == 0 else max(gmpy2.get_exp(exact) - digits, smallest)


def row_sums(row, temperature=1.0, counts=None):
    """Distances to the largest score over the temperature; their exponentials; the sum of these but
    for a largest one; the largest score.
    """
    counts = (1,) * len(row) if counts is None else tuple(counts)
    return sums_of_scores(tuple(map(float, row)), temperature, counts)


@cache  # The same rows are computed by several kernels, and by their twins.
def sums_of_scores(row, temperature, counts):
    scores = [mpfr(x) for x in row]
    largest = max(scores)
    first = scores.index(largest)
    distances = [(x - largest) / mpfr(temperature) for x in scores]
    exponentials = [exp(d) for d in distances]
    terms = [c * e for c, e in zip(counts, exponentials, strict=True)]
    rest = fsum(terms[:first] + terms[first + 1 :]) + (counts[first] - 1)
    return distances, exponentials, rest, largest


def softmax(row, temperature=1.0, counts=None):
    _, exponentials, rest, _ = row_sums(row, temperature, counts)
    return [e / (1 + rest) for e in exponentials]


def log_softmax(row, temperature=1.0, counts=None):
    distances, _, rest, _ = row_sums(row, temperature, counts)
    log_sum = log1p(rest)
    return [d - log_sum for d in distances]


def logsumexp(row, counts=None):
    _, _, rest, largest = row_sums(row, 1.0, counts)
    return largest + log1p(rest), largest


def cross_entropy(row, label, weight):
    """The loss, and its gradient with the label's entry free of cancellation."""
    distances, exponentials, rest, _ = row_sums(row)
    weight = mpfr(weight)
    share = weight / (1 + rest)
    gradient = [share * e for e in exponentials]
    others = fsum(exponentials[:label] + exponentials[label + 1 :])
    gradient[label] = -share * others
    return weight * (log1p(rest) - distances[label]), gradient


def distance(got, exact, last):
    """How far a float is from an exact number, in units of 2^last: infinitely if it is NaN."""
    error = float(abs(mpfr(float(got)) - exact) / gmpy2.exp2(last))
    return math.inf if math.isnan(error) else error


class Worst:
    """The largest error seen, in units in the last place, and where."""

    def __init__(self):
        self.error = 0.0
        self.place = "nowhere"

    def see(self, got, exact, dtype, place, scale=None):
        dtype = np.dtype(dtype)
        if abs(exact) > LARGEST[dtype]:
            assert abs(got) == np.inf, (place, got)
            return
        error = distance(got, exact, last_place(exact if scale is None else scale, dtype))
        if error > self.error:
            self.error, self.place = error, f"{place}: got {got!r}, exact {exact:.20g}"

    def report(self, name, bound):
        print(f"{kernels.isa()} {name}: worst {self.error:.3f} ulp at {self.place}")
        assert self.error <= bound, f"{name}: {self.error} ulp at {self.place}"


@pytest.fixture(scope="session")
def oracle():
    with gmpy2.context(precision=400):
        yield SimpleNamespace(
            softmax=softmax,
            log_softmax=log_softmax,
            logsumexp=logsumexp,
            cross_entropy=cross_entropy,
            Worst=Worst,
        )


@pytest.fixture(params=[kernels, reference], ids=["compiled", "reference"])
def implementation(request):
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def hard_rows(dtype):
    """Matrices of scores, by name, that bring out what can go wrong."""
    rng = np.random.default_rng(1)
    float32 = dtype == np.float32
    deepest = -110.0 if float32 else -760.0
    close = np.finfo(dtype).eps
    normal = rng.standard_normal
    cases = {
        "one score": np.array([[3.25], [-7.5]]),
        "two scores": rng.uniform(-30, 30, (40, 2)),
        "ten classes": 5 * normal((11, 10)),
        "hundred classes": 5 * normal((3, 100)),
        "spread of thousands": 2000 * normal((9, 13)),
        "spread of thousands, long": 2000 * normal((2, 77)),
        "around a hundred": 100 + 30 * normal((9, 31)),
        "shifted by 1e8": 1e8 + np.round(40 * normal((9, 20))),
        "shifted by -1e8, long": -1e8 + np.round(40 * normal((2, 70))),
        "far apart in size": np.geomspace(1e-6, 80, 60)[None] * np.ones((3, 1)),
        "down to the smallest float": np.linspace(deepest, 0, 120)[None],
        "down to the smallest float, short": np.linspace(deepest, 0, 120).reshape(30, 4),
        "the others negligible": np.c_[np.zeros(9), rng.uniform(deepest, -1, (9, 2))],
        "the others negligible, long": np.r_[0, rng.uniform(deepest, -deepest / -4, 60)][None],
        "equal": np.full((2, 65), 0.3),
        "many ties": rng.integers(0, 3, (3, 66)).astype(float),
        "nearly equal": 1 + close * rng.integers(0, 9, (4, 50)),
        "one against a thousand": np.r_[0.0, np.full(1000, -1.7), -2.3][None],
        "huge": np.array([[1e30, 1e30, -1e30], [1e38, -1e38, 0], [1e-30, 1e-38, 0]]),
        "tiny": 1e-30 * normal((2, 60)),
    }
    if not float32:
        cases["largest"] = np.array([[1.7e308, -1.7e308, 0], [1.7e308, 1.7e308, 1.6e308]])
    cases |= long_rows(normal, deepest)
    return {name: np.ascontiguousarray(rows, dtype) for name, rows in cases.items()}


def long_rows(normal, deepest):
    """Rows that no panel takes; kernels look at their first scores to find a reference."""

    def with_last(first, *last):
        return np.r_[first + 2 * normal(300), last][None]

    return {
        "long": 5 * normal((5, 301)),
        "long, some together": 3 * normal((9, 150)),
        "long, spread of thousands": 2000 * normal((2, 300)),
        "long, shifted by 1e8": 1e8 + np.round(40 * normal((1, 300))),
        "long, equal": np.full((1, 300), -0.7),
        "long, down to the smallest float": np.linspace(0, deepest, 400)[None],
        "long, the others negligible": np.r_[0, deepest / 4 + 0.1 * normal(300)][None],
        "long, largest last": with_last(0, 40),
        "long, largest two last": with_last(0, 60, 25),
        "long, largest two last, tied": with_last(0, 60, 60),
        "long, far first, near last": with_last(-5000, 3, 1),
        "long, far but for the first": np.r_[3, -5000 + 2 * normal(300)][None],
        "long, near first, far last": with_last(0, 5000, 4999),
        "long, near first, very far last": with_last(0, 1e30, 5000),
        "long, far first, far last": with_last(-9000, -2000, -2500),
    }


@pytest.fixture
def hard(dtype):
    return hard_rows(dtype)


@pytest.fixture
def labels_of():
    """(scores, rng) -> labels at random, in every other row that of the largest score."""

    def labels_of(scores, rng):
        labels = rng.integers(0, scores.shape[1], len(scores))
        labels[::2] = scores[::2].argmax(axis=1)
        return labels

    return labels_of


@pytest.fixture
def run():
    """Run the kernel that fits the labels: losses, the same with and without gradient, and it."""

    def run(implementation, scores, labels, weights=None, **options):
        is_soft = labels.ndim == 2 or "class_weights" in options
        kernel = implementation.cross_entropy_soft if is_soft else implementation.cross_entropy
        losses, alone, gradient = (
            np.empty(len(scores)),
            np.empty(len(scores)),
            np.empty_like(scores),
        )
        fine = None if is_soft else -1
        assert kernel(scores, labels, weights, losses, gradient, **options) == fine
        assert kernel(scores, labels, weights, alone, None, **options) == fine
        np.testing.assert_array_equal(alone, losses)
        return losses, gradient

    return run
