"""The largest scores of every row against a stable sort."""

import numpy as np
import pytest

from luce import kernels
from luce.kernels import reference

LENGTHS = [1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 64, 65, 128, 129, 256, 257, 1000]


def scores_of(columns, dtype):
    """Ordinary rows; ties; zeros of both signs; NaN and infinities; from low to high and back."""
    rng = np.random.default_rng(columns)
    rows = rng.standard_normal((21, columns))
    rows[3:6] = np.round(rows[3:6])
    rows[6] = rng.choice([0.0, -0.0], columns)
    rows[7:10] = rng.choice([np.nan, np.inf, -np.inf, 0.5, -0.5], (3, columns))
    rows[10], rows[11] = np.nan, -np.inf
    rows[12], rows[13] = np.arange(columns), -np.arange(columns)
    return rows.astype(dtype)


def topk_by(module, scores, k, threads=1):
    values = np.full((len(scores), k), 7, scores.dtype)
    indices = np.full((len(scores), k), -7)
    module.topk(scores, values, indices, threads)
    return values, indices


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("columns", LENGTHS)
def test_topk_is_a_stable_sort(columns, dtype):
    scores = scores_of(columns, dtype)
    turned, wide = np.asfortranarray(scores), np.repeat(scores, 2, axis=1)[:, ::2]
    for k in {1, 2, 5, 16, 17, columns // 2, columns}:
        if not 1 <= k <= columns:
            continue
        values, indices = topk_by(reference, scores, k)
        for rows in (scores, turned, wide):
            for got, exact in zip(topk_by(kernels, rows, k, 2), (values, indices), strict=True):
                np.testing.assert_array_equal(got, exact)
        np.testing.assert_array_equal(
            np.signbit(topk_by(kernels, scores, k)[0]), np.signbit(values)
        )


REFUSED = {
    "values of another dtype": (np.zeros((2, 3)), np.zeros((2, 1), np.float32), np.int64),
    "indices of 32 bits": (np.zeros((2, 3)), np.zeros((2, 1)), np.int32),
    "more than there are": (np.zeros((2, 3)), np.zeros((2, 4)), np.int64),
    "other rows": (np.zeros((2, 3)), np.zeros((3, 1)), np.int64),
    "three axes": (np.zeros((2, 3, 1)), np.zeros((2, 1)), np.int64),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    scores, values, dtype = REFUSED[case]
    with pytest.raises((ValueError, TypeError)):
        kernels.topk(scores, values, np.zeros(values.shape, dtype))
