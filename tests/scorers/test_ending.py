import numpy as np
import pytest

import luce
from luce.errors import DataError
from luce.scorers import end

SCORES = np.random.default_rng(0).standard_normal((6, 4)) * 3
LABELS = np.array([0, 3, 1, 1, 2, 0])
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0])
DISTRIBUTIONS = np.random.default_rng(1).dirichlet(np.ones(4), 6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("targets", [LABELS, DISTRIBUTIONS], ids=["labels", "distributions"])
def test_softmax_ends_in_cross_entropy(targets, smoothing, dtype):
    scores = SCORES.astype(dtype)
    aims = targets if targets.ndim == 1 else targets.astype(dtype)
    expected, gradient = luce.cross_entropy_gradient(
        scores, aims, label_smoothing=smoothing, sample_weight=WEIGHTS, reduction="sum"
    )
    value = end(luce.Softmax(), scores, aims, WEIGHTS, smoothing)
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(scores, gradient, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("map", [luce.Softmax(0.5), luce.Hardmax()], ids=repr)
@pytest.mark.parametrize("targets", [LABELS, DISTRIBUTIONS], ids=["labels", "distributions"])
def test_another_map_ends_in_its_own_loss(map, targets, smoothing):
    scores = SCORES.copy()
    value = end(map, scores, targets, WEIGHTS, smoothing)
    one_hot = np.eye(4)[targets] if targets.ndim == 1 else targets
    smoothed = (1 - smoothing) * one_hot + smoothing / 4
    expected = luce.FenchelYoung(map).value(SCORES, smoothed)
    assert value == pytest.approx(WEIGHTS @ expected, rel=1e-12)
    np.testing.assert_allclose(
        scores, WEIGHTS[:, None] * (map(SCORES) - smoothed), rtol=0, atol=1e-14
    )


def test_a_plain_softmax_by_another_name_is_the_fused_one():
    first, second = SCORES.copy(), SCORES.copy()
    assert end(luce.Softmax(1), first, LABELS, WEIGHTS) == end(
        luce.Softmax(), second, LABELS, WEIGHTS
    )
    np.testing.assert_array_equal(first, second)


def test_no_rows():
    for map in (luce.Softmax(), luce.Softmax(2.0)):
        assert end(map, np.empty((0, 3)), np.empty(0, np.int64), np.empty(0)) == 0


def test_a_target_that_is_none():
    with pytest.raises(DataError, match="expected a class from 0 to 3"):
        end(luce.Softmax(2.0), SCORES.copy(), LABELS + 1, WEIGHTS)
