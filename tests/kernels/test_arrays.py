"""Arrays the kernels take (any row distance, read-only, in place), and those they refuse."""

import numpy as np
import pytest

import luce
from luce import kernels

SHAPES = [(9, 5), (19, 33), (3, 64), (2, 301)]


def scores_of(shape, dtype):
    return (4 * np.random.default_rng(7).standard_normal(shape)).astype(dtype)


def all_results(scores, labels, out, gradient):
    """Every kernel's result; `out` and `gradient` say where the matrices go."""
    sums, best = np.empty(len(scores), scores.dtype), np.empty(len(scores), np.int64)
    losses = np.empty(len(scores))
    kernels.logsumexp(scores, sums)
    kernels.argmax(scores, best)
    kernels.softmax(scores, 1.5, out)
    probabilities = out.copy()
    kernels.log_softmax(scores, 1.5, out)
    kernels.cross_entropy(scores, labels, None, losses, gradient)
    return probabilities, out.copy(), sums, best, losses, gradient.copy()


@pytest.mark.parametrize("shape", SHAPES)
def test_strides_do_not_change_a_bit(dtype, shape):
    scores = scores_of(shape, dtype)
    labels = np.arange(shape[0]) % shape[1]
    plain = all_results(scores, labels, np.empty_like(scores), np.empty_like(scores))
    wide = np.full((2 * shape[0], shape[1] + 3), np.nan, dtype)
    layouts = {
        "gap": wide[: shape[0], 1:-2],
        "every other row": wide[::2, 2:-1],
        "rows upwards": wide[::-2, :-3],
    }
    for strided in layouts.values():
        strided[...] = scores
        strided.flags.writeable = False
        to = np.empty((shape[0], shape[1] + 5), dtype)[:, :-5]
        again = all_results(strided, labels, to, np.empty_like(wide)[::-2, 3:])
        for first, second in zip(plain, again, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_place(dtype, shape):
    scores = scores_of(shape, dtype)
    labels = np.arange(shape[0]) % shape[1]
    fresh, losses = np.empty_like(scores), np.empty(shape[0])
    for kernel in (kernels.softmax, kernels.log_softmax):
        kernel(scores, 0.7, fresh)
        here = scores.copy()
        kernel(here, 0.7, here)
        np.testing.assert_array_equal(here, fresh)
    kernels.cross_entropy(scores, labels, None, losses, fresh)
    here, again = scores.copy(), np.empty(shape[0])
    kernels.cross_entropy(here, labels, None, again, here)
    np.testing.assert_array_equal(here, fresh)
    np.testing.assert_array_equal(again, losses)


def test_a_row_does_not_depend_on_its_neighbours(dtype):
    scores = scores_of((19, 10), dtype)
    together, alone = np.empty_like(scores), np.empty_like(scores)
    kernels.softmax(scores, 1.0, together)
    for i in range(len(scores)):
        kernels.softmax(scores[i : i + 1], 1.0, alone[i : i + 1])
    np.testing.assert_array_equal(together, alone)


# About every length at which kernels go over to another layout, for vectors of any size.
LENGTHS = [1, 2, 3, 4, 5, 15, 16, 17, *(n + i for n in (32, 64, 128, 256) for i in (-1, 0, 1))]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nothing_beside_the_output_is_written(dtype, name, turned):
    kernel = getattr(luce, name)
    for columns in LENGTHS:
        scores = scores_of((37, columns), dtype)
        dense = np.empty_like(scores)
        kernel(scores, out=dense)
        frame = np.full((columns + 2, 39) if turned else (39, columns + 2), 9, dtype)
        inner = frame[1:-1, 1:-1].T if turned else frame[1:-1, 1:-1]
        kernel(scores, out=inner)
        np.testing.assert_array_equal(inner, dense)
        inner[...] = 9
        assert (frame == 9).all()


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


REFUSED = {
    "out of another shape": lambda: kernels.softmax(zeros(2, 3), 1.0, zeros(3, 2)),
    "out of another dtype": lambda: kernels.softmax(
        zeros(2, 3), 1.0, zeros(2, 3, dtype=np.float64)
    ),
    "read-only out": lambda: kernels.softmax(
        zeros(2, 3), 1.0, np.broadcast_to(np.float32(0), (2, 3))
    ),
    "overlapping rows": lambda: kernels.softmax(
        zeros(2, 3), 1.0, np.lib.stride_tricks.as_strided(zeros(9), (2, 3), (4, 4))
    ),
    "integers": lambda: kernels.softmax(zeros(2, 3, dtype=np.int64), 1.0, zeros(2, 3)),
    "another byte order": lambda: kernels.softmax(zeros(2, 3).astype(">f4"), 1.0, zeros(2, 3)),
    "no array": lambda: kernels.softmax([[1.0]], 1.0, zeros(1, 1)),
    "temperature below 0": lambda: kernels.softmax(zeros(2, 3), -1.0, zeros(2, 3)),
    "temperature nan": lambda: kernels.log_softmax(zeros(2, 3), np.nan, zeros(2, 3)),
    "temperatures of others": lambda: kernels.softmax(zeros(2, 3), np.ones(3), zeros(2, 3)),
    "more axes of classes": lambda: kernels.softmax(zeros(2, 3), 1.0, zeros(2, 3), 3),
    "short sums": lambda: kernels.logsumexp(zeros(2, 3), zeros(1)),
    "argmax of floats": lambda: kernels.argmax(zeros(2, 3), zeros(2)),
    "short labels": lambda: kernels.cross_entropy(
        zeros(2, 3), zeros(1, dtype=np.int64), None, zeros(2, dtype=np.float64), None
    ),
    "short weights": lambda: kernels.cross_entropy(
        zeros(2, 3),
        zeros(2, dtype=np.int64),
        zeros(3, dtype=np.float64),
        zeros(2, dtype=np.float64),
        None,
    ),
    "labels of 32 bits": lambda: kernels.cross_entropy(
        zeros(2, 3), zeros(2, dtype=np.int32), None, zeros(2, dtype=np.float64), None
    ),
    "unaligned": lambda: kernels.softmax(
        zeros(25, dtype=np.uint8)[1:].view(np.float32).reshape(2, 3), 1.0, zeros(2, 3)
    ),
    "gradient of another shape": lambda: kernels.cross_entropy(
        zeros(2, 3), zeros(2, dtype=np.int64), None, zeros(2, dtype=np.float64), zeros(3, 3)
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_not_converted(case):
    with pytest.raises((ValueError, TypeError)):
        REFUSED[case]()


APART = [
    ("gradient", "scores", 1),
    ("gradient", "scores", 4),
    ("gradient", "labels", 0),
    ("gradient", "weights", 11),
    ("gradient", "losses", 5),
    ("losses", "scores", 2),
    ("losses", "labels", 0),
    ("losses", "weights", 0),
    ("losses", "weights", 2),
]


@pytest.mark.parametrize(("written", "other", "shift"), APART)
def test_outputs_that_overlap_are_refused(written, other, shift):
    """A label overwritten after its check would be an index to anywhere."""
    arrays = {
        "scores": np.zeros((3, 4)),
        "labels": np.zeros(3, np.int64),
        "weights": np.ones(3),
        "losses": np.zeros(3),
        "gradient": np.zeros((3, 4)),
    }
    buffer = np.zeros(30)
    for name, start in ((written, 0), (other, shift)):
        part = buffer[start : start + arrays[name].size].view(arrays[name].dtype)
        arrays[name] = part.reshape(arrays[name].shape)
    with pytest.raises(ValueError, match="overlaps"):
        kernels.cross_entropy(*arrays.values())


@pytest.mark.parametrize("kernel", ["softmax", "log_softmax"])
def test_an_output_that_overlaps_the_scores_is_refused(dtype, kernel):
    buffer = zeros(10, 60, dtype=dtype)
    for out in (buffer[1:], buffer[:-1][::-1], buffer.reshape(-1)[7:547].reshape(9, 60)):
        with pytest.raises(ValueError, match="out overlaps scores"):
            getattr(kernels, kernel)(buffer[:-1], 1.0, out)
    for reduction in (kernels.logsumexp, kernels.argmax):
        out = buffer[:1].reshape(-1)[:10]
        if reduction is kernels.argmax:
            out = buffer.view(np.int64).reshape(-1)[20:30]
        with pytest.raises(ValueError, match="out overlaps scores"):
            reduction(buffer, out)


def test_an_output_in_the_gaps_of_the_scores(dtype):
    halves, rows = scores_of((9, 60), dtype), scores_of((18, 30), dtype)
    for scores, out in ((halves[:, :30], halves[:, 30:]), (rows[::2], rows[1::2])):
        expected = np.empty((9, 30), dtype)
        kernels.softmax(scores.copy(), 1.0, expected)
        luce.softmax(scores, out=out)
        np.testing.assert_array_equal(out, expected)
