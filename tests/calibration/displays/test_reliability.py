import sys

import numpy as np
import pytest
from matplotlib import pyplot

from luce import SoftmaxClassifier
from luce.calibration import ReliabilityDisplay, reliability_curve
from luce.errors import DataError


def points_of(line):
    return np.stack(line.get_data())


def test_the_top_class_by_default(rows, painted):
    labels, probabilities = rows
    display = ReliabilityDisplay.from_predictions(labels, probabilities, name="net", n_bins=8)
    (curve,) = display.curves
    expected = reliability_curve(probabilities, labels, n_bins=8)
    np.testing.assert_array_equal(
        points_of(display.line_[0]), [expected.predicted, expected.observed]
    )
    assert curve.count.sum() == 400
    assert display.ax_.get_title(loc="left") == "net, 400 rows"
    assert display.ax_.get_xlabel() == "probability of the most probable class"
    bars, intervals = (
        np.array([segment[:, 1] for segment in lines.get_segments()])
        for lines in display.ax_.collections
    )
    np.testing.assert_array_equal(bars, np.stack([expected.least, expected.most], axis=1))
    np.testing.assert_array_equal(intervals, np.stack([expected.low, expected.high], axis=1))
    assert painted(display.figure_)


def test_one_class_by_its_name(rows, painted):
    labels, probabilities = rows
    names = np.array(["ant", "bee", "cat", "dog"])
    display = ReliabilityDisplay.from_predictions(
        names[labels], probabilities, classes=names, pos_label="cat", strategy="quantile"
    )
    expected = reliability_curve(probabilities, labels, of_class=2, strategy="quantile")
    np.testing.assert_array_equal(points_of(display.line_[0])[1], expected.observed)
    assert display.ax_.get_xlabel() == "probability of cat"
    assert painted(display.figure_)


@pytest.mark.parametrize("many", [1, 2, 3, 4, 9])
def test_the_most_frequent_classes_a_panel_each(rows, many, painted):
    labels, probabilities = rows
    display = ReliabilityDisplay.from_predictions(labels, probabilities, per_class=many, name="net")
    order = np.argsort(-np.bincount(labels), kind="stable")[:many]
    assert [curve.name for curve in display.curves] == [str(c) for c in order]
    assert len(np.atleast_1d(display.ax_)) == len(display.line_) == min(many, 4)
    if many > 1:
        titles = [axes.get_title(loc="left") for axes in display.ax_]
        counts = np.bincount(labels)
        assert titles == [f"{c}  ({counts[c]:,} rows)" for c in order]
    assert painted(display.figure_)


def test_a_single_column_of_two_classes(rows):
    labels, probabilities = rows
    display = ReliabilityDisplay.from_predictions((labels == 1).astype(int), probabilities[:, 1])
    assert display.ax_.get_xlabel() == "probability of 1"
    expected = reliability_curve(
        np.stack([1 - probabilities[:, 1], probabilities[:, 1]], axis=1),
        (labels == 1).astype(int),
        of_class=1,
    )
    np.testing.assert_allclose(points_of(display.line_[0])[1], expected.observed)


def test_of_an_estimator():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 4))
    y = np.array(["a", "b", "c"])[(X[:, :3] + random.gumbel(size=(300, 3))).argmax(axis=1)]
    fitted = SoftmaxClassifier().fit(X[:200], y[:200])
    display = ReliabilityDisplay.from_estimator(fitted, X[200:], y[200:], n_bins=5)
    assert display.ax_.get_title(loc="left") == "SoftmaxClassifier, 100 rows"
    named = ReliabilityDisplay.from_estimator(fitted, X[200:], y[200:], per_class=2, name="mine")
    assert named.ax_.shape == (2,)


def test_axes_of_ones_own(rows, painted):
    figure, grid = pyplot.subplots(2, 2)
    display = ReliabilityDisplay.from_predictions(*rows, ax=grid[0, 0])
    assert display.ax_ is grid[0, 0]
    assert display.figure_ is figure
    several = ReliabilityDisplay.from_predictions(*rows, per_class=2, ax=grid[1])
    assert list(several.ax_) == list(grid[1])
    assert painted(figure)
    free = pyplot.figure().add_axes((0.1, 0.1, 0.8, 0.7))
    several.curves = several.curves[:1] * 2
    other = pyplot.figure().add_axes((0.1, 0.1, 0.8, 0.7))
    assert len(several.plot(ax=[free, other]).line_) == 2
    with pytest.raises(DataError, match="there are 4 axes; expected 2"):
        several.plot(ax=grid)


def test_it_can_be_drawn_again(rows):
    display = ReliabilityDisplay.from_predictions(*rows)
    first = display.ax_
    assert display.plot(name="again") is display
    assert display.ax_ is not first
    assert display.ax_.get_title(loc="left") == "again, 400 rows"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pos_label": 7}, "pos_label is 7, none of the classes"),
        ({"per_class": 0}, "per_class is 0; expected at least 1"),
        ({"n_bins": 0}, "n_bins is 0"),
    ],
)
def test_what_cannot_be_drawn(rows, options, message):
    with pytest.raises(DataError, match=message):
        ReliabilityDisplay.from_predictions(*rows, **options)


def test_without_matplotlib_it_says_how_to_get_it(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'luce\[plot\]'"):
        ReliabilityDisplay.from_predictions(*rows)
