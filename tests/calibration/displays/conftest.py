"""Figures without a screen, closed when a test ends; rows to draw."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture
def rows():
    """Labels and probabilities of four classes, the model being too sure."""
    random = np.random.default_rng(0)
    scores = 2 * random.normal(size=(400, 4))
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = (scores / 2 + [0.0, 0.5, 1.0, 1.5] + random.gumbel(size=scores.shape)).argmax(axis=1)
    return labels, probabilities


@pytest.fixture
def painted():
    """Whether a figure can be drawn, and has more than its background."""

    def paint(figure):
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())
        return (pixels != pixels[0, 0]).any(axis=-1).mean() > 0.01

    return paint
