"""The ONNX standard's own cases of Softmax, LogSoftmax, Hardmax and ArgMax.

Inputs as in onnx/backend/test/case/node, which seeds every case with 0; its formulas are taken in
float64, so that the comparison is as sharp as the result's dtype.
"""

import numpy as np
import pytest

import luce

EXAMPLE = np.array([[-1, 0, 1]], np.float32)
LARGE = np.array([[0, 1, 2, 3], [10000, 10001, 10002, 10003]], np.float32)
AXES = {"axis_0": 0, "axis_1": 1, "axis_2": 2, "negative_axis": -1, "default_axis": None}
each_axis = pytest.mark.parametrize("axis", AXES.values(), ids=AXES)


def seeded():
    return np.random.RandomState(0)


def normal():
    return seeded().randn(3, 4, 5).astype(np.float32)


def uniform():
    return seeded().uniform(-10, 10, [2, 3, 4]).astype(np.float32)


def onnx_softmax(x, axis=-1):
    exponentials = np.exp(np.float64(x) - np.max(x, axis=axis, keepdims=True))
    return exponentials / np.sum(exponentials, axis=axis, keepdims=True)


def onnx_logsoftmax(x, axis=-1):
    shifted = np.float64(x) - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def onnx_hardmax(x, axis=-1):
    y = np.zeros_like(x)
    np.put_along_axis(y, np.expand_dims(np.argmax(x, axis=axis), axis=axis), 1, axis=axis)
    return y


def onnx_argmax(x, axis=0, keepdims=1, select_last_index=False):
    result = np.argmax(np.flip(x, axis) if select_last_index else x, axis=axis)
    if select_last_index:
        result = x.shape[axis] - result - 1
    return np.expand_dims(result, axis) if keepdims else result


def agree(function, reference, x, axis=None):
    """`axis` None leaves the argument out, for the default."""
    arguments = {} if axis is None else {"axis": axis}
    result, expected = function(x, **arguments), reference(x, **arguments)
    assert result.dtype == np.float32
    assert result.shape == x.shape
    np.testing.assert_array_max_ulp(result, expected.astype(np.float32), 3)


@pytest.mark.parametrize(
    ("function", "reference", "printed"),
    [
        (luce.softmax, onnx_softmax, [[0.09003058, 0.24472848, 0.66524094]]),
        (luce.log_softmax, onnx_logsoftmax, [[-2.4076061, -1.407606, -0.407606]]),
    ],
)
def test_softmax_and_logsoftmax_example(function, reference, printed):
    agree(function, reference, EXAMPLE, axis=1)
    np.testing.assert_allclose(function(EXAMPLE, axis=1), printed, rtol=3e-7)


@pytest.mark.parametrize(
    ("function", "reference", "printed"),
    [
        (luce.softmax, onnx_softmax, [0.032058604, 0.08714432, 0.23688284, 0.6439143]),
        (luce.log_softmax, onnx_logsoftmax, [-3.4401896, -2.4401896, -1.4401896, -0.44018966]),
    ],
)
def test_softmax_and_logsoftmax_large_number(function, reference, printed):
    agree(function, reference, LARGE)
    np.testing.assert_allclose(function(LARGE), [printed] * 2, rtol=3e-7)


@each_axis
def test_softmax(axis):
    agree(luce.softmax, onnx_softmax, np.abs(normal()), axis)


@each_axis
def test_logsoftmax(axis):
    agree(luce.log_softmax, onnx_logsoftmax, np.abs(normal()), axis)


@each_axis
def test_hardmax(axis):
    agree(luce.hardmax, onnx_hardmax, normal(), axis)


def test_hardmax_example():
    x = np.array([[3, 0, 1, 2], [2, 5, 1, 0], [0, 1, 3, 2], [0, 1, 2, 3]], np.float32)
    np.testing.assert_array_equal(luce.hardmax(x), np.eye(4))


def test_hardmax_one_hot():
    x = np.array([[3, 3, 3, 1]], np.float32)
    np.testing.assert_array_equal(luce.hardmax(x), [[1, 0, 0, 0]])


# Name: the attributes, and what the standard's comments say of [[2, 2], [3, 10]].
ARGMAX = {
    "no_keepdims": ({"axis": 1, "keepdims": 0}, [0, 1]),
    "keepdims": ({"axis": 1, "keepdims": 1}, [[0], [1]]),
    "default_axis": ({}, [[1, 1]]),
    "negative_axis_keepdims": ({"axis": -1, "keepdims": 1}, [[0], [1]]),
    "no_keepdims_select_last_index": (
        {"axis": 1, "keepdims": 0, "select_last_index": True},
        [1, 1],
    ),
    "keepdims_select_last_index": ({"axis": 1, "select_last_index": True}, [[1], [1]]),
    "default_axis_select_last_index": ({"select_last_index": True}, [[1, 1]]),
    "negative_axis_select_last_index": ({"axis": -1, "select_last_index": True}, [[1], [1]]),
}


def argmax(x, axis=0, keepdims=1, select_last_index=False):
    """ONNX's operator written with luce's: the last of equals is the first from the other end."""
    if not select_last_index:
        return luce.argmax(x, axis, keepdims=bool(keepdims))
    return x.shape[axis] - 1 - luce.argmax(np.flip(x, axis), axis, keepdims=bool(keepdims))


@pytest.mark.parametrize("name", ARGMAX)
def test_argmax(name):
    attributes, printed = ARGMAX[name]
    example = np.array([[2, 2], [3, 10]], np.float32)
    for x, expected in (
        (example, printed),
        (example, onnx_argmax(example, **attributes)),
        (uniform(), onnx_argmax(uniform(), **attributes)),
    ):
        result = argmax(x, **attributes)
        assert result.dtype == np.int64
        assert result.shape == np.shape(expected)
        np.testing.assert_array_equal(result, expected)
