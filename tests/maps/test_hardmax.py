"""argmax, topk and hardmax: which of equals, NaN, masks, integers beyond doubles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from luce.errors import DataError
from luce.maps import argmax, hardmax, topk

INF, NAN = np.inf, np.nan
DTYPES = [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint64, np.bool_]
SCORES = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.int32]),
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9),
    elements=st.integers(-3, 3),
)
FLOATS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=12),
    elements=st.sampled_from([0.0, 1.0, 2.0, -INF, INF, NAN]),
)


@given(SCORES | FLOATS, st.booleans())
def test_argmax_is_numpys(scores, keepdims):
    for axis in [None, *range(-scores.ndim, scores.ndim)]:
        result = argmax(scores, axis, keepdims=keepdims)
        expected = scores.argmax(axis, keepdims=keepdims)
        np.testing.assert_array_equal(result, expected)
        assert np.shape(result) == np.shape(expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_argmax_of_every_dtype(dtype):
    scores = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]]).astype(dtype)
    np.testing.assert_array_equal(argmax(scores), [1, 0, 0])
    np.testing.assert_array_equal(argmax(scores, where=[False, True, True]), [1, 1, 1])


def test_integers_beyond_doubles():
    scores = np.array([2**63 - 2, 2**63 - 1, 2**63 - 1])
    assert argmax(scores) == 1
    assert topk(scores, 1)[0] == 2**63 - 1
    lowest = np.array([-(2**63), -(2**63)])
    assert argmax(lowest, where=[False, True]) == 1


def test_argmax_over_several_axes_counts_in_c_order():
    scores = np.random.default_rng(1).standard_normal((3, 4, 5))
    index = argmax(scores, axis=(0, 2))
    assert index.shape == (4,)
    for j in range(4):
        i, k = np.unravel_index(index[j], (3, 5))
        assert scores[i, j, k] == scores[:, j].max()
    assert argmax(scores, axis=(0, 2), keepdims=True).shape == (1, 4, 1)


def test_argmax_with_where():
    scores = np.array([[5.0, -INF, -INF], [NAN, 1.0, 2.0]])
    np.testing.assert_array_equal(
        argmax(scores, where=[[False, False, True], [False, True, True]]), [2, 2]
    )
    with pytest.raises(DataError, match="row 1"):
        argmax(scores, where=[[True] * 3, [False] * 3])


@pytest.mark.parametrize("scores", [np.empty(0), np.empty((3, 0))])
def test_no_classes(scores):
    with pytest.raises(DataError, match="no classes"):
        argmax(scores)
    assert argmax(np.empty((0, 3))).shape == (0,)
    assert hardmax(scores).shape == scores.shape


def test_what_is_no_real_number():
    for scores in (["a"], [1j]):
        with pytest.raises(DataError, match="real numbers"):
            argmax(scores)


@given(SCORES | FLOATS, st.data())
def test_topk_is_a_stable_sort(scores, data):
    k = data.draw(st.integers(0, scores.shape[-1]))
    values, indices = topk(scores, k)
    keys = np.where(np.isnan(scores), INF, scores.astype(float))
    rank = np.lexsort((-keys, ~np.isnan(scores)), axis=-1)[..., :k]
    np.testing.assert_array_equal(indices, rank)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, rank, axis=-1))
    assert values.dtype == scores.dtype
    assert indices.dtype == np.int64


def test_topk_of_many_classes():
    scores = np.random.default_rng(2).integers(0, 50, (5, 2000)).astype(np.float32)
    values, indices = topk(scores, 60)
    expected = np.argsort(-scores, axis=-1, kind="stable")[:, :60]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=-1))


@pytest.mark.parametrize("k", [-1, 4, 1.5, "2", None, True])
def test_k_that_is_none(k):
    with pytest.raises(DataError, match="k is"):
        topk([1.0, 2.0, 3.0], k)


def test_topk_needs_an_axis():
    with pytest.raises(DataError, match="single number"):
        topk(1.0, 1)


@given(SCORES)
def test_hardmax_is_argmax_as_a_vertex(scores):
    for axis in range(scores.ndim):
        result = hardmax(scores, axis)
        np.testing.assert_array_equal(result.sum(axis), 1)
        np.testing.assert_array_equal(result.argmax(axis), scores.argmax(axis))
        assert result.dtype == (scores.dtype if scores.dtype.kind == "f" else np.float64)


def test_hardmax_of_rows_without_a_winner():
    scores = np.array([[-INF, -INF], [NAN, 1.0], [INF, INF]])
    np.testing.assert_array_equal(hardmax(scores), [[0, 0], [NAN, NAN], [1, 0]])


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_hardmax_of_many_scores_is_that_of_few(dtype, axis):
    rng = np.random.default_rng(5)
    scores = rng.choice(
        np.array([0, 1, 2, -INF, INF, NAN], dtype),
        (15, 17, 11),
        p=(0.31,) * 3 + (0.06, 0.005, 0.005),
    )
    scores[:, 3] = -INF
    axes = tuple(range(3)) if axis is None else axis if isinstance(axis, tuple) else (axis % 3,)
    expected = np.empty_like(scores)
    batch = [i for i in range(3) if i not in axes]
    for index in np.ndindex(*(scores.shape[i] for i in batch)):
        row = [slice(None)] * 3
        for i, at in zip(batch, index, strict=True):
            row[i] = at
        few = scores[tuple(row)]
        one = np.zeros_like(few)
        best = np.unravel_index(few.argmax(), few.shape)
        one[best] = few[best] > -INF
        expected[tuple(row)] = NAN if np.isnan(few).any() else one
    result = hardmax(scores, axis)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
