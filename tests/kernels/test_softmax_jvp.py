"""The derivative of softmax times a tangent, against the same in 400 bits."""

import numpy as np
import pytest
from gmpy2 import fsum, mpfr

from luce import kernels

LENGTHS = [1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129, 257, 1001]


def problem(columns, dtype):
    """Ordinary, nearly certain and certain rows; tangents around 0 and far from it."""
    rng = np.random.default_rng(columns)
    scores = rng.standard_normal((9, columns)) * np.array([1, 3, 10, 30, 60, 0, 1, 3, 30])[:, None]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p[6, 1::3] = 0
    p /= p.sum(axis=1, keepdims=True)
    t = rng.standard_normal((9, columns))
    t[[1, 3]] += 1e4
    return p.astype(dtype), t.astype(dtype)


def moved(implementation, p, t, temperature=1.0, threads=1):
    out = np.empty_like(p)
    implementation.softmax_jvp(p, t, temperature, out, threads)
    return out


@pytest.mark.parametrize("columns", LENGTHS)
def test_against_the_exact_moves(implementation, oracle, dtype, columns):
    worst = 0.0
    p, t = problem(columns, dtype)
    temperatures = np.array([1, 1, 1, 0.3, 7, 1e-3, 1, 2, 1e3])
    for temperature in (1.0, temperatures):
        got = moved(implementation, p, t, temperature)
        for i, by in enumerate(np.broadcast_to(temperature, 9)):
            shares, moves = [mpfr(float(x)) for x in p[i]], [mpfr(float(x)) for x in t[i]]
            top = moves[int(p[i].argmax())]
            terms = [a * (b - top) for a, b in zip(shares, moves, strict=True)]
            mean, size = fsum(terms), fsum([abs(x) for x in terms])
            for j in range(columns):
                exact = shares[j] * ((moves[j] - top) - mean) / mpfr(float(by))
                unit = shares[j] * (abs(moves[j] - top) + size) / mpfr(float(by))
                error = abs(mpfr(float(got[i, j])) - exact)
                tiny = mpfr(float(np.finfo(dtype).smallest_normal))
                worst = max(worst, float(error / (unit * float(np.finfo(dtype).eps) + tiny)))
    assert worst <= 3, worst


@pytest.mark.parametrize("columns", [3, 10, 40, 300])
def test_strides_and_threads_do_not_matter(dtype, columns):
    p, t = problem(columns, dtype)
    p, t = np.tile(p, (5, 1)), np.tile(t, (5, 1))
    plain = moved(kernels, p, t)
    np.testing.assert_array_equal(moved(kernels, p, t, threads=2), plain)
    wide = np.empty((2 * len(p), columns + 3), dtype)
    strided = wide[::-2, 1:-2]
    strided[...] = t
    np.testing.assert_array_equal(moved(kernels, p, strided), plain)
    eps = np.finfo(dtype).eps
    turned = moved(kernels, np.asfortranarray(p), np.asfortranarray(t))
    np.testing.assert_allclose(turned, plain, rtol=8 * eps, atol=8 * eps * np.abs(t).max())
    here = p.copy()
    kernels.softmax_jvp(here, t, 1.0, here)
    np.testing.assert_array_equal(here, plain)


@pytest.mark.parametrize("columns", [3, 40, 300])
def test_special_values(implementation, dtype, columns):
    p, t = problem(columns, dtype)
    p[0, 1], p[1, 2] = 0, np.nan
    p[2] = 0
    for nothing in (np.nan, np.inf, -np.inf):
        t[0, 1] = t[2, 0] = nothing
        got = moved(implementation, p, t)
        assert got[0, 1] == 0
        assert np.isfinite(got[0]).all()
        assert np.isnan(got[1]).all()
        assert (got[2] == 0).all()
        np.testing.assert_array_equal(got[3:], moved(implementation, p[3:], t[3:]))
    assert (moved(implementation, p[3:], t[3:], np.inf) == 0).all()


def test_refused(dtype):
    p = np.zeros((2, 3), dtype)
    other = np.zeros((2, 3), np.float16)
    for arguments in (
        (p, p[:1], 1.0, p.copy()),
        (p, other, 1.0, p.copy()),
        (p, p.copy(), -1.0, p.copy()),
        (p, p.copy(), np.ones(3), p.copy()),
        (p, p.copy(), 1.0, np.zeros((3, 2), dtype)),
        (other, other, 1.0, other.copy()),
    ):
        with pytest.raises((ValueError, TypeError)):
            kernels.softmax_jvp(*arguments)
    t = p.copy()
    with pytest.raises(ValueError, match="overlaps tangents"):
        kernels.softmax_jvp(p, t, 1.0, t)
