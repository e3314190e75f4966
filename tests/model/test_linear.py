"""The linear classifier: probabilities of its scores, and bounds that hold."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array

from luce.model.linear import LinearScorer

RANDOM = np.random.default_rng(0)
SCORER = LinearScorer(RANDOM.normal(size=(3, 7)), RANDOM.normal(size=3))
FEATURES = RANDOM.normal(size=(50, 7)).astype(np.float32) * (RANDOM.random((50, 7)) < 0.5)


@pytest.mark.parametrize("made", [np.asarray, csr_array])
def test_probabilities(made):
    scores = FEATURES @ SCORER.coef.T + SCORER.intercept
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SCORER.probabilities(made(FEATURES)), expected, atol=1e-6)
    logarithms = SCORER.log_probabilities(made(FEATURES))
    np.testing.assert_allclose(logarithms, np.log(expected), atol=1e-5)


@pytest.mark.parametrize("made", [np.asarray, csr_array])
def test_no_score_is_beyond_the_bounds(made):
    scores = abs(FEATURES @ SCORER.coef.T + SCORER.intercept).max(axis=1)
    bounds = SCORER.bounds(made(abs(FEATURES.astype(np.float64))))
    assert (scores <= bounds * (1 + 1e-12)).all()
    assert bounds.max() <= SCORER.bound(float(abs(FEATURES).max()))


def test_a_step_of_1_changes_no_score_by_more_than_its_reach():
    np.testing.assert_array_equal(SCORER.reaches(), abs(SCORER.coef).max(axis=0))


def test_what_it_is_made_of():
    assert SCORER.shape == (3, 7)
    assert SCORER.numbers_a_row == 3
    assert {name: tensor.shape for name, tensor in SCORER.tensors.items()} == {
        "coef": (3, 7),
        "intercept": (3,),
    }


def test_coefficients_are_copied_once_and_not_for_each_block():
    scorer = LinearScorer(np.random.default_rng(0).normal(size=(50, 4000)), np.zeros(50))
    features = np.ones((1, 4000), np.float32)
    scorer.probabilities(features)
    tracemalloc.start()
    scorer.probabilities(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 4000
