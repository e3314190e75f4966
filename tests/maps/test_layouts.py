"""Any axes, strides, dtypes and outputs: the answer is that of contiguous rows."""

from contextlib import contextmanager
from itertools import combinations, permutations, product
from types import SimpleNamespace

import numpy as np
import pytest

import luce

INF = np.inf
SHAPE = (3, 4, 21)
AXES = [0, 1, 2, -1, -2, -3, (2,), (0, 1), (1, 0), (0, 2), (2, 0), (-1, -2), (2, 1, 0), None]
each_axis = pytest.mark.parametrize("axis", AXES, ids=str)
MAPS = [luce.softmax, luce.log_softmax]
each_map = pytest.mark.parametrize("function", MAPS)
FLOATS = [np.float16, np.float32, np.float64]
each_float = pytest.mark.parametrize("dtype", FLOATS)
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "bfloat16"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def dtype_of(name):
    if name != "bfloat16":
        return np.dtype(name)
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)


def normal(*shape, dtype=np.float64):
    return (4 * np.random.default_rng(1).standard_normal(shape)).astype(dtype)


def ties(*shape, dtype=np.int64):
    return (
        np.random.default_rng(2)
        .integers(0, 2 if dtype == np.dtype("?") else 7, shape)
        .astype(dtype)
    )


def batch_axes(axis, ndim):
    axes = tuple(range(ndim)) if axis is None else np.atleast_1d(axis) % ndim
    return tuple(axes), [i for i in range(ndim) if i not in axes]


@contextmanager
def named(*names):
    """Name a case that fails, of cases that take less time than a test each."""
    try:
        yield
    except AssertionError as error:
        error.add_note(" ".join(names))
        raise


def as_rows(array, axis):
    """Contiguous rows of classes, and what brings rows and one number a row back."""
    axes, batch = batch_axes(axis, array.ndim)
    moved = np.moveaxis(array, axes, range(len(batch), array.ndim))
    rows = np.ascontiguousarray(moved).reshape(
        int(np.prod([array.shape[i] for i in batch])), int(np.prod([array.shape[i] for i in axes]))
    )

    def restore(matrix):
        return np.moveaxis(matrix.reshape(moved.shape), range(len(batch), array.ndim), axes)

    def reduce(vector, keepdims=False):
        result = vector.reshape([array.shape[i] for i in batch])
        return np.expand_dims(result, axes) if keepdims else result

    return SimpleNamespace(rows=rows, restore=restore, reduce=reduce)


def close(result, expected):
    """Each at most 2 ulp from the exact answer, halves rounded from such."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    np.testing.assert_array_max_ulp(result, expected, 1 if result.dtype == np.float16 else 4)


def equal(result, expected):
    """To the bit, but for NaN, of which there are many."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.float64(result), np.float64(expected))


# Where an array of a given shape may lie: the whole memory, and the view of it.
def strided(shape, dtype, step, order="C"):
    memory = np.full([abs(step) * n + 3 for n in shape], 7, dtype, order=order)
    cut = [slice(1, 1 + step * n, step) if step > 0 else slice(n, 0, -1) for n in shape]
    return memory, memory[tuple(cut)]


def permuted(shape, dtype, order):
    memory = np.full([shape[i] for i in order], 7, dtype)
    return memory, memory.transpose(np.argsort(order))


