import itertools
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


def test_weights_weigh(rows, painted):
    labels, probabilities = rows
    weights = np.where(labels == 0, 100.0, labels != 1)
    display = ReliabilityDisplay.from_predictions(
        labels, probabilities, sample_weight=weights, per_class=4
    )
    assert painted(display.figure_)
    assert [curve.name for curve in display.curves[::3]] == ["0", "1"]  # by weight, not by rows
    expected = reliability_curve(probabilities, labels, sample_weight=weights, of_class=0)
    np.testing.assert_array_equal(points_of(display.line_[0])[1], expected.observed)
    counts = np.bincount(labels)
    assert display.ax_[0].get_title(loc="left") == f"0  ({counts[0]} rows)"
    assert display.ax_[3].get_title(loc="left") == "1  (0 rows)"
    with pytest.raises(DataError, match="row 2: the weight"):
        ReliabilityDisplay.from_predictions(
            [0, 1, 1], [[0.5, 0.5]] * 3, per_class=2, sample_weight=[1, 1, -1]
        )
    with pytest.raises(DataError, match="row 1: the label -1"):
        ReliabilityDisplay.from_predictions([0, -1], [[0.5, 0.5]] * 2, per_class=2)


def test_names_as_users_have_them_stay_in_their_place(rows, painted):
    labels, probabilities = rows
    names = np.array(["50 $ to 100 $_{", "two\nlines", "n" * 500, "d"])
    display = ReliabilityDisplay.from_predictions(
        names[labels], probabilities, classes=names, per_class=4, name="$a_{"
    )
    assert painted(display.figure_)
    assert {curve.name for curve in display.curves} == set(names)
    titles = [axes._left_title.get_window_extent() for axes in display.ax_]
    for one, other in itertools.combinations(titles, 2):
        assert not one.overlaps(other)
    one = ReliabilityDisplay.from_predictions(
        names[labels], probabilities, classes=names, pos_label=names[2]
    )
    assert one.ax_.get_xlabel() == f"probability of {'n' * 29}…"


def test_a_legend_covers_no_point_of_a_new_figure(rows, painted):
    labels, probabilities = rows
    for options in ({}, {"per_class": 2}):
        display = ReliabilityDisplay.from_predictions(
            labels[:8], probabilities[:8], **options, name="net"
        )
        assert painted(display.figure_)
        (legend,) = display.figure_.legends
        for axes in np.atleast_1d(display.ax_):
            assert axes.get_legend() is None
            assert not axes.get_tightbbox().overlaps(legend.get_window_extent())


@pytest.mark.parametrize(("confidence", "right"), [(0.9, False), (0.35, True)])
def test_in_axes_of_ones_own_the_legend_goes_to_the_free_corner(confidence, right, painted):
    figure, axes = pyplot.subplots(figsize=(6, 6))
    label = 0 if right else 1
    probabilities = [[confidence, *[(1 - confidence) / 2] * 2]] * 40
    ReliabilityDisplay.from_predictions([label] * 40, probabilities, ax=axes)
    assert painted(figure)
    legend = axes.get_legend().get_window_extent()
    point = axes.transData.transform([confidence, float(right)])
    assert not legend.contains(*point)


def test_a_single_row_is_one(painted):
    display = ReliabilityDisplay.from_predictions([0], [[0.8, 0.2]])
    assert display.ax_.get_title(loc="left") == "1 row"
    assert painted(display.figure_)


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
