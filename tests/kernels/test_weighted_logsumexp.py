"""log |sum w exp(score)| and its sign, against the same in 400 bits."""

import numpy as np
import pytest
from gmpy2 import exp, fsum, log, mpfr, sign

from luce import kernels

LENGTHS = [1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129, 300]


def problem(columns):
    """Weights of one sign and of both, far apart, with zeros; scores near, far and shifted."""
    rng = np.random.default_rng(columns)
    scales = np.array([1, 5, 50, 900, 1, 1, 5, 1, 1, 1, 1])
    x = rng.standard_normal((11, columns)) * scales[:, None]
    w = rng.standard_normal((11, columns))
    w[[0, 1, 2]] = np.abs(w[[0, 1, 2]])
    w[3:5, ::2] = 0
    w[3:5, 0] = 1
    w[5] *= 10.0 ** rng.integers(-300, 300, columns)
    w[6] *= 10.0 ** rng.integers(-20, 20, columns)
    x[7] += 1e8
    x[8, 1:] -= 60
    w[8] = 1
    # The largest terms are of the lowest scores; scores far below count as much as the largest.
    x[9, -1], w[9], w[9, -1] = 800, 1e250, 1e-200
    x[10] -= 300
    w[10] = np.exp(-x[10]) * rng.random(columns)
    x[10, 0], w[10, 0] = 0.1, 1
    return x, w


def computed(implementation, x, w, threads=1):
    values, signs = np.empty((2, len(x)))
    implementation.weighted_logsumexp(x, w, values, signs, threads)
    return values, signs


@pytest.mark.parametrize("columns", LENGTHS)
def test_against_the_exact_sum(implementation, oracle, columns):
    x, w = problem(columns)
    values, signs = computed(implementation, x, w)
    for i in range(len(x)):
        terms = [mpfr(float(b)) * exp(mpfr(float(a))) for a, b in zip(x[i], w[i], strict=True) if b]
        total, size = fsum(terms), fsum([abs(term) for term in terms])
        kept = float(abs(total) / size)
        if kept < 1e-6:
            continue
        assert signs[i] == sign(total)
        pivot = max(range(len(terms)), key=lambda j: abs(terms[j]))
        used = np.flatnonzero(w[i])[pivot]
        scale = max(abs(x[i, used]), abs(np.log(abs(w[i, used]))), abs(values[i]))
        error = float(abs(mpfr(float(values[i])) - log(abs(total))))
        assert error <= 3 * np.spacing(scale) + 1e-15 / kept * (scale > 1e-3), (i, error)


@pytest.mark.parametrize("columns", [3, 20, 200])
def test_special_values(implementation, columns):
    inf, nan = np.inf, np.nan
    x, w = np.zeros((8, columns)), np.ones((8, columns))
    w[:, 1] = -1
    x[0, 0] = inf
    x[1, 1] = inf
    x[2, :2] = inf
    x[3, 0] = nan
    x[4] = -inf
    w[5] = 0
    x[6, 2], w[6, 2] = nan, 0
    x[7, 2], w[7, 2] = inf, 0
    values, signs = computed(implementation, x, w)
    exact = np.log(columns - 3) if columns > 3 else -inf
    np.testing.assert_allclose(values, [inf, inf, nan, nan, -inf, -inf, exact, exact], rtol=1e-15)
    np.testing.assert_array_equal(signs, [1, -1, nan, nan, 0, 0, *[columns > 3] * 2])


@pytest.mark.parametrize("columns", [3, 20, 200])
def test_strides_and_threads_do_not_matter(columns):
    x, w = (np.tile(array, (5, 1)) for array in problem(columns))
    plain = computed(kernels, x, w)
    for others in (
        computed(kernels, x, w, 2),
        computed(kernels, x, np.repeat(w, 2, axis=1)[:, ::2]),
    ):
        np.testing.assert_array_equal(others, plain)
    turned = computed(kernels, np.asfortranarray(x), np.asfortranarray(w))
    np.testing.assert_allclose(turned, plain, rtol=1e-12, atol=1e-12)
    one = np.broadcast_to(w[:1], x.shape)
    np.testing.assert_array_equal(computed(kernels, x, one), computed(kernels, x, one.copy()))


def test_refused():
    x, out = np.zeros((2, 3)), np.zeros(2)
    for arguments in (
        (x, x[:1], out, out.copy()),
        (x, x.astype(np.float32), out, out.copy()),
        (x.astype(np.float32), x.astype(np.float32), out, out.copy()),
        (x, x.copy(), np.zeros(3), out),
        (x, x.copy(), out, out),
    ):
        with pytest.raises((ValueError, TypeError)):
            kernels.weighted_logsumexp(*arguments)
