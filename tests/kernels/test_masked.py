"""Scores of classes that cannot happen, replaced by -inf."""

import numpy as np
import pytest

from luce import kernels

SHAPES = [(), (7,), (4, 5), (0, 3), (3, 4, 5), (40_001, 7)]


def given(shape, dtype):
    """Scores, NaN and infinities among them, and which of them are possible."""
    rng = np.random.default_rng(3)
    scores = np.asarray(rng.standard_normal(shape), dtype)
    if scores.ndim:
        scores[rng.random(shape) < 0.1] = np.nan
        scores[rng.random(shape) < 0.1] = np.inf
    return scores, np.asarray(rng.random(shape) < 0.5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_of_any_strides_in_place_and_by_many_threads(implementation, shape, dtype):
    scores, possible = given(shape, dtype)
    expected = np.where(possible, scores, dtype(-np.inf))
    for threads in (1, 3):
        out = np.empty(shape, dtype)
        implementation.masked(scores, possible, out, threads)
        np.testing.assert_array_equal(out, expected)
    turned, spread = scores.copy("F"), np.repeat(scores[..., None], 2, axis=-1)
    for strided in map(np.asarray, (turned, spread[..., 0], np.flip(np.flip(scores).copy()))):
        out = np.empty(shape, dtype, "F")
        implementation.masked(strided, possible, out, 2)
        np.testing.assert_array_equal(out, expected)
        in_place = strided.copy("K")
        implementation.masked(in_place, possible, in_place, 2)
        np.testing.assert_array_equal(in_place, expected)


def test_bits_of_bfloat16():
    bits = np.arange(6, dtype=np.uint16)
    kernels.masked(bits, np.arange(6) % 2 > 0, bits)
    np.testing.assert_array_equal(bits, [0xFF80, 1, 0xFF80, 3, 0xFF80, 5])


@pytest.mark.parametrize(
    ("possible", "message"),
    [
        (np.ones((4, 5), np.int8), "bool"),
        (np.ones((5, 4), bool), "shape"),
        (np.ones((5, 4), bool).T, "C order"),
        (np.broadcast_to(True, (4, 5)), "C order"),
    ],
)
def test_what_does_not_fit_is_refused(possible, message):
    scores = np.zeros((4, 5), np.float32)
    with pytest.raises((TypeError, ValueError), match=message):
        kernels.masked(scores, possible, np.empty_like(scores))
