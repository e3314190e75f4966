"""cross_entropy and its gradient: reductions, weights, soft targets, mistakes."""

import doctest
import importlib

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce import losses
from luce.errors import DataError
from luce.losses import cross_entropy, cross_entropy_gradient
from luce.maps import log_softmax, softmax

INF, NAN = np.inf, np.nan
EXACT = mpmath.MPContext()
EXACT.dps = 60


def problem(n=7, k=5, dtype=np.float64):
    rng = np.random.default_rng(1)
    return (
        (3 * rng.standard_normal((n, k))).astype(dtype),
        rng.integers(0, k, n),
        rng.uniform(0, 2, n),
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_reductions_and_weights(dtype):
    scores, labels, weights = problem(dtype=dtype)
    rows = np.arange(len(scores))
    each = -log_softmax(scores.astype(float))[rows, labels]
    tolerance = {"rtol": 1e-6 if dtype != np.float64 else 1e-14}
    for w, factor in ((None, np.ones(len(scores))), (weights, weights)):
        none = cross_entropy(scores, labels, sample_weight=w, reduction="none")
        np.testing.assert_allclose(none, factor * each, **tolerance)
        total = cross_entropy(scores, labels, sample_weight=w, reduction="sum")
        np.testing.assert_allclose(total, (factor * each).sum(), **tolerance)
        mean = cross_entropy(scores, labels, sample_weight=w)
        np.testing.assert_allclose(mean, (factor * each).sum() / factor.sum(), **tolerance)
        assert none.dtype == total.dtype == mean.dtype == np.float64


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_against_differences(reduction, soft, weighted):
    scores, labels, weights = problem(n=3, k=4)
    weights = weights if weighted else None
    targets = np.random.default_rng(2).dirichlet(np.ones(4), 3)
    value, gradient = cross_entropy_gradient(
        scores, targets if soft else labels, sample_weight=weights, reduction=reduction
    )
    expected = cross_entropy(
        scores, targets if soft else labels, sample_weight=weights, reduction=reduction
    )
    np.testing.assert_array_equal(value, expected)
    hard = np.eye(4)[labels]
    factors = np.ones(3) if weights is None else weights
    if reduction == "mean":
        factors = factors / factors.sum()
    for i in range(3):
        for j in range(4):
            slope = exact_slope(scores[i], (targets if soft else hard)[i], j)
            assert gradient[i, j] == pytest.approx(factors[i] * slope, rel=1e-13)


def exact_slope(row, target, column):
    def loss(step):
        moved = [EXACT.mpf(x) + (step if j == column else 0) for j, x in enumerate(row)]
        total = EXACT.log(EXACT.fsum(map(EXACT.exp, moved)))
        return EXACT.fsum(
            EXACT.mpf(float(t)) * (total - x) for t, x in zip(target, moved, strict=True)
        )

    step = EXACT.mpf(10) ** -20
    return float((loss(step) - loss(-step)) / (2 * step))


def test_one_hot_targets_are_labels():
    for dtype in (np.float32, np.float64):
        scores, labels, weights = problem(30, 12, dtype)
        for w in (None, weights):
            a = cross_entropy_gradient(scores, labels, sample_weight=w)
            b = cross_entropy_gradient(scores, np.eye(12, dtype=dtype)[labels], sample_weight=w)
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(b[0], a[0], rtol=4 * eps)
            np.testing.assert_allclose(b[1], a[1], rtol=4 * eps, atol=eps / 8)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_integer_labels_of_any_width(dtype):
    scores, labels, _ = problem()
    expected = cross_entropy(scores, labels)
    assert cross_entropy(scores, labels.astype(dtype)) == expected
    assert cross_entropy(scores.tolist(), labels.tolist()) == expected


def test_dtypes_and_layouts_of_scores():
    scores = np.arange(12).reshape(4, 3)
    labels = [0, 1, 2, 0]
    value, gradient = cross_entropy_gradient(scores, labels)
    assert gradient.dtype == np.float64
    for other in (np.asfortranarray(scores, float), np.repeat(scores, 2, axis=1)[:, ::2]):
        again, slope = cross_entropy_gradient(other, labels)
        assert again == value
        np.testing.assert_array_equal(slope, gradient)
    assert cross_entropy_gradient(scores.astype(np.float16), labels)[1].dtype == np.float16


def test_a_certain_row_keeps_its_digits():
    value, gradient = cross_entropy_gradient([[70.0, 0.0]], [0])
    small = float(mpmath.exp(-70))
    assert value == pytest.approx(small, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-small, small]], rtol=1e-15)


