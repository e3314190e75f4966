import numpy as np
import pytest
from scipy import stats

from luce.calibration import draws
from luce.calibration.rows import Block


def block_of(probabilities):
    n = len(probabilities)
    with np.errstate(divide="ignore"):
        logarithms = np.log(probabilities)
    return Block(np.arange(n), logarithms, probabilities, np.zeros(n, int), np.ones(n))


def all_drawn(probabilities, times, seed=0):
    parts = draws.drawn(block_of(probabilities), times, np.random.default_rng(seed))
    return np.concatenate([labels for _, labels in parts])


@pytest.mark.parametrize("k", [2, 3, draws._FEW_CLASSES, draws._FEW_CLASSES + 1, 300])
def test_classes_are_drawn_as_often_as_their_probability_says(k, monkeypatch):
    monkeypatch.setattr(draws, "_AT_ONCE", 5000)
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(k, 0.5), size=3)
    probabilities[1, k // 2] = 0.0  # sums that are not quite 1 are divided by
    labels = all_drawn(probabilities, 20_000)
    assert labels.shape == (3, 20_000)
    for row, drawn in zip(probabilities, labels, strict=True):
        expected = row / row.sum() * 20_000
        counts = np.bincount(drawn, minlength=k)
        assert counts[row == 0].sum() == 0
        rare = expected < 5
        observed = np.r_[counts[~rare], counts[rare].sum()]
        wanted = np.r_[expected[~rare], expected[rare].sum()]
        if wanted[-1] < 5:
            observed[0], wanted[0] = observed[0] + observed[-1], wanted[0] + wanted[-1]
            observed, wanted = observed[:-1], wanted[:-1]
        assert len(wanted) == 1 or stats.chisquare(observed, wanted).pvalue > 1e-3


@pytest.mark.parametrize("k", [4, 100])
def test_a_sure_class_is_always_drawn(k):
    probabilities = np.zeros((2, k))
    probabilities[0, 0] = probabilities[1, -1] = 1
    np.testing.assert_array_equal(all_drawn(probabilities, 50), [[0] * 50, [k - 1] * 50])


def test_what_is_drawn_is_added_where_it_belongs():
    random = np.random.default_rng(0)
    m, k, times = 30, 4, 7
    labels, top = random.integers(k, size=(m, times)), random.integers(k, size=m)
    weights = random.gamma(1, size=m)
    cell, class_cell = random.integers(5, size=m), random.integers(9, size=(m, k))
    correct, classes = np.ones((5, times)), np.ones((9, times))
    draws.add_correct(correct, cell, top, labels, weights)
    draws.add_classes(classes, class_cell, labels, weights)
    slow_correct, slow_classes = np.ones((5, times)), np.ones((9, times))
    for i in range(m):
        for r in range(times):
            slow_correct[cell[i], r] += weights[i] * (labels[i, r] == top[i])
            slow_classes[class_cell[i, labels[i, r]], r] += weights[i]
    np.testing.assert_allclose(correct, slow_correct)
    np.testing.assert_allclose(classes, slow_classes)
