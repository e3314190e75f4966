"""logsumexp: plain against identities, weighted against the exact sum."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.maps import logsumexp

INF, NAN = np.inf, np.nan
EXACT = mpmath.MPContext()
EXACT.prec = 4000


def exact(scores, weights):
    """log |sum|, its sign, and the logarithm of the sum of absolute values."""
    terms = [
        EXACT.mpf(float(w)) * EXACT.exp(EXACT.mpf(float(x)))
        for x, w in zip(scores, weights, strict=True)
        if w
    ]
    total, size = EXACT.fsum(terms), EXACT.fsum(map(abs, terms))
    log = EXACT.log(abs(total)) if total else EXACT.ninf
    return log, EXACT.sign(total), EXACT.log(size) if size else EXACT.ninf


def test_axes_and_keepdims():
    scores = np.random.default_rng(1).standard_normal((3, 4, 5))
    for axis in (0, 1, -1, (0, 2), None):
        expected = np.log(np.exp(scores).sum(axis=axis))
        np.testing.assert_allclose(logsumexp(scores, axis), expected, rtol=1e-14)
        kept = logsumexp(scores, axis, keepdims=True)
        assert kept.shape == np.sum(scores, axis=axis, keepdims=True).shape
    assert isinstance(logsumexp([1.0, 2.0]), np.float64)
    assert logsumexp(np.zeros(3, np.float16)).dtype == np.float16
    assert logsumexp([0, 0]) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("scores", "value", "sign"),
    [([-INF, -INF], -INF, 0), ([], -INF, 0), ([INF, -INF], INF, 1), ([NAN, 0], NAN, NAN)],
)
def test_special_rows(scores, value, sign):
    for weights in (None, 1.0):
        result = logsumexp(np.array(scores, float), weights=weights, return_sign=True)
        np.testing.assert_array_equal(result, (value, sign))


@pytest.mark.parametrize(
    ("scores", "weights", "value", "sign"),
    [
        ([INF, 0], [-1, 1], INF, -1),
        ([INF, INF], [-1, 1], NAN, NAN),
        ([INF, 0], [0, 1], 0, 1),
        ([NAN, 0], [0, 1], 0, 1),
        ([1, 1], [1, -1], -INF, 0),
        ([5, 5], [0, 0], -INF, 0),
        ([-INF, 0], [3, -1], 0, -1),
    ],
)
def test_special_weights(scores, weights, value, sign):
    result = logsumexp(np.array(scores, float), weights=weights, return_sign=True)
    np.testing.assert_array_equal(result, (value, sign))
    plain = logsumexp(np.array(scores, float), weights=weights)
    np.testing.assert_array_equal(plain, NAN if sign == -1 else value)


SCORES = st.one_of(st.floats(-5, 5), st.floats(-2000, 2000), st.just(-INF))
WEIGHTS = st.one_of(st.floats(-3, 3), st.floats(-1e300, 1e300), st.sampled_from([0.0, 1e-300, 1]))


@given(st.lists(st.tuples(SCORES, WEIGHTS), min_size=1, max_size=8))
def test_weights_against_the_exact_sum(pairs):
    scores, weights = np.array(pairs).T
    value, sign = logsumexp(scores, weights=weights, return_sign=True)
    log, exact_sign, size = exact(scores, weights)
    if EXACT.isinf(size):
        assert (value, sign) == (-INF, 0)
        return
    # Rounding the largest term's score and the logarithm of its weight bounds what can be had.
    relevant = (
        np.abs(scores[np.isfinite(scores)]).max()
        + np.abs(np.log(np.abs(weights[weights != 0]))).max()
    )
    unit = float(np.spacing(max(relevant, 1e-300))) + 1e-15
    cancelled = EXACT.exp(log - size) if not EXACT.isinf(log) else 0
    if cancelled < 1e-6:
        return
    assert sign == exact_sign
    assert abs(float(EXACT.mpf(float(value)) - log)) <= 4 * unit / float(cancelled)


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=8))
def test_equal_weights_are_a_constant(scores):
    plain = logsumexp(scores)
    np.testing.assert_allclose(logsumexp(scores, weights=1.0), plain, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(
        logsumexp(scores, weights=0.25), plain - np.log(4), rtol=1e-14, atol=1e-14
    )


def test_weights_as_far_apart_as_floats_go():
    value = logsumexp([0.0, 1400.0], weights=[1e300, 1e-300])
    log, _, _ = exact([0.0, 1400.0], [1e300, 1e-300])
    assert value == pytest.approx(float(log), rel=1e-15)
    assert logsumexp([0.0, -2000.0], weights=[5e-324, 1e308]) == pytest.approx(np.log(5e-324))


def test_weights_broadcast_both_ways():
    scores = np.zeros((2, 1))
    np.testing.assert_allclose(logsumexp(scores, weights=[1, 2, 3]), np.log([6, 6]))
    with pytest.raises(DataError, match="does not fit"):
        logsumexp(np.zeros((2, 2)), weights=[1, 2, 3])
    with pytest.raises(DataError, match="finite"):
        logsumexp([1.0], weights=[NAN])
    with pytest.raises(DataError, match="real numbers"):
        logsumexp([1.0], weights=["a"])
