"""Rows whose scores are calibrated, to be spoilt."""

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
