"""Thousands of rows of floats in a wider type: what a few rows in high precision do not meet."""

from itertools import product

import numpy as np
import pytest

from luce import kernels

WIDE = np.float64
CLASSES = [1, 2, 3, 7, 8, 10, 16, 17, 33, 100, 127, 256, 257, 300, 1000, 3000, 9000]
SPREADS = [0.01, 0.3, 3, 30, 1000]
SHIFTS = [0, 1, -50, 1e4, -1e8]


def rows_of(rng, classes, spread, shift, kind):
    """Nearly equal scores below a high one round in one direction, over and over."""
    rows = max(4, 30_000 // classes)
    scores = (rng.normal(0, spread, (rows, classes)) + shift).astype(np.float32)
    if kind == "whole numbers":
        return np.round(scores)
    if kind.endswith("above"):
        scores[np.arange(rows), rng.integers(0, classes, rows)] += np.float32(kind.split()[0])
    if kind == "many equal":
        scores = np.where(rng.random(scores.shape) < 0.5, scores, scores[:, :1])
    return scores


def units(exact):
    """The units in the last place of a float near these numbers."""
    return np.maximum(np.spacing(np.abs(exact).astype(np.float32)), 2.0**-149)


def errors_of(scores):
    """What each kernel is off by, in units in the last place, for these rows."""
    x = scores.astype(WIDE)
    largest = x.max(axis=1, keepdims=True)
    terms = np.exp(x - largest)
    others = terms.copy()
    others[np.arange(len(x)), x.argmax(axis=1)] = 0
    rest = others.sum(axis=1, keepdims=True)
    shares, logs = terms / (1 + rest), x - largest - np.log1p(rest)
    sums = (largest + np.log1p(rest))[:, 0]
    softmax, log_softmax = np.empty_like(scores), np.empty_like(scores)
    logsumexp = np.empty(len(scores), np.float32)
    kernels.softmax(scores, 1.0, softmax)
    kernels.log_softmax(scores, 1.0, log_softmax)
    kernels.logsumexp(scores, logsumexp)
    scale = np.maximum(np.abs(sums), np.abs(largest[:, 0]))
    return {
        "softmax": np.abs(softmax - shares) / units(shares),
        "log_softmax": np.abs(log_softmax - logs) / units(logs),
        "logsumexp": np.abs(logsumexp - sums) / units(scale),
        "sum of softmax": np.abs(softmax.astype(WIDE).sum(axis=1) - 1) * 2**24 / 2,
    }


@pytest.mark.parametrize(
    "kind",
    [
        "many equal",
        "20 above",
        *(
            pytest.param(kind, marks=pytest.mark.one_isa)
            for kind in ("normal", "whole numbers", "5 above", "100 above")
        ),
    ],
)
def test_random_rows_are_within_two_ulp(kind):
    rng = np.random.default_rng(7)
    worst = {}
    for classes in CLASSES:
        for spread, shift in product(SPREADS, SHIFTS):
            for name, errors in errors_of(rows_of(rng, classes, spread, shift, kind)).items():
                assert not np.isnan(errors).any(), (name, classes, spread, shift)
                found = (float(errors.max()), classes, spread, float(shift))
                worst[name] = max(worst.get(name, found), found)
    for name, (error, classes, spread, shift) in worst.items():
        print(f"{name}: {error:.2f} ulp at {classes} classes, spread {spread}, shift {shift:g}")
        assert error <= 2, (name, worst[name])
