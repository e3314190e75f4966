"""Rows whose scores are calibrated, to be spoilt, or whose true probabilities are known."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def calibrated():
    """Make scores (n, k) and labels drawn from their softmax."""

    def draw(n, k, *, spread=2.0, seed=0, dtype=np.float64):
        random = np.random.default_rng(seed)
        scores = (spread * random.normal(size=(n, k))).astype(dtype)
        return scores, (scores + random.gumbel(size=(n, k))).argmax(axis=1)

    return draw


@pytest.fixture(scope="session")
def draw():
    """Log-probabilities, labels and the truth that they were drawn from.

    The model is calibrated at temperature 1 and bias 0; above 1 it is overconfident, and with a
    bias later classes are more frequent than predicted.
    """

    def drawn(random, n, k, temperature=1.0, bias=0.0):
        scores = 2 * random.normal(size=(n, k))
        log_probabilities = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        truth = np.exp(log_probabilities / temperature + bias * np.arange(k) / k)
        truth /= truth.sum(axis=1, keepdims=True)
        ends = truth.cumsum(axis=1)
        labels = (random.random((n, 1)) >= ends / ends[:, -1:]).sum(axis=1)
        return log_probabilities, labels, truth

    return drawn
