"""Infinities, NaN and huge scores side by side with SciPy's functions of the same name.

All rows of one to three of these scores. SciPy is asked once, for plain rows; luce must give the
same in every layout. The differences: a row without a possible class has probabilities 0 (SciPy:
NaN); in weighted sums, huge scores are no infinities (SciPy exponentiates them, and may find
infinity minus infinity) and a class of weight 0 is left out also where the sum is infinite.
"""

from itertools import product

import numpy as np
import pytest
from scipy import special

import luce

INF, NAN = np.inf, np.nan
LENGTHS = [1, 2, 3]
WEIGHTS = [-2.0, 0.0, 1.0]
each_length = pytest.mark.parametrize("length", LENGTHS)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def values(dtype):
    huge = 1e38 if dtype == np.float32 else 1e300
    return [-INF, -huge, -1.0, 0.0, 2.0, huge, INF, NAN]


def grid(dtype, length):
    return np.array(list(product(values(dtype), repeat=length)), dtype)


def tolerance(dtype):
    return 8 * np.finfo(dtype).eps


def assert_close(result, expected):
    """SciPy's log_softmax has no relative digits near 0."""
    eps = np.finfo(result.dtype).eps
    np.testing.assert_allclose(result, expected, rtol=8 * eps, atol=eps)


def by_scipy(function, rows, **options):
    with np.errstate(all="ignore"):
        return function(rows, axis=-1, **options)


def impossible(rows):
    return (rows == -INF).all(axis=-1)


def in_rows(function, rows, **options):
    return function(rows, -1, **options)


def in_columns(function, rows, **options):
    return np.moveaxis(function(np.ascontiguousarray(rows.T), 0, **options), 0, -1)


def in_the_middle(function, rows, **options):
    array = np.ascontiguousarray(np.stack([rows, rows[::-1]], axis=-1))
    result = function(array, 1, **options)
    np.testing.assert_array_equal(result[..., 1], result[..., 0][::-1])
    return result[..., 0]


def among_impossible(function, rows, **options):
    """The scores as the 3rd, 20th and 37th of 70 classes that else cannot happen."""
    return placed([2, 19, 36], 70, function, rows, **options)


def last_of_many(function, rows, **options):
    """The same as the last of 300."""
    return placed([297, 298, 299], 300, function, rows, **options)


def placed(places, classes, function, rows, **options):
    places = places[: rows.shape[1]]
    wide = np.full((len(rows), classes), -INF, rows.dtype)
    wide[:, places] = rows
    result = function(wide, -1, **options)
    return result if result.ndim == 1 else result[:, places]


LAYOUTS = [in_rows, in_columns, in_the_middle, among_impossible, last_of_many]
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def softmax_of_scipy(rows):
    expected = by_scipy(special.softmax, rows)
    expected[impossible(rows)] = 0
    return expected


def log_softmax_of_scipy(rows):
    expected = by_scipy(special.log_softmax, rows)
    expected[impossible(rows)] = -INF
    return expected


MAPS = [(luce.softmax, softmax_of_scipy), (luce.log_softmax, log_softmax_of_scipy)]
each_map = pytest.mark.parametrize(("function", "expected"), MAPS, ids=["softmax", "log_softmax"])


@each_layout
@each_length
@each_map
def test_softmax_and_log_softmax(function, expected, length, layout, dtype):
    rows = grid(dtype, length)
    result = layout(function, rows)
    assert result.dtype == dtype
    assert_close(result, expected(rows))
    assert np.isnan(result[np.isnan(rows).any(axis=1)]).all()


@pytest.mark.parametrize("temperature", [0.25, 4.0])
@each_length
@each_map
def test_temperature(function, expected, length, temperature, dtype):
    rows = grid(dtype, length)
    with np.errstate(over="ignore"):
        warm = rows.astype(np.float64 if dtype == np.float32 else np.longdouble) / temperature
    result = function(rows, temperature=temperature)
    with np.errstate(over="ignore"):
        exact = expected(warm).astype(dtype)
    assert_close(result, exact)