def test_impossible_classes_and_left_out_rows():
    scores = np.array([[0.0, -INF], [-INF, -INF], [NAN, 0.0], [0.0, 1.0]])
    for labels in ([1, 0, 0, 0], [[0, 1], [1, 0], [1, 0], [1, 0]]):
        value, gradient = cross_entropy_gradient(
            scores, np.array(labels), sample_weight=[1, 1, 0, 1], reduction="none"
        )
        np.testing.assert_allclose(value, [INF, INF, 0, np.log1p(np.e)])
        np.testing.assert_array_equal(gradient[:3], [[1, -1], [0, 0], [0, 0]])
    loss, gradient = cross_entropy_gradient(scores[2:], [[0, 1], [1, 0]], reduction="none")
    assert np.isnan(loss[0])
    assert np.isnan(gradient[0]).all()
    assert cross_entropy([[0.0, -INF]], [[1.0, 0.0]]) == 0


@given(st.integers(0, 6), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_gradients_of_rows_sum_to_zero(n, k, seed):
    rng = np.random.default_rng(seed)
    scores, labels = 9 * rng.standard_normal((n, k)), rng.integers(0, k, n)
    value, gradient = cross_entropy_gradient(scores, labels, reduction="sum")
    assert value >= 0
    assert np.abs(gradient.sum(axis=1)).max(initial=0) < 1e-14
    np.testing.assert_allclose(gradient, softmax(scores) - np.eye(k)[labels], atol=1e-15)


MISTAKES = {
    "label out of range": ([[0.0, 1.0]] * 3, [0, 1, 2], {}, r"labels\[2\] is 2.*0 to 1"),
    "negative label": ([[0.0, 1.0]] * 3, [0, -1, 2], {}, r"labels\[1\] is -1"),
    "huge label": ([[0.0, 1.0]], np.array([2**64 - 1], np.uint64), {}, str(2**64 - 1)),
    "no classes": (np.empty((2, 0)), [0, 0], {}, r"labels\[0\] is 0"),
    "float labels": ([[0.0, 1.0]], [1.0], {}, "labels have dtype float64"),
    "text labels": ([[0.0, 1.0]], ["a"], {}, "return_inverse"),
    "too few labels": ([[0.0, 1.0]] * 3, [0, 1], {}, r"labels have shape \(2,\)"),
    "one dimension": ([0.0, 1.0], [0, 1], {}, r"scores have shape \(2,\)"),
    "text scores": ([["a"]], [0], {}, "scores have dtype"),
    "negative target": ([[0.0, 1.0]], [[-0.5, 1.5]], {}, "row 0.*smallest entry -0.5"),
    "targets too small": ([[0.0, 1.0]] * 2, [[0.5, 0.5], [0.1, 0.1]], {}, "row 1 sum to 0.2"),
    "nan target": ([[0.0, 1.0]], [[NAN, 1.0]], {}, "row 0"),
    "negative weight": ([[0.0]] * 2, [0, 0], {"sample_weight": [1, -1]}, r"sample_weight\[1\]"),
    "nan weight": ([[0.0]], [0], {"sample_weight": [NAN]}, r"sample_weight\[0\] is nan"),
    "too many weights": ([[0.0]], [0], {"sample_weight": [1, 1]}, r"shape \(2,\); expected \(1,\)"),
    "text weight": ([[0.0]], [0], {"sample_weight": ["a"]}, "real numbers"),
    "no weight at all": ([[0.0]], [0], {"sample_weight": [0]}, "sum to 0"),
    "mean of nothing": (np.empty((0, 2)), np.empty(0, int), {}, "sum to 0"),
    "reduction": ([[0.0]], [0], {"reduction": "average"}, "'mean', 'sum' or 'none'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    scores, labels, options, message = MISTAKES[mistake]
    for function in (cross_entropy, cross_entropy_gradient):
        with pytest.raises(DataError, match=message):
            function(scores, labels, **options)


def test_the_sum_of_nothing():
    value, gradient = cross_entropy_gradient(np.empty((0, 2)), [], reduction="sum")
    assert value == 0
    assert gradient.shape == (0, 2)


def test_the_room_offers_what_it_says():
    offered = {n for n, v in vars(losses).items() if callable(v) and not n.startswith("_")}
    assert offered == set(losses.__all__)
    result = doctest.testmod(importlib.import_module("luce.losses.cross_entropy"))
    assert result.attempted > 0
    assert result.failed == 0


def test_arrays_that_are_not_aligned_are_copied():
    raw = np.zeros(8 * 12 + 1, np.uint8)[1:]
    scores = raw.view(np.float64).reshape(4, 3)
    weights = np.zeros(8 * 4 + 1, np.uint8)[1:].view(np.float64)
    weights[:] = 1
    assert not scores.flags.aligned
    value, gradient = losses.cross_entropy_gradient(scores, [0, 1, 2, 0], sample_weight=weights)
    assert value == pytest.approx(np.log(3))
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)


def test_weights_whose_sum_overflows_are_refused():
    with np.errstate(over="ignore"), pytest.raises(DataError, match="overflows"):
        cross_entropy([[0.0, 0.0], [0.0, 0.0]], [0, 1], sample_weight=[1e308, 1e308])
