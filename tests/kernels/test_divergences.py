"""Kullback-Leibler divergences of rows, against the definition in 400 bits."""

import gmpy2
import numpy as np
import pytest
from gmpy2 import fsum, mpfr

INF, NAN = np.inf, np.nan


def divergence_of(implementation, y, p, log_p=None, threads=1):
    with np.errstate(divide="ignore"):
        log_p = np.log(p) if log_p is None else log_p
    out = np.full(len(y), 7.0)
    implementation.divergences(y, p, log_p, out, threads)
    return out


def exact(y, p, log_p):
    """The sum, and what rounding the given logarithms leaves unknown of it."""
    numbers = [tuple(map(mpfr, map(float, row))) for row in zip(y, p, log_p, strict=True)]
    terms = [b if a == 0 else a * (gmpy2.log(a) - c) - a + b for a, b, c in numbers]
    return fsum(terms)


@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 63, 200])
def test_far_and_tiny_targets(implementation, length):
    rng = np.random.default_rng(length)
    y, p = rng.dirichlet(np.full(length, 0.3), 8), rng.dirichlet(np.full(length, 3.0), 8)
    y[rng.random(y.shape) < 0.2] = 0.0
    y[:, -1], p[:, -1] = [0, 5e-324, 1e-310, 1e-300, 1e-16, 0.5, 1, 1], 0.25
    found = divergence_of(implementation, y, p)
    for i, value in enumerate(found):
        assert value == pytest.approx(float(exact(y[i], p[i], np.log(p[i]))), rel=4e-15)


@pytest.mark.parametrize("nearness", [0.5, 0.11, 0.09, 1e-3, 1e-6, 1e-8])
def test_near_targets_have_all_digits(implementation, nearness):
    """Relative to what p itself is: 2 log p is exact, the logarithm of p is not needed."""
    rng = np.random.default_rng(5)
    y = rng.dirichlet(np.ones(50), 6)
    p = y * (1 + nearness * rng.uniform(0.5, 1, y.shape) * rng.choice([-1, 1], y.shape))
    found = divergence_of(implementation, y, p)
    for i, value in enumerate(found):
        ratios = [mpfr(float(b)) / mpfr(float(a)) for a, b in zip(y[i], p[i], strict=True)]
        terms = [mpfr(float(a)) * (r - 1 - gmpy2.log(r)) for a, r in zip(y[i], ratios, strict=True)]
        # Beyond a tenth the logarithms are used, and are rounded.
        assert value == pytest.approx(float(fsum(terms)), rel=1e-14 if nearness < 0.1 else 1e-12)


def test_what_has_no_finite_divergence(implementation):
    y = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    p = np.array([[0.0, 1.0, 0.0], [NAN, 0.5, 0.5], [0.5, 0.5, NAN], [0.0, 1.0, 0.0]])
    found = divergence_of(implementation, y, p)
    np.testing.assert_array_equal(found, [INF, NAN, NAN, 0])


def test_threads_and_rows_apart_change_no_bit(implementation):
    rng = np.random.default_rng(1)
    y, p = rng.dirichlet(np.ones(30), 9000), rng.dirichlet(np.ones(30), 9000)
    found = divergence_of(implementation, y, p)
    np.testing.assert_array_equal(divergence_of(implementation, y, p, threads=3), found)
    wide = np.zeros((2, 9000, 33))
    wide[0, :, :30], wide[1, :, :30] = y, p
    again = divergence_of(implementation, wide[0, :, :30], wide[1, :, :30], np.log(p))
    np.testing.assert_array_equal(again, found)
    for shape in ((0, 3), (0, 0), (2, 0)):
        nothing = np.empty(shape)
        np.testing.assert_array_equal(divergence_of(implementation, nothing, nothing), 0)


def test_what_does_not_fit_is_refused():
    from luce import kernels

    y, out = np.full((4, 5), 0.2), np.empty(4)
    for arguments, message in (
        ((y.astype("f4"), y, y, out), "float64"),
        ((y, y[:3], y, out), "shape"),
        ((np.asfortranarray(y), y, y, out), "adjacent"),
        ((y, y, y, y[:, 0]), "adjacent|overlaps"),
        ((y, y, y, out[:3]), "shape"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            kernels.divergences(*arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [1, 4, 7, 8, 9, 65, 300])
def test_negative_entropies(implementation, length, dtype):
    rng = np.random.default_rng(length)
    p = rng.dirichlet(np.full(length, 0.3), 9).astype(dtype)
    p[rng.random(p.shape) < 0.2] = 0
    p[:, -1] = [0, 1e-45, 1e-40, 1e-30, 0.25, 0.5, 1, 2, np.inf]
    expected = []
    for row in p:
        numbers = [mpfr(float(x)) for x in row]
        expected.append(float(fsum([x * gmpy2.log(x) for x in numbers if x])))
    for threads in (1, 2):
        out = np.full(9, 7, dtype)
        implementation.negative_entropies(p, out, threads)
        limits = np.finfo(dtype)
        atol = float(limits.smallest_subnormal)
        np.testing.assert_allclose(out, expected, rtol=2 * limits.eps, atol=atol)
    wrong = np.zeros((2, length), dtype)
    wrong[0, -1], wrong[1, 0] = NAN, -1e-30
    implementation.negative_entropies(wrong, out[:2])
    assert np.isnan(out[:2]).all()
    implementation.negative_entropies(np.empty((2, 0), dtype), out[:2])
    np.testing.assert_array_equal(out[:2], 0)