@each_length
def test_argmax_is_numpys(length, dtype):
    rows = grid(dtype, length)
    np.testing.assert_array_equal(luce.argmax(rows), rows.argmax(axis=1))
    np.testing.assert_array_equal(luce.argmax(rows.T.copy(), 0), rows.argmax(axis=1))


@each_layout
@each_length
def test_hardmax(length, layout, dtype):
    """NumPy's argmax; a row is NaN with a NaN, and 0 without a possible class."""
    rows = grid(dtype, length)
    expected = np.eye(length)[rows.argmax(axis=1)] * ~impossible(rows)[:, None]
    expected[np.isnan(rows).any(axis=1)] = NAN
    np.testing.assert_array_equal(layout(luce.hardmax, rows), expected)


@each_layout
@each_length
def test_logsumexp(length, layout, dtype):
    rows = grid(dtype, length)
    value, sign = by_scipy(special.logsumexp, rows, return_sign=True)
    result = layout(luce.logsumexp, rows)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, value, rtol=tolerance(dtype))
    with_sign = luce.logsumexp(rows, return_sign=True)
    np.testing.assert_array_equal(with_sign[1], sign)
    np.testing.assert_allclose(with_sign[0], value, rtol=tolerance(dtype))
    assert with_sign[0].dtype == with_sign[1].dtype == dtype


def weighted_grid(dtype, length):
    """Every row with every choice of weights."""
    rows = grid(dtype, length)
    weights = np.array(list(product(WEIGHTS, repeat=length)), dtype)
    return np.repeat(rows, len(weights), axis=0), np.tile(weights, (len(rows), 1))


def scaled(value, sign, size):
    """The sum over its terms' sum of absolute values: what weights of both signs leave exact."""
    with np.errstate(all="ignore"):
        return np.where(sign == 0, 0, sign * np.exp(np.float64(value) - size))


@each_length
def test_logsumexp_with_weights(length, dtype):
    scores, weights = weighted_grid(dtype, length)
    counted = np.where(weights == 0, dtype(-INF), scores)
    infinite = (counted == INF).any(axis=1, keepdims=True)
    counted = np.where(infinite & np.isfinite(counted), dtype(0), counted)
    value, sign = by_scipy(special.logsumexp, counted, b=weights, return_sign=True)
    result, result_sign = luce.logsumexp(scores, weights=weights, return_sign=True)
    assert result.dtype == result_sign.dtype == dtype

    certain = np.isfinite(counted).any(axis=1) & (counted < INF).all(axis=1)
    special_rows = ~certain & ~np.isnan(counted).any(axis=1)
    np.testing.assert_array_equal(result[special_rows], value[special_rows])
    np.testing.assert_array_equal(result_sign[special_rows], sign[special_rows])

    size = by_scipy(special.logsumexp, np.float64(counted), b=np.abs(weights))[certain]
    cancelled = np.isnan(value[certain])
    assert (np.abs(size[cancelled]) > 1e37).all()
    ours = scaled(result[certain], result_sign[certain], size)
    theirs = np.where(cancelled, 0, scaled(value[certain], sign[certain], size))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance(dtype))


@each_length
def test_nan_without_weight_0_makes_a_weighted_row_nan(length, dtype):
    scores, weights = weighted_grid(dtype, length)
    nan = (np.isnan(scores) & (weights != 0)).any(axis=1)
    for result in luce.logsumexp(scores, weights=weights, return_sign=True):
        assert np.isnan(result[nan]).all()


@each_length
def test_without_its_sign_a_negative_sum_is_nan(length, dtype):
    scores, weights = weighted_grid(dtype, length)
    value, sign = luce.logsumexp(scores, weights=weights, return_sign=True)
    plain = luce.logsumexp(scores, weights=weights)
    np.testing.assert_array_equal(plain, np.where(sign < 0, NAN, value))


@each_length
def test_weights_along_other_axes(length, dtype):
    scores, weights = weighted_grid(dtype, length)
    rows = luce.logsumexp(scores, weights=weights, return_sign=True)
    columns = luce.logsumexp(scores.T, 0, weights=weights.T, return_sign=True)
    np.testing.assert_array_equal(columns[1], rows[1])
    np.testing.assert_allclose(columns[0], rows[0], rtol=tolerance(dtype))
