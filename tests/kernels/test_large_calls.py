"""Calls that exceed the caches, whose results are written past them, against calls that do not."""

import numpy as np
import pytest

from luce import kernels

CACHED_BYTES = 1 << 24
CLASSES = [
    *(3, 33, 131, 1001, 140_001),
    *(pytest.param(k, marks=pytest.mark.one_isa) for k in (5, 100, 1000, 8195)),
]


def rows_at(offset, rows, classes, dtype, spare=0):
    """An array that begins `offset` elements after a line, with `spare` elements between rows."""
    stride = classes + spare
    room = np.zeros(rows * stride + offset + 64, dtype)
    begin = -room.ctypes.data % 64 // room.itemsize + offset
    return room[begin : begin + rows * stride].reshape(rows, stride)[:, :classes]


def assert_same_bits(found, expected, name):
    """Any NaN is as good as another; they are looked at only where bits differ."""
    bits = f"i{found.itemsize}"
    if not np.array_equal(found.view(bits), expected.view(bits)):
        np.testing.assert_array_equal(found, expected, err_msg=name)


def scores_like(out, seed):
    """Scores with rows among them for which the formulas do not hold."""
    rng = np.random.default_rng(seed)
    rows, classes = out.shape
    scores = rows_at(seed % 5, rows, classes, out.dtype)
    scores[...] = np.resize(rng.normal(0, 4, 99_991), scores.shape)
    scores[1::7, 0] = np.inf
    scores[2::11] = -np.inf
    scores[3::13, -1] = np.nan
    scores[4::17, 1:] = -np.inf
    return scores


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize(
    ("offset", "spare"),
    [
        (5, 0),
        *(pytest.param(*at, marks=pytest.mark.one_isa) for at in ((0, 0), (1, 0), (3, 4))),
    ],
)
def test_large_calls_give_the_bits_of_small_ones(dtype, classes, offset, spare):
    rows = CACHED_BYTES // 2 // np.dtype(dtype).itemsize // classes + 40
    out = rows_at(offset, rows, classes, dtype, spare)
    scores = scores_like(out, seed=offset)
    labels = np.arange(rows) % classes
    losses = np.empty(rows)
    weights = np.where(np.arange(rows) % 19, 0.5, 0.0)

    def loss(scores, out, part):
        kernels.cross_entropy(scores, labels[part], weights[part], losses[part], out)

    calls = {
        "softmax": lambda scores, out, _: kernels.softmax(scores, 1.0, out),
        "tempered": lambda scores, out, _: kernels.softmax(scores, 0.7, out),
        "log_softmax": lambda scores, out, _: kernels.log_softmax(scores, 1.0, out),
        "cross_entropy": loss,
    }
    around = np.ones(len(out.base), bool)
    first = (out.ctypes.data - out.base.ctypes.data) // out.itemsize
    around[first : first + out.strides[0] // out.itemsize * rows].reshape(rows, -1)[:, :classes] = (
        False
    )
    for name, call in calls.items():
        out.base[...] = -7.0
        call(scores, out, slice(None))
        whole_losses = losses.copy()
        expected = np.empty((rows, classes), dtype)
        losses[...] = 0.0
        step = max(1, rows // 9)
        for begin in range(0, rows, step):
            part = slice(begin, begin + step)
            call(scores[part], expected[part], part)
        assert_same_bits(out, expected, name)
        if name == "cross_entropy":
            assert_same_bits(whole_losses, losses, name)
        assert (out.base[around] == -7.0).all(), name


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_last_line_is_written_before_the_call_ends(threads):
    out = rows_at(2, 70_001, 101, np.float32)
    out[...] = np.nan
    kernels.softmax(scores_like(out, 0)[:, ::-1], 1.0, out, 1, threads)
    kernels.softmax(np.zeros(out.shape, np.float32), 1.0, out, 1, threads)
    assert (out == np.float32(1 / 101)).all()
