"""softmax and log_softmax on any array: axes, dtypes, masks, temperatures, outputs."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from luce.errors import DataError
from luce.maps import hardmax, log_softmax, logsumexp, softmax

INF, NAN = np.inf, np.nan
BOTH = pytest.mark.parametrize("function", [softmax, log_softmax])


def plain(scores, axis=-1, temperature=1.0):
    """The textbook formula in extended precision."""
    wide = np.asarray(scores, np.longdouble) / temperature
    exponentials = np.exp(wide - wide.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def random_scores(*shape):
    return np.random.default_rng(1).standard_normal(shape) * 3


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3, (0, 2), (2, 0), (1,), None])
def test_any_axis(axis):
    scores = random_scores(3, 4, 5)
    expected = plain(scores, axis)
    result = softmax(scores, axis)
    assert result.shape == scores.shape
    np.testing.assert_allclose(result, expected.astype(float), rtol=1e-15)
    np.testing.assert_allclose(
        log_softmax(scores, axis), np.log(expected).astype(float), rtol=1e-14
    )


def test_an_axis_that_is_not_there():
    with pytest.raises(DataError, match="axis 1 does not fit"):
        softmax([1.0, 2.0], axis=1)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("f2", "f2"),
        ("f4", "f4"),
        ("f8", "f8"),
        (">f4", "f4"),
        ("i1", "f8"),
        ("u8", "f8"),
        ("?", "f8"),
    ],
)
@BOTH
def test_dtypes(function, dtype, expected):
    scores = np.array([[1, 0, 1], [0, 0, 1]], dtype)
    result = function(scores)
    assert result.dtype == np.dtype(expected)
    exact = plain(scores) if function is softmax else np.log(plain(scores))
    np.testing.assert_allclose(result, exact, rtol=2 * np.finfo(expected).eps)


@pytest.mark.parametrize("scores", [["a"], [1j], [None], np.zeros(2, np.longdouble)])
def test_what_is_no_real_number(scores):
    with pytest.raises(DataError, match=r"dtype|not supported"):
        softmax(scores)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3)])
@BOTH
def test_zero_sizes(function, shape):
    for axis in range(len(shape)):
        assert function(np.empty(shape), axis).shape == shape


@BOTH
def test_strides_make_no_difference(function):
    base = random_scores(8, 12, 6)
    views = [base[::2], base[:, ::-1], base[..., ::3], base.T, np.broadcast_to(base[0, 0], (4, 6))]
    raw = np.zeros(1 + base.nbytes, np.uint8)[1:].view(np.float64).reshape(base.shape)
    raw[...] = base
    for view in [*views, raw]:
        for axis in range(view.ndim):
            expected = function(np.moveaxis(view, axis, -1).copy())
            np.testing.assert_array_equal(np.moveaxis(function(view, axis), axis, -1), expected)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@BOTH
def test_out_in_place_and_overlapping(function, axis, dtype):
    scores = random_scores(6, 7).astype(dtype)
    expected = function(scores, axis)
    for out in (np.empty_like(scores), np.empty_like(scores.T).T, np.empty((12, 7), dtype)[::2]):
        assert function(scores, axis, out=out) is out
        np.testing.assert_array_equal(out, expected)
    here = scores.copy()
    function(here, axis, out=here)
    np.testing.assert_array_equal(here, expected)
    frame = np.zeros((7, 7), dtype)
    frame[:-1] = scores
    function(frame[:-1], axis, out=frame[1:])
    np.testing.assert_array_equal(frame[1:], expected)


def test_out_with_where_and_limits_in_place():
    for temperature in (0.0, 1.0, INF):
        scores = random_scores(4, 3)
        mask = np.array([True, False, True])
        expected = softmax(scores, where=mask, temperature=temperature)
        softmax(scores, where=mask, temperature=temperature, out=scores)
        np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize(
    "out", [np.empty((2, 3)), np.empty((2, 2), "f4"), [[0.0] * 2] * 2, np.broadcast_to(0.0, (2, 2))]
)
def test_out_that_does_not_fit(out):
    with pytest.raises(DataError, match="out is"):
        softmax(np.zeros((2, 2)), out=out)


def test_where_excludes():
    scores = np.array([[1.0, NAN, 2.0], [3.0, 4.0, INF]])
    mask = [True, False, True], [True, True, False]
    result = softmax(scores, where=mask)
    assert result[0, 1] == 0
    assert result[1, 2] == 0
    np.testing.assert_allclose(result[0, [0, 2]], softmax([1.0, 2.0]))
    np.testing.assert_allclose(result[1, :2], softmax([3.0, 4.0]))
    np.testing.assert_array_equal(softmax(scores, where=False), np.zeros((2, 3)))
    np.testing.assert_array_equal(log_softmax(scores, where=False), np.full((2, 3), -INF))


def test_where_that_does_not_fit():
    with pytest.raises(DataError, match="does not broadcast"):
        softmax(np.zeros((2, 3)), where=[True, False])
    with pytest.raises(DataError, match="expected booleans"):
        softmax(np.zeros((2, 3)), where=[1, 0, 1])


def test_temperature_at_its_ends():
    scores = np.array([[1.0, 5.0, 5.0, -INF], [-INF] * 4, [0.0, NAN, 1.0, 1.0], [INF, 0, INF, 0]])
    np.testing.assert_array_equal(softmax(scores, temperature=0), hardmax(scores))
    np.testing.assert_array_equal(softmax(scores, temperature=0)[0], [0, 1, 0, 0])
    np.testing.assert_array_equal(softmax(scores, temperature=0)[3], [1, 0, 0, 0])
    third = np.divide(1, 3)
    uniform = [[third, third, third, 0], [0] * 4, [NAN] * 4, [NAN] * 4]
    np.testing.assert_array_equal(softmax(scores, temperature=INF), uniform)
    np.testing.assert_array_equal(log_softmax(scores, temperature=0)[0], [-INF, 0, -INF, -INF])
    np.testing.assert_array_equal(
        log_softmax(scores, temperature=INF)[:2], [[*np.log([third] * 3), -INF], [-INF] * 4]
    )


@pytest.mark.parametrize("temperature", [-1, NAN, -INF, "warm", None, [1.0, 2.0]])
@BOTH
def test_temperatures_that_are_none(function, temperature):
    with pytest.raises(ValueError, match=r"temperature (is|has)"):
        function([1.0, 2.0], temperature=temperature)


FINITE = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9),
    elements=st.floats(-1000, 1000, width=32),
)


@given(FINITE, st.floats(2**-10, 2**10))
def test_a_distribution_in_the_order_of_the_scores(scores, temperature):
    probabilities = softmax(scores, temperature=temperature)
    assert (probabilities >= 0).all()
    eps = np.finfo(scores.dtype).eps
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=20 * eps)
    order = np.argsort(scores, axis=-1, kind="stable")
    assert (np.diff(np.take_along_axis(probabilities, order, -1), axis=-1) >= 0).all()


@given(FINITE, st.integers(-(2**12), 2**12))
def test_a_constant_changes_nothing(scores, constant):
    """But for the last bits, where adding the constant rounds nothing."""
    scores = np.round(scores)
    for function in (softmax, log_softmax):
        np.testing.assert_array_max_ulp(function(scores + constant), function(scores), 4)


@given(FINITE)
def test_log_softmax_is_scores_minus_logsumexp(scores):
    total = logsumexp(scores, keepdims=True)
    eps = np.finfo(scores.dtype).eps
    np.testing.assert_allclose(
        log_softmax(scores), scores - total, rtol=4 * eps, atol=4 * eps * np.abs(scores).max()
    )


@given(FINITE, st.data())
def test_where_is_the_same_as_leaving_out(scores, data):
    mask = data.draw(hnp.arrays(bool, scores.shape[-1:]))
    np.testing.assert_allclose(
        softmax(scores, where=mask)[..., mask], softmax(scores[..., mask]), rtol=1e-6, atol=1e-40
    )


def test_against_scipy_where_it_is_right():
    scipy_special = pytest.importorskip("scipy.special")
    scores = random_scores(5, 6, 7)
    for axis in (0, 1, 2, None, (0, 1)):
        np.testing.assert_allclose(
            softmax(scores, axis), scipy_special.softmax(scores, axis), rtol=1e-14
        )


def test_the_tail_of_log_softmax_keeps_its_digits():
    exact = -mpmath.log1p(mpmath.exp(-mpmath.mpf(60)))
    assert log_softmax([60.0, 0.0])[0] == pytest.approx(float(exact), rel=1e-15)
