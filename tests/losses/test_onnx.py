"""The ONNX standard's own cases of SoftmaxCrossEntropyLoss, and the gradient in each of them.

Inputs as in onnx/backend/test/case/node/softmax_cross_entropy_loss.py, every case seeded with 0.
Its scores are (N, C, d1, d2, ...); `rows_of` brings them to (rows, classes).
"""

from dataclasses import dataclass

import numpy as np
import pytest

import luce

NINTHS = np.array([0.9, 0.7, 0.8, 0.9, 0.9], np.float32)
FIFTHS = np.array([0.2, 0.3, 0.6, 0.1, 0.5], np.float32)
RANDOM = "random"


@dataclass
class Case:
    """`ignore` is also what the standard sets the first label to."""

    places: tuple[int, ...] = ()
    reduction: str = "mean"
    weight: object = None
    ignore: int | None = None

    def inputs(self):
        random = np.random.RandomState(0)
        scores = random.rand(3, 5, *self.places).astype(np.float32)
        labels = random.randint(0, high=5, size=(3, *self.places)).astype(np.int64)
        if self.ignore is not None:
            labels.flat[0] = self.ignore
        weight = random.rand(5).astype(np.float32) if self.weight is RANDOM else self.weight
        return scores, labels, weight

    def options(self, weight):
        named = {"class_weight": weight, "ignore_index": self.ignore}
        given = {name: value for name, value in named.items() if value is not None}
        return {"reduction": self.reduction, **given}


CASES = {
    "none": Case(reduction="none"),
    "none_weights": Case(reduction="none", weight=NINTHS),
    "sum": Case(reduction="sum"),
    "mean": Case(),
    "mean_3d": Case((2,)),
    "mean_weight": Case(weight=NINTHS),
    "mean_weight_ii": Case(weight=NINTHS, ignore=0),
    "mean_no_weight_ii": Case(ignore=2),
    "mean_weight_ii_3d": Case((2,), weight=FIFTHS, ignore=1),
    "mean_no_weight_ii_3d": Case((2,), ignore=2),
    "mean_weight_ii_4d": Case((2, 7), weight=FIFTHS, ignore=2),
    "mean_no_weight_ii_4d": Case((2, 7), ignore=2),
    "NCd1d2d3d4d5_mean_weight": Case((6, 6, 5, 3, 4), weight=RANDOM),
    "NCd1d2d3d4d5_none_no_weight": Case((6, 6, 5, 3, 4), "none"),
    "NCd1_mean_weight_negative_ii": Case((6,), weight=RANDOM, ignore=-1),
    "NCd1d2d3_none_no_weight_negative_ii": Case((6, 6, 5), "none", ignore=-5),
    "NCd1d2d3_sum_weight_high_ii": Case((), "sum", weight=RANDOM, ignore=10),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def rows_of(scores):
    return np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])


def onnx_log_prob(x):
    shifted = np.float64(x) - np.max(x, axis=1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


def onnx_loss(x, target, weight, reduction, ignore_index):
    """The operator's loss, and its gradient with respect to x."""
    classes = np.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2))
    ignored = np.zeros(target.shape, bool) if ignore_index is None else target == ignore_index
    ones = np.ones(x.shape[1]) if weight is None else weight
    gather_weight = np.where(ignored, 0.0, np.take(ones, target, mode="clip"))
    log_prob = onnx_log_prob(x)
    picked = np.expand_dims(target, 1) == classes
    loss = gather_weight * -np.where(picked, log_prob, 0).sum(axis=1)
    gradient = np.expand_dims(gather_weight, 1) * (np.exp(log_prob) - picked)
    if reduction == "mean":
        return loss.sum() / gather_weight.sum(), gradient / gather_weight.sum()
    return (loss.sum() if reduction == "sum" else loss), gradient


@each_case
def test_loss(case):
    scores, labels, weight = case.inputs()
    expected, _ = onnx_loss(scores, labels, weight, case.reduction, case.ignore)
    loss = luce.cross_entropy(rows_of(scores), labels.ravel(), **case.options(weight))
    if case.reduction == "none":
        assert loss.shape == (labels.size,)
        loss = loss.reshape(labels.shape)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@each_case
def test_gradient(case):
    scores, labels, weight = case.inputs()
    _, expected = onnx_loss(scores, labels, weight, case.reduction, case.ignore)
    options = case.options(weight)
    value, gradient = luce.cross_entropy_gradient(rows_of(scores), labels.ravel(), **options)
    np.testing.assert_array_equal(
        value, luce.cross_entropy(rows_of(scores), labels.ravel(), **options)
    )
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, rows_of(expected), rtol=1e-6, atol=0)


@each_case
def test_log_prob(case):
    scores, _, _ = case.inputs()
    log_prob = luce.log_softmax(scores, axis=1)
    np.testing.assert_array_max_ulp(log_prob, onnx_log_prob(scores).astype(np.float32), 3)


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.ignore is not None])
def test_an_ignored_row_may_hold_anything(case):
    scores, labels, weight = case.inputs()
    rows, labels, options = rows_of(scores), labels.ravel(), case.options(weight)
    expected = luce.cross_entropy_gradient(rows, labels, **options)
    for nothing in (np.nan, np.inf, -np.inf):
        rows[labels == case.ignore] = nothing
        value, gradient = luce.cross_entropy_gradient(rows, labels, **options)
        np.testing.assert_array_equal(value, expected[0])
        np.testing.assert_array_equal(gradient, expected[1])
        np.testing.assert_array_equal(gradient[labels == case.ignore], 0)


@pytest.mark.parametrize("weight", [None, NINTHS], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore", [0, -1, -100, 5])
def test_all_rows_ignored_is_zero(ignore, reduction, weight):
    """The one difference: the standard's mean is 0 / 0."""
    case = Case(reduction=reduction, weight=weight, ignore=ignore)
    scores, _, _ = case.inputs()
    labels = np.full(len(scores), ignore)
    value, gradient = luce.cross_entropy_gradient(scores, labels, **case.options(weight))
    assert np.shape(value) == ((3,) if reduction == "none" else ())
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(gradient, np.zeros((3, 5)))
    np.testing.assert_array_equal(luce.cross_entropy(scores, labels, **case.options(weight)), 0)


@pytest.mark.parametrize("ignore", [None, 0, -1, 4])
def test_a_label_that_is_neither_class_nor_ignored_is_named(ignore):
    scores, labels, _ = Case().inputs()
    options = {} if ignore is None else {"ignore_index": ignore}
    for wrong in (5, -2):
        labels[1] = wrong
        for function in (luce.cross_entropy, luce.cross_entropy_gradient):
            with pytest.raises(luce.DataError, match=rf"labels\[1\] is {wrong}"):
                function(scores, labels, **options)