LAYOUTS = {
    "padded": lambda shape, dtype: strided(shape, dtype, 1),
    "padded Fortran": lambda shape, dtype: strided(shape, dtype, 1, "F"),
    "every second": lambda shape, dtype: strided(shape, dtype, 2),
    "every second, Fortran": lambda shape, dtype: strided(shape, dtype, 2, "F"),
    "reversed": lambda shape, dtype: strided(shape, dtype, -1),
    "reversed Fortran": lambda shape, dtype: strided(shape, dtype, -1, "F"),
} | {
    f"axes in order {order}": lambda shape, dtype, order=order: permuted(shape, dtype, order)
    for order in permutations(range(3))
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def placed(values, layout):
    memory, view = layout(values.shape, values.dtype)
    view[...] = values
    return memory, view


def untouched(memory, view, before):
    """What is not in the view is as it was."""
    view[...] = 0
    copy, inside = before
    inside[...] = 0
    np.testing.assert_array_equal(memory, copy)


@each_layout
@each_axis
def test_axes_and_strides(axis, layout):
    for function, dtype in product(MAPS, FLOATS):
        with named(function.__name__, dtype.__name__):
            values = normal(*SHAPE, dtype=dtype)
            plain = as_rows(values, axis)
            expected = plain.restore(function(plain.rows))
            memory, view = placed(values, layout)
            before = memory.copy()
            close(function(view, axis), expected)
            np.testing.assert_array_equal(memory, before)

            assert function(view, axis, out=view) is view
            close(view, expected)
            untouched(memory, view, placed(values, layout))

            memory, out = layout(SHAPE, dtype)
            assert function(values, axis, out=out) is out
            close(out, expected)
            untouched(memory, out, layout(SHAPE, dtype))


@each_map
@each_axis
def test_outputs_of_another_layout(function, axis):
    values = normal(*SHAPE, dtype=np.float32)
    expected = function(values, axis)
    for first, second in combinations(LAYOUTS.values(), 2):
        _, scores = placed(values, first)
        _, out = second(SHAPE, np.float32)
        function(scores, axis, out=out)
        close(out, expected)


@each_layout
@each_axis
def test_reductions_of_any_layout(axis, layout):
    for dtype in FLOATS:
        with named(dtype.__name__):
            values = normal(*SHAPE, dtype=dtype)
            plain = as_rows(values, axis)
            _, view = placed(values, layout)
            for keepdims in (False, True):
                total = luce.logsumexp(view, axis, keepdims=keepdims)
                close(total, plain.reduce(luce.logsumexp(plain.rows), keepdims))
                best = luce.argmax(view, axis, keepdims=keepdims)
                np.testing.assert_array_equal(
                    best, plain.reduce(plain.rows.argmax(axis=1), keepdims)
                )
                assert np.shape(best) == np.shape(total)
            vertices = np.eye(plain.rows.shape[1], dtype=dtype)[plain.rows.argmax(axis=1)]
            equal(luce.hardmax(view, axis), plain.restore(vertices))
            indices = np.argsort(-values, axis=-1, kind="stable")[..., :5]
            found = luce.topk(view, 5)
            np.testing.assert_array_equal(found[1], indices)
            equal(found[0], np.take_along_axis(values, indices, axis=-1))


@each_axis
@each_dtype
def test_argmax_and_hardmax_of_every_dtype(axis, dtype):
    values = ties(*SHAPE, dtype=dtype_of(dtype))
    plain = as_rows(values, axis)
    best = plain.rows.astype(np.float64).argmax(axis=1)
    result = luce.argmax(values, axis)
    np.testing.assert_array_equal(result, plain.reduce(best))
    assert np.asarray(result).dtype == np.int64
    kept = luce.argmax(np.asfortranarray(values), axis, keepdims=True)
    np.testing.assert_array_equal(kept, plain.reduce(best, keepdims=True))
    hard = luce.hardmax(values, axis)
    expected = plain.restore(np.eye(plain.rows.shape[1])[best])
    equal(hard, expected.astype(values.dtype if values.dtype.kind in "fV" else np.float64))


@each_axis
@each_dtype
def test_argmax_where(axis, dtype):
    values = ties(*SHAPE, dtype=dtype_of(dtype))
    where = np.random.default_rng(3).random(SHAPE) < 0.3
    where |= np.indices(SHAPE).sum(axis=0) % 3 == 0  # one at least along every axis
    plain, possible = as_rows(values, axis), as_rows(where, axis)
    keys = np.where(possible.rows, plain.rows.astype(np.float64), -INF)
    expected = plain.reduce(keys.argmax(axis=1))
    np.testing.assert_array_equal(luce.argmax(values, axis, where=where), expected)


def test_indices_over_several_axes_are_for_unravel_index():
    values = normal(*SHAPE)
    for axes in [(0, 2), (2, 0), (1, 2), (2, 1), (0, 1, 2), (2, 0, 1)]:
        index = luce.argmax(values, axes, keepdims=True)
        place = np.unravel_index(index, [SHAPE[i] for i in axes])
        at = list(np.indices(index.shape))
        for i, where in zip(axes, place, strict=True):
            at[i] = where
        np.testing.assert_array_equal(values[tuple(at)], values.max(axis=axes, keepdims=True))


@each_float
@pytest.mark.parametrize("length", [3, 60, 128, 700])
def test_windows_that_overlap(length, dtype):
    """Rows and classes are both adjacent in memory."""
    rng = np.random.default_rng(8)
    windows = np.lib.stride_tricks.sliding_window_view(
        rng.standard_normal(1000).astype(dtype), length
    )
    for function in (luce.softmax, luce.log_softmax, luce.logsumexp, luce.argmax):
        np.testing.assert_array_equal(function(windows), function(windows.copy()))


@pytest.mark.parametrize("length", [1, 2, 7, 33, 500])
@each_dtype
def test_the_first_of_equals_and_of_nan(length, dtype):
    dtype = dtype_of(dtype)
    for place in {0, length // 2, length - 1}:
        scores = np.zeros((2, length), dtype)
        scores[1, place:] = 1
        for again in (scores, np.asfortranarray(scores), scores[:, None].repeat(3, 1)[:, 1]):
            np.testing.assert_array_equal(luce.argmax(again), [0, place])
        np.testing.assert_array_equal(luce.argmax(scores.T.copy(), 0), [0, place])
        if dtype.kind in "fV":
            scores[0, place:] = np.nan
            scores[1, 0] = INF
            np.testing.assert_array_equal(luce.argmax(scores), [place, 0])
            np.testing.assert_array_equal(luce.argmax(scores.T.copy(), 0), [place, 0])
            assert luce.topk(scores, 1)[1].tolist() == [[place], [0]]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_that_no_double_tells_apart(dtype):
    top = np.iinfo(dtype).max
    for base in (2**53, 2**62, int(top) - 3):
        row = np.array([base, base + 1, base + 3, base + 2, base + 3, 0], dtype)
        scores = np.tile(row, (5, 4))
        np.testing.assert_array_equal(luce.argmax(scores), 2)
        np.testing.assert_array_equal(luce.argmax(scores.T.copy(), 0), 2)
        np.testing.assert_array_equal(luce.hardmax(scores).argmax(axis=1), 2)
        values, indices = luce.topk(scores, 9)
        np.testing.assert_array_equal(indices[0], [2, 4, 8, 10, 14, 16, 20, 22, 3])
        np.testing.assert_array_equal(values, np.take_along_axis(scores, indices, axis=1))
        not_third = np.arange(24) % 6 != 2
        np.testing.assert_array_equal(luce.argmax(scores, where=not_third), 4)


@each_dtype
@pytest.mark.parametrize("k", [0, 1, 3, 21])
def test_topk_of_every_dtype(k, dtype):
    values = ties(*SHAPE, dtype=dtype_of(dtype))
    expected = np.argsort(-values.astype(np.float64), axis=-1, kind="stable")[..., :k]
    found, indices = luce.topk(values, k)
    np.testing.assert_array_equal(indices, expected)
    equal(found, np.take_along_axis(values, expected, axis=-1))


def every_half(half):
    """All 65536 numbers of a 16-bit dtype, shuffled, and rows of ordinary ones."""
    every = np.random.default_rng(4).permutation(2**16).astype(np.uint16).view(dtype_of(half))
    shapes = [(1, 3), (50, 10), (7, 77), (3, 5000)]
    ordinary = [normal(*shape, dtype=every.dtype) for shape in shapes]
    return [every.reshape(-1, n) for n in (1, 2, 16, 512)] + ordinary


def rounded(wide, dtype):
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return wide.astype(dtype)


@pytest.mark.parametrize("half", ["f2", "bfloat16"])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_halves_are_float32_rounded(half, axis):
    for scores in every_half(half):
        wide = scores.astype(np.float32)
        for function in (luce.softmax, luce.log_softmax, luce.hardmax, luce.logsumexp):
            equal(function(scores, axis), rounded(function(wide, axis), scores.dtype))
        for function in (luce.softmax, luce.log_softmax):
            for temperature in (0.0, 0.3, INF):
                expected = rounded(function(wide, axis, temperature=temperature), scores.dtype)
                out = scores.copy()
                function(out, axis, temperature=temperature, out=out)
                equal(out, expected)


@each_map
@pytest.mark.parametrize("dtype", ["?", "i1", "i4", "i8", "u1", "u8"])
def test_integers_become_float64(function, dtype):
    scores = ties(4, 30, dtype=np.dtype(dtype))
    for axis in (0, 1, None):
        equal(function(scores, axis), function(scores.astype(np.float64), axis))
        equal(luce.logsumexp(scores, axis), luce.logsumexp(np.float64(scores), axis))
    assert function([1, 2, 3]).dtype == np.float64
    with pytest.raises(luce.DataError, match="out"):
        function(scores, out=np.empty(scores.shape, np.float32))


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", ">i4", ">u8"])
def test_the_other_byte_order(dtype):
    scores = ties(6, 30).astype(dtype)
    native = scores.astype(scores.dtype.newbyteorder("="))
    for function in (luce.softmax, luce.log_softmax, luce.hardmax):
        for axis in (0, 1, None):
            equal(function(scores, axis), function(native, axis))
    np.testing.assert_array_equal(luce.argmax(scores), luce.argmax(native))
    for ours, theirs in zip(luce.topk(scores, 4), luce.topk(native, 4), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@each_axis
@each_map
def test_broadcast_and_read_only_inputs(function, axis):
    for small in (normal(3, 1, 21), normal(1, 4, 1), normal(1, 1, 1)):
        scores = np.broadcast_to(small, SHAPE)
        assert not scores.flags.writeable
        full = scores.copy()
        close(function(scores, axis), function(full, axis))
        assert function(scores, axis).flags.c_contiguous
        close(luce.logsumexp(scores, axis), luce.logsumexp(full, axis))
        np.testing.assert_array_equal(luce.argmax(scores, axis), luce.argmax(full, axis))
        full.flags.writeable = False
        close(function(full, axis), function(scores, axis))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (0, 0), (2, 0, 3), (0, 2, 0)])
def test_nothing_to_do(shape):
    scores = np.empty(shape, np.float32)
    axes = [*range(len(shape)), *combinations(range(len(shape)), 2), None]
    for axis in axes:
        for function in (luce.softmax, luce.log_softmax, luce.hardmax):
            equal(function(scores, axis), scores)
        out = np.empty(shape, np.float32)
        assert luce.softmax(scores, axis, out=out) is out
        for keepdims in (False, True):
            total = luce.logsumexp(scores, axis, keepdims=keepdims)
            equal(total, np.full_like(scores.sum(axis, keepdims=keepdims), -INF))
        if total.size == 0:
            assert luce.argmax(scores, axis, keepdims=True).shape == total.shape
        else:
            with pytest.raises(luce.DataError, match="no classes"):
                luce.argmax(scores, axis)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_a_single_number(dtype):
    for score in (dtype(3), np.array(3, dtype)):
        kind = np.result_type(dtype, np.float16) if dtype != np.int64 else np.dtype(np.float64)
        results = (
            luce.softmax(score, None),
            luce.log_softmax(score, None),
            luce.hardmax(score, None),
        )
        assert [float(r) for r in results] == [1, 0, 1]
        assert all(r.dtype == kind and r.shape == () for r in results)
        assert luce.logsumexp(score, None) == 3
        assert luce.argmax(score, None) == 0


BAD_OUTPUTS = {
    "another shape": np.empty((3, 2)),
    "another dtype": np.empty((2, 3), np.float32),
    "another byte order": np.empty((2, 3), ">f8"),
    "read-only": np.broadcast_to(0.0, (2, 3)),
    "a list": [[0.0] * 3] * 2,
}


@each_map
@pytest.mark.parametrize("out", BAD_OUTPUTS.values(), ids=BAD_OUTPUTS)
@pytest.mark.parametrize("temperature", [0.0, 1.0, INF])
def test_outputs_that_do_not_fit(function, out, temperature):
    for axis in (0, 1, None):
        with pytest.raises(luce.DataError, match="out"):
            function(np.zeros((2, 3)), axis, out=out, temperature=temperature)


BIG = [(300, 5000), (3, 400_000), (70_000, 7), (2, 900, 300)]


@pytest.mark.parametrize("shape", BIG, ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8", "bfloat16"])
def test_any_number_of_threads_gives_the_same_bits(shape, dtype):
    scores = normal(*shape, dtype=dtype_of(dtype))
    rows = scores.reshape(shape[0], -1)
    labels = ties(len(rows)) % rows.shape[1]

    def all_results():
        for axis in (0, 1, None) if scores.size < 1.3e6 else (0, 1):
            yield luce.softmax(scores, axis, temperature=0.7)
            yield luce.log_softmax(scores, axis)
            yield luce.logsumexp(scores, axis)
            yield luce.argmax(scores, axis)
        yield luce.hardmax(scores)
        yield from luce.cross_entropy_gradient(rows, labels)
        yield luce.cross_entropy(rows, labels, reduction="sum")

    answers = []
    for n in (1, 2, 3):
        with luce.threads(n):
            answers.append([np.asarray(result).tobytes() for result in all_results()])
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("order", ["C", "F"])
def test_as_many_axes_as_numpy_has(order):
    shape = (1,) * 31 + (2,) * 8 + (1,) * 24 + (3,)
    flat = np.random.default_rng(0).normal(size=(256, 3)).astype(np.float32)
    scores = np.asarray(flat.reshape(shape), order=order)
    np.testing.assert_array_equal(luce.softmax(scores), luce.softmax(flat).reshape(shape))
    np.testing.assert_array_equal(luce.argmax(scores, axis=tuple(range(31, 64))), flat.argmax())
