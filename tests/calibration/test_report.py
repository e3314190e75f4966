"""Figures of the functions, intervals of the truth."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from luce import calibration
from luce.calibration import CalibrationError, Figure, calibration_report, report
from luce.calibration.labelled import labelled
from luce.calibration.splits import recalibration
from luce.calibration.tally import Excess, tallied
from luce.errors import DataError

ERRORS = [
    "expected_calibration_error",
    "quantile_calibration_error",
    "root_mean_square_calibration_error",
    "maximum_calibration_error",
    "smooth_calibration_error",
    "classwise_calibration_error",
]


def figures_of(found):
    """All figures of a report by name; those of splits with a dot."""
    figures = {}
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        if isinstance(value, Figure):
            figures[field.name] = value
        elif isinstance(value, calibration.Split):
            for part in dataclasses.fields(value):
                figures[f"{field.name}.{part.name}"] = getattr(value, part.name)
    return figures


def as_array(found):
    return np.array([dataclasses.astuple(figure)[:3] for figure in figures_of(found).values()])


@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_the_functions(draw, weighted):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 400, 4, 1.5)
    p = np.exp(log_probabilities)
    random = np.random.default_rng(1)
    weights = random.gamma(1, size=400) * (random.random(400) < 0.7) if weighted else None
    weight = {"sample_weight": weights}
    found = calibration_report(log_probabilities, labels, **weight, resamples=50)
    assert found.rows == (400 if weights is None else (weights > 0).sum())
    kept = slice(None) if weights is None else weights > 0
    rows = p[kept], labels[kept]
    weight_of_rows = {"sample_weight": None if weights is None else weights[kept]}
    # The bins of quantiles are those of all rows, also of rows without weight.
    of_all = p, labels
    expected = {
        "log_loss.score": calibration.log_loss(log_probabilities, labels, **weight),
        "log_loss.calibration": calibration.log_loss_split(
            log_probabilities, labels, **weight
        ).calibration,
        "brier_score.score": calibration.brier_score(*rows, **weight_of_rows),
        "brier_score.calibration": calibration.brier_score_split(*of_all, **weight).calibration,
        "overconfidence": np.average(p.max(axis=1) - (p.argmax(axis=1) == labels), weights=weights),
        "expected_calibration_error": calibration.expected_calibration_error(*of_all, **weight),
        "quantile_calibration_error": calibration.expected_calibration_error(
            *of_all, **weight, strategy="quantile"
        ),
        "root_mean_square_calibration_error": calibration.expected_calibration_error(
            *of_all, **weight, strategy="quantile", norm=2
        ),
        "maximum_calibration_error": calibration.maximum_calibration_error(*of_all, **weight),
        "smooth_calibration_error": calibration.smooth_calibration_error(*of_all, **weight),
        "classwise_calibration_error": calibration.expected_calibration_error(
            *of_all, **weight, strategy="quantile", classwise=True
        ),
    }
    figures = figures_of(found)
    for name, value in expected.items():
        assert figures[name].value == pytest.approx(value, rel=1e-4), name
        assert figures[name].low < figures[name].value < figures[name].high, name
    for score in (found.log_loss, found.brier_score):
        assert score.calibration.value + score.refinement.value == pytest.approx(score.score.value)


def test_scores_have_the_intervals_of_evaluate(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 500, 3)
    found = calibration_report(log_probabilities, labels)
    evaluation = calibration.evaluate(log_probabilities, labels)
    for ours, theirs in (
        (found.log_loss.score, evaluation.log_loss),
        (found.brier_score.score, evaluation.brier_score),
    ):
        assert ours.value == pytest.approx(theirs.value)
        width = theirs.high - theirs.low
        assert ours.low == pytest.approx(theirs.low, abs=0.1 * width)
        assert ours.high == pytest.approx(theirs.high, abs=0.1 * width)


def truths(tally, log_probabilities, truth):
    """What the figures estimate: with the true probabilities in the place of outcomes."""
    n = len(truth)
    p, every = np.exp(log_probabilities), np.arange(n)
    top = p.argmax(axis=1)
    gap = p[every, top] - truth[every, top]
    cells = tally.cells
    excess = Excess(np.zeros(1), np.zeros((cells.finest, 1)), np.zeros((cells.of_classes, 1)))
    np.add.at(excess.confidence[:, 0], cells.of_confidence(p[every, top]), gap)
    np.add.at(excess.classes[:, 0], cells.of_probabilities(p).ravel(), (p - truth).ravel())
    weight = tally.class_weight.sum(axis=1)
    filled = weight > 0
    squares = (excess.classes[filled, 0] ** 2 / weight[filled]).sum() / n
    gain = (truth * (np.log(truth) - log_probabilities)).sum(axis=1).mean()
    return dict(
        zip(ERRORS, report._errors(tally, excess, None)[:, 0], strict=True),
        **{"brier_score.calibration": squares, "overconfidence": gap.mean()},
        **{"log_loss.calibration": gain},
    )


@pytest.fixture
def quick(monkeypatch):
    """Fewer draws and a coarser grid, for many reports."""
    monkeypatch.setattr("luce.calibration.tally._MOST_TIMES", 199)
    monkeypatch.setattr("luce.calibration.smooth.CELLS", 100)


@pytest.mark.parametrize("temperature", [1.0, 1.4])
@pytest.mark.usefixtures("quick")
def test_intervals_hold_the_truth(draw, temperature):
    """In 95 % of cases, and mostly more; `benchmarks/calibration.py` asks so by the thousand."""
    rounds, held = 100, {}
    random = np.random.default_rng(0)
    for seed in range(rounds):
        log_probabilities, labels, truth = draw(random, 150, 3, temperature)
        found = calibration_report(log_probabilities, labels, seed=seed, resamples=100)
        given = labelled(log_probabilities, labels, None, None, logarithmic=True)
        tally = tallied(given, np.random.default_rng(seed), apart=True)
        figures = figures_of(found)
        for name, true in truths(tally, log_probabilities, truth).items():
            figure = figures[name]
            held[name] = held.get(name, 0) + (figure.low <= true <= figure.high)
    for name, times in held.items():
        assert stats.binom.cdf(times, rounds, 0.93) > 1e-3, name


@pytest.mark.usefixtures("quick")
def test_if_calibrated_is_what_calibrated_models_measure(draw):
    random = np.random.default_rng(0)
    measured = []
    for seed in range(60):
        log_probabilities, labels, _ = draw(random, 120, 3)
        found = calibration_report(log_probabilities, labels, seed=seed, resamples=40)
        measured.append([getattr(found, name).debiased for name in ERRORS])
        for name in ERRORS:
            error = getattr(found, name)
            assert 0 <= error.low <= error.value <= error.high <= 1
            assert error.debiased == error.value - error.if_calibrated
    mean, error = np.mean(measured, axis=0), np.std(measured, axis=0) / np.sqrt(60)
    assert (abs(mean) < 4 * error).all()


@pytest.mark.usefixtures("quick")
def test_a_calibrated_model_has_errors_of_0_within_their_intervals(draw):
    random = np.random.default_rng(0)
    from_0 = sum(
        calibration_report(*draw(random, 150, 3)[:2], resamples=40).smooth_calibration_error.low
        == 0
        for _ in range(40)
    )
    assert from_0 >= 36


def test_resamples_overstate_the_gain_of_a_temperature_twice_and_are_corrected(draw, monkeypatch):
    drawn = []
    interval = report.bootstrap.interval
    monkeypatch.setattr(
        report.bootstrap, "interval", lambda figures: drawn.append(figures) or interval(figures)
    )
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 400, 3)
    found = calibration_report(log_probabilities, labels, resamples=3000)
    given = labelled(log_probabilities, labels, None, None, logarithmic=True)
    bias = recalibration(given, np.arange(400)).bias / 400
    assert drawn[0][1].mean() == pytest.approx(found.log_loss.calibration.value, abs=bias / 4)


def test_many_rows_are_tested_and_drawn_by_a_sample(draw, monkeypatch):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 3000, 3, 1.3)
    whole = calibration_report(log_probabilities, labels)
    monkeypatch.setattr("luce.calibration.testing.MOST_TESTED", 1000)
    monkeypatch.setattr("luce.calibration.tally.MOST_TESTED", 1000)
    monkeypatch.setattr("luce.calibration.tally._DRAWN_LABELS", 1)
    monkeypatch.setattr("luce.calibration.tally._UNIT_SUMS", 300 * 1200)
    bundled = calibration_report(log_probabilities, labels)
    assert (whole.test.rows, bundled.test.rows) == (3000, 1000)
    assert bundled.rows == 3000
    ours, theirs = as_array(bundled), as_array(whole)
    np.testing.assert_allclose(ours[:, 0], theirs[:, 0], atol=1e-4)
    widths = (ours[:, 2] - ours[:, 1]) / (theirs[:, 2] - theirs[:, 1])
    assert ((widths > 0.75) & (widths < 1.35)).all()
    for name in ERRORS:
        ours, theirs = (getattr(found, name).if_calibrated for found in (bundled, whole))
        assert ours == pytest.approx(theirs, rel=0.2)


def test_groups_are_drawn_whole(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 100, 3)
    copies = np.repeat(log_probabilities, 4, axis=0), np.repeat(labels, 4)
    alone = calibration_report(log_probabilities, labels)
    together = calibration_report(*copies, groups=np.repeat(np.arange(100), 4))
    apart = calibration_report(*copies)
    for name in ("overconfidence", "log_loss.score", "brier_score.score"):
        width = {
            kind: figures_of(found)[name].high - figures_of(found)[name].low
            for kind, found in (("alone", alone), ("together", together), ("apart", apart))
        }
        assert width["together"] == pytest.approx(width["alone"], rel=0.15)
        assert width["apart"] == pytest.approx(width["alone"] / 2, rel=0.15)
    assert together.brier_score.calibration.value == pytest.approx(
        alone.brier_score.calibration.value, abs=0.01
    )
    expected, of_copies = (
        found.expected_calibration_error.if_calibrated for found in (alone, together)
    )
    assert of_copies == pytest.approx(expected, rel=0.2)


class TestBy:
    def test_every_part_has_the_report_of_its_rows(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 300, 3)
        by = np.array(["b", "a", "a"])[np.arange(300) % 3]
        weights = np.random.default_rng(1).integers(3, size=300)
        groups = np.arange(300) // 2
        options = {"seed": 5, "resamples": 50}
        found = calibration_report(
            log_probabilities, labels, sample_weight=weights, groups=groups, by=by, **options
        )
        assert list(found.by) == ["a", "b"]
        for name, part in found.by.items():
            inside = by == name
            direct = calibration_report(
                log_probabilities[inside],
                labels[inside],
                sample_weight=weights[inside],
                groups=groups[inside],
                **options,
            )
            assert part == direct
            assert part.by is None

    def test_a_part_without_weight_has_no_report(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 30, 3)
        by = np.arange(30) // 10
        found = calibration_report(
            log_probabilities, labels, sample_weight=np.where(by == 1, 0, 2), by=by, resamples=40
        )
        assert list(found.by) == [0, 2]

    @pytest.mark.parametrize(
        ("by", "message"),
        [
            ([0], "by have shape"),
            ([0.0, np.nan], "row 1: the group is NaN"),
            (np.array(["a", 1], dtype=object), "no common order"),
        ],
    )
    def test_what_is_no_part(self, by, message):
        with pytest.raises(DataError, match=message):
            calibration_report(np.log([[0.5, 0.5]] * 2), [0, 1], by=by)


def test_the_seed_decides(draw):
    rows = draw(np.random.default_rng(0), 100, 3)[:2]
    first, again, other = (calibration_report(*rows, seed=s, resamples=50) for s in (1, 1, 2))
    assert first == again
    np.testing.assert_allclose(as_array(first)[:, 0], as_array(other)[:, 0])
    assert (as_array(first) != as_array(other)).any()


@pytest.mark.parametrize("groups", [None, ["a", "a"]])
def test_a_single_unit_has_no_interval(groups):
    n = 1 if groups is None else len(groups)
    found = calibration_report(np.log([[0.6, 0.4]] * n), [0] * n, groups=groups)
    numbers = as_array(found)
    assert np.isfinite(numbers[:, 0]).all()
    assert np.isnan(numbers[:, 1:]).all()


def test_an_impossible_label_leaves_the_rest_finite():
    with np.errstate(divide="ignore"):
        rows = np.log([[0.9, 0.1, 0.0]] * 20)
    found = calibration_report(rows, [0] * 12 + [1] * 7 + [2])
    assert found.log_loss.score.value == np.inf
    assert np.isfinite(found.log_loss.score.low)
    assert np.isfinite(found.log_loss.calibration.value)
    assert np.isfinite(found.brier_score.score.high)
    assert found.test.p_value == 0.001


def test_weights_of_any_scale_give_one_report(draw):
    rows = draw(np.random.default_rng(0), 60, 3)[:2]
    weights = np.random.default_rng(1).gamma(1, size=60)
    first, *others = (
        as_array(calibration_report(*rows, sample_weight=weights * scale, resamples=40))
        for scale in (1.0, 2.0**-700, 2.0**700)
    )
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_very_many_classes(draw, monkeypatch):
    monkeypatch.setattr("luce.calibration.cells.MOST_CLASSES", 10)
    found = calibration_report(*draw(np.random.default_rng(0), 300, 60)[:2], resamples=50)
    assert np.isfinite(as_array(found)).all()
    assert found.classwise_calibration_error.value < 0.1


def test_too_few_resamples():
    with pytest.raises(DataError, match="at least 40"):
        calibration_report(np.log([[0.5, 0.5]] * 2), [0, 1], resamples=39)


def test_reports_can_be_compared_and_shown(draw):
    found = calibration_report(*draw(np.random.default_rng(0), 50, 2)[:2], resamples=40)
    assert isinstance(found.expected_calibration_error, CalibrationError)
    assert "if_calibrated" in repr(found)
    assert found == dataclasses.replace(found)


def test_recalibration_is_apart_by_unit(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 90, 3)
    given = labelled(log_probabilities, labels, None, None, logarithmic=True)
    rows = recalibration(given, np.arange(90))
    units = recalibration(given, np.arange(90) // 3)
    np.testing.assert_allclose(units.gain, rows.gain.reshape(30, 3).sum(axis=1))
