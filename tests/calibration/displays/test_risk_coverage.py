import sys

import numpy as np
import pytest
from matplotlib import pyplot

from luce import SoftmaxClassifier
from luce.calibration import RiskCoverageDisplay, risk_coverage_curve


def test_curve_band_and_comparisons(rows, painted):
    labels, probabilities = rows
    display = RiskCoverageDisplay.from_predictions(labels, probabilities, name="net")
    expected = risk_coverage_curve(probabilities, labels)
    np.testing.assert_array_equal(display.line_.get_data(), [expected.coverage, expected.risk])
    label, orders = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    error = expected.risk[-1]
    areas = f"{expected.area:.3g} (perfect {expected.perfect_area:.3g}, random {error:.3g})"
    assert label == f"net\narea {areas}"
    assert orders == "perfect order (dotted: random order)"
    _, perfect, random_order = display.ax_.lines
    np.testing.assert_allclose(random_order.get_ydata(), error)
    assert perfect.get_ydata()[-1] == pytest.approx(error)
    assert np.mean(perfect.get_ydata()) == pytest.approx(expected.perfect_area, abs=2e-3)
    (band,) = display.ax_.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == expected.low.min()
    assert heights.max() == expected.high.max()
    assert painted(display.figure_)


def test_weights_weigh(rows, painted):
    labels, probabilities = rows
    weights = np.where(labels == 0, 10.0, 1.0)
    display = RiskCoverageDisplay.from_predictions(labels, probabilities, sample_weight=weights)
    expected = risk_coverage_curve(probabilities, labels, sample_weight=weights)
    np.testing.assert_array_equal(display.line_.get_data(), [expected.coverage, expected.risk])
    assert painted(display.figure_)


def test_two_models_in_one_picture(rows, painted):
    labels, probabilities = rows
    figure, axes = pyplot.subplots()
    names = np.array(["a", "b", "c", "d"])
    first = RiskCoverageDisplay.from_predictions(
        names[labels], probabilities, classes=names, name="A", ax=axes
    )
    top = axes.get_ylim()[1]
    right = np.eye(4)[labels] * 0.9 + 0.025
    second = RiskCoverageDisplay.from_predictions(labels, right, name="B", ax=axes)
    assert first.figure_ is second.figure_ is figure
    assert first.line_.get_color() != second.line_.get_color()
    assert axes.get_ylim()[1] == top
    assert [text.get_text().split()[0] for text in axes.get_legend().get_texts()] == [
        "A",
        "B",
        "perfect",
    ]
    assert painted(figure)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_few_rows_and_no_errors(n, painted):
    display = RiskCoverageDisplay.from_predictions([0] * n, [[0.8, 0.2]] * n)
    assert display.curve.area == 0
    bottom, top = display.ax_.get_ylim()
    assert bottom < 0 < top < 1.1
    assert painted(display.figure_)


def test_few_points_have_bars_that_are_seen(rows):
    labels, probabilities = (array[:7] for array in rows)
    display = RiskCoverageDisplay.from_predictions(labels, probabilities)
    (bars,) = display.ax_.collections
    curve = display.curve
    expected = np.stack([curve.low, curve.high], axis=1)
    np.testing.assert_array_equal([bar[:, 1] for bar in bars.get_segments()], expected)
    assert display.line_.get_marker() == "o"


def test_of_an_estimator():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 4))
    y = np.array(["a", "b", "c"])[(X[:, :3] + random.gumbel(size=(300, 3))).argmax(axis=1)]
    fitted = SoftmaxClassifier().fit(X[:200], y[:200])
    display = RiskCoverageDisplay.from_estimator(fitted, X[200:], y[200:])
    assert display.curve.name == "SoftmaxClassifier"
    assert display.curve.risk[-1] == pytest.approx(1 - fitted.score(X[200:], y[200:]))


def test_without_matplotlib_it_says_how_to_get_it(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'luce\[plot\]'"):
        RiskCoverageDisplay.from_predictions(*rows)
