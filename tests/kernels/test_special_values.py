"""Infinities, NaN, ties and empty matrices: exact answers, no tolerance."""

import ml_dtypes
import numpy as np
import pytest

from luce import kernels

INF, NAN = np.inf, np.nan

# scores, softmax, log_softmax, logsumexp
ROWS = {
    "impossible class": ([0, -INF, 0], [0.5, 0, 0.5], None, None),
    "single possible class": ([-INF, 7, -INF], [0, 1, 0], [-INF, 0, -INF], 7),
    "no possible class": ([-INF, -INF], [0, 0], [-INF, -INF], -INF),
    "one infinite": ([INF, 1, -INF], [NAN] * 3, [NAN, -INF, -INF], INF),
    "two infinite": ([INF, INF], [NAN] * 2, [NAN] * 2, INF),
    "nan": ([0, NAN, 1], [NAN] * 3, [NAN] * 3, NAN),
    "nan and -inf": ([-INF, NAN, -INF], [NAN] * 3, [NAN] * 3, NAN),
    "nan and inf": ([INF, NAN, 0], [NAN] * 3, [NAN] * 3, NAN),
    "only nan": ([NAN, NAN], [NAN] * 2, [NAN] * 2, NAN),
}


def among_others(row, length, dtype):
    """The row, filled up with impossible classes to a length, between two ordinary rows."""
    matrix = np.full((3, length), -INF, dtype)
    matrix[1, : len(row)] = row
    matrix[[0, 2], 0] = 0
    return matrix


@pytest.mark.parametrize("length", [3, 12, 60, 131, 300])
@pytest.mark.parametrize("name", ROWS)
def test_infinite_rows(implementation, dtype, name, length):
    row, probabilities, logs, total = ROWS[name]
    scores = among_others(row, length, dtype)
    out, sums = np.empty_like(scores), np.empty(3, dtype)
    implementation.softmax(scores, 1.0, out)
    np.testing.assert_array_equal(out[1, : len(row)], np.array(probabilities, dtype))
    np.testing.assert_array_equal(out[[0, 2]], np.eye(length, dtype=dtype)[[0, 0]])
    if logs is not None:
        implementation.log_softmax(scores, 1.0, out)
        np.testing.assert_array_equal(out[1, : len(row)], np.array(logs, dtype))
        np.testing.assert_array_equal(out[[0, 2], 0], [0, 0])
    if total is not None:
        implementation.logsumexp(scores, sums)
        np.testing.assert_array_equal(sums, np.array([0, total, 0], dtype))


@pytest.mark.parametrize("length", [3, 60, 300])
@pytest.mark.parametrize(
    ("row", "label", "loss", "gradient"),
    [
        ([0, -INF, -INF], 0, 0, [0, 0, 0]),
        ([0, -INF, -INF], 1, INF, [1, -1, 0]),
        ([-INF, -INF, -INF], 2, INF, [0, 0, 0]),
        ([INF, 0, 1], 0, NAN, [NAN] * 3),
        ([INF, 0, 1], 1, INF, [NAN] * 3),
        ([NAN, 0, 1], 1, NAN, [NAN] * 3),
        ([0, NAN, INF], 0, NAN, [NAN] * 3),
    ],
)
def test_cross_entropy_of_infinite_rows(implementation, dtype, row, label, loss, gradient, length):
    scores = among_others(row, length, dtype)
    losses, out = np.empty(3), np.empty_like(scores)
    implementation.cross_entropy(scores, np.array([0, label, 0]), None, losses, out)
    np.testing.assert_array_equal(losses, [0, loss, 0])
    np.testing.assert_array_equal(out[1, : len(row)], gradient)
    np.testing.assert_array_equal(out[[0, 2]], 0)


@pytest.mark.parametrize("length", [2, 60, 300])
def test_a_row_of_weight_zero_is_left_out(implementation, dtype, length):
    scores = np.zeros((4, length), dtype)
    scores[0, 0], scores[1, 1], scores[2] = NAN, INF, -INF
    losses, gradient = np.empty(4), np.empty_like(scores)
    weights = np.array([0.0, 0.0, 0.0, 1.0])
    implementation.cross_entropy(scores, np.zeros(4, int), weights, losses, gradient)
    np.testing.assert_array_equal(losses[:3], 0)
    np.testing.assert_array_equal(gradient[:3], 0)
    assert losses[3] == pytest.approx(np.log(length))


@pytest.mark.parametrize("bad", [-1, 3, -(2**62)])
def test_a_label_out_of_range_is_named_and_nothing_written(implementation, dtype, bad):
    scores = np.ones((5, 3), dtype)
    losses, gradient = np.full(5, 8.0), np.full((5, 3), 8, dtype)
    labels = np.array([0, 2, bad, bad, 1])
    assert implementation.cross_entropy(scores, labels, None, losses, gradient) == 2
    assert (losses == 8).all()
    assert (gradient == 8).all()


def test_argmax_is_numpys(implementation, dtype):
    rng = np.random.default_rng(6)
    for length in [*range(1, 71), 127, 128, 129, 511, 513, 1000, 1025, 2100]:
        scores = rng.integers(0, 4, (20, length)).astype(dtype)
        scores[5:9][rng.random((4, length)) < 2 / length] = NAN
        scores[9:13][rng.random((4, length)) < 0.5] = -INF
        scores[13:16][rng.random((3, length)) < 1 / length] = INF
        scores[16] = -INF
        scores[17] = NAN
        out = np.empty(20, np.int64)
        implementation.argmax(scores, out)
        np.testing.assert_array_equal(out, scores.argmax(axis=1))


@pytest.mark.parametrize("floats", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("classes", [130, 500])
def test_argmax_of_a_row_that_begins_anywhere_in_a_line(floats, classes):
    room, out = np.full(64 + classes + 64, np.nan, floats), np.empty(1, np.int64)
    for begin in range(64):
        around = room.copy()
        row = around[begin : begin + classes]
        row[...] = np.random.default_rng(begin).permutation(classes)
        scores = row[None].view(np.uint16) if floats == ml_dtypes.bfloat16 else row[None]
        kernels.argmax(scores, out)
        assert out[0] == row.astype(float).argmax()


@pytest.mark.parametrize("shape", [(0, 3), (0, 0), (3, 0)])
def test_empty_matrices(implementation, dtype, shape):
    scores = np.empty(shape, dtype)
    out, sums = np.empty(shape, dtype), np.full(shape[0], 5, dtype)
    implementation.softmax(scores, 1.0, out)
    implementation.log_softmax(scores, 1.0, out)
    implementation.logsumexp(scores, sums)
    np.testing.assert_array_equal(sums, -INF)
    labels, losses = np.zeros(shape[0], np.int64), np.empty(shape[0])
    expected = 0 if shape == (3, 0) else -1
    assert implementation.cross_entropy(scores, labels, None, losses, out) == expected
    if shape[0] == 0:
        implementation.argmax(scores, np.empty(0, np.int64))
    else:
        with pytest.raises(ValueError, match=r"no columns|empty sequence"):
            implementation.argmax(scores, np.empty(shape[0], np.int64))
