"""Probabilities with and without labels that are drawn from them."""

import numpy as np
import pytest

import luce


@pytest.fixture
def few_levels():
    """Probabilities (n, k) of few levels, so that ties are common."""

    def make(n, k, dtype=np.float64, seed=0):
        weights = np.random.default_rng(seed).integers(0, 4, size=(n, k)) + 0.25
        return (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)

    return make


def draw_problem(random, n, k, sharpness=2.0, decimals=None):
    """Probabilities (n, k) and labels drawn from them; rounding makes ties."""
    probabilities = luce.softmax(random.normal(size=(n, k)) * sharpness)
    labels = (probabilities.cumsum(axis=1) < random.uniform(size=(n, 1))).sum(axis=1)
    if decimals is not None:
        rounded = np.round(probabilities, decimals) + 10.0**-decimals
        probabilities = rounded / rounded.sum(axis=1, keepdims=True)
    return probabilities, labels.clip(max=k - 1)


@pytest.fixture(scope="session")
def draw():
    return draw_problem
