"""Scores by models that have not seen the row, and the calibration that these ask for."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.calibration import calibrate
from luce.errors import DataError
from luce.model import cross_fitting
from luce.model.cross_fitting import calibrated, cross_fitted
from luce.model.events import tell_nobody
from luce.model.fitting import FOLDS, LinearRecipe, fit_linear
from luce.model.linear import LinearScorer
from luce.model.network_fitting import NetworkRecipe
from luce.model.split import fold_of_rows
from luce.model.train import _encode
from luce.model.understand import understand

N = 150
RECIPE = LinearRecipe(1e4, "user")


def overfitted(n=N, noise=12):
    """Few rows, many features that say nothing: a fit is far too sure."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, n)
    columns = {f"noise_{j}": random.normal(size=n) for j in range(noise)}
    columns["x"] = random.normal(size=n) + labels
    columns["g"] = random.integers(0, n // 3, n)
    columns["w"] = random.integers(0, 3, n)
    return pa.table({**columns, "y": np.array(["a", "b", "c"])[labels]})


def encoded(data, **roles):
    table = understand(data, "y", drop=sorted({"g", "w"} - set(roles.values())), **roles)
    return _encode(table, table.rows, tell_nobody)


@pytest.fixture(scope="module")
def data():
    return encoded(overfitted())


def test_every_row_is_scored_by_a_model_that_has_not_seen_it(data):
    found = cross_fitted(RECIPE, data, 0, tell_nobody)
    folds = fold_of_rows(data.rows.labels, None, FOLDS, 0)
    expected = np.empty((N, 3))
    for fold in range(FOLDS):
        kept = np.where(folds == fold, 0.0, 1.0)
        fit = fit_linear(data, 1e4, tell_nobody, weights=kept)
        scorer = LinearScorer(fit.coef, fit.intercept)
        expected[folds == fold] = scorer.log_probabilities(data.features[folds == fold])
    np.testing.assert_array_equal(found.scores, expected)
    np.testing.assert_array_equal(found.labels, data.rows.labels)
    assert (found.weights == 1).all()


def test_a_label_has_no_say_in_its_rows_score(data):
    """Were it otherwise, the scores of a fit that is far too sure would tell the label."""
    found = cross_fitted(RECIPE, data, 0, tell_nobody)
    seen = RECIPE.fit(data, tell_nobody).scorer.log_probabilities(data.features)
    rows = np.arange(N)
    assert -found.scores[rows, found.labels].mean() > 1.3 * -seen[rows, found.labels].mean()


def test_groups_are_scored_whole():
    rows = encoded(overfitted(), group="g")
    fits = []

    class Watched(LinearRecipe):
        def fit(self, data, report, weights=None):
            fits.append(weights)
            return super().fit(data, report, weights)

    cross_fitted(Watched(1.0, "user"), rows, 0, tell_nobody)
    assert len(fits) == FOLDS
    for weights in fits:
        seen, unseen = rows.rows.groups[weights > 0], rows.rows.groups[weights == 0]
        assert len(unseen)
        assert not set(seen) & set(unseen)


def test_rows_without_weight_are_no_rows():
    rows = encoded(overfitted(), weight="w")
    found = cross_fitted(RECIPE, rows, 0, tell_nobody)
    kept = rows.rows.weights > 0
    np.testing.assert_array_equal(found.labels, rows.rows.labels[kept])
    np.testing.assert_array_equal(found.weights, rows.rows.weights[kept])


def test_a_class_of_one_group_is_always_trained_on():
    data = overfitted(60)
    labels = ["a", "b"] * 28 + ["rare"] * 4
    groups = [*range(56), 99, 99, 99, 99]
    data = data.set_column(data.column_names.index("y"), "y", pa.array(labels))
    data = data.set_column(data.column_names.index("g"), "g", pa.array(groups))
    found = cross_fitted(RECIPE, encoded(data, group="g"), 0, tell_nobody)
    assert len(found.labels) == 56
    assert np.isfinite(found.scores).all()


def test_a_calibration_counts_groups_where_rows_are_copies():
    once = overfitted()
    many = pa.concat_tables([once] * 8)
    groups = np.tile(np.arange(N), 8)
    many = many.set_column(many.column_names.index("g"), "g", pa.array(groups))
    _, record = calibrated(RECIPE, encoded(many, group="g"), "auto", None, 0, tell_nobody)
    assert record.reason.startswith("temperature: ")
    assert f"on {N} held-out rows" in record.reason
    assert record.rows == 8 * N


def test_too_few_groups():
    data = overfitted(60)
    data = data.set_column(data.column_names.index("g"), "g", pa.array([0, 1, 2] * 20))
    with pytest.raises(DataError, match="3 groups, too few to deal into 5 parts"):
        cross_fitted(RECIPE, encoded(data, group="g"), 0, tell_nobody)
    alone = pa.table({"x": [1.0, 2.0, 3.0], "g": [0, 1, 2], "w": [1, 1, 1], "y": ["a", "b", "c"]})
    with pytest.raises(DataError, match="calibration needs rows of a class in at least two groups"):
        cross_fitted(RECIPE, encoded(alone), 0, tell_nobody)


def test_no_more_numbers_are_kept_than_memory_is_taken_for(data, monkeypatch):
    whole = cross_fitted(RECIPE, data, 0, tell_nobody)
    monkeypatch.setattr(cross_fitting, "MOST_NUMBERS", 60 * 3)
    monkeypatch.setattr(cross_fitting, "LEAST_ROWS", 1)
    found = cross_fitted(RECIPE, data, 0, tell_nobody)
    assert found.scores.shape == (60, 3)
    rows = {row.tobytes(): label for row, label in zip(whole.scores, whole.labels, strict=True)}
    assert all(
        rows[row.tobytes()] == label for row, label in zip(found.scores, found.labels, strict=True)
    )


@pytest.mark.parametrize("asked", ["temperature", "vector", "auto"])
def test_the_calibration_is_that_of_the_scores(data, asked):
    calibrator, record = calibrated(RECIPE, data, asked, None, 0, tell_nobody)
    found = cross_fitted(RECIPE, data, 0, tell_nobody)
    method = ("temperature", "vector") if asked == "auto" else asked
    choice = calibrate(found.scores, found.labels, found.weights, method=method)
    assert (record.asked, record.method, record.reason) == (asked, choice.method, choice.reason)
    assert record.rows == N
    assert record.log_loss_before == choice.calibrator.log_loss_before
    assert record.log_loss_after == choice.calibrator.log_loss_after
    assert record.log_loss_after < record.log_loss_before
    assert calibrator.temperature == choice.calibrator.temperature > 1.5
    assert calibrator.improvement is None


def test_the_weights_have_a_say():
    rows = encoded(overfitted(), weight="w")
    calibrator, _ = calibrated(RECIPE, rows, "temperature", None, 0, tell_nobody)
    found = cross_fitted(RECIPE, rows, 0, tell_nobody)
    weighted, bare = (
        calibrate(found.scores, found.labels, weights, method="temperature").calibrator
        for weights in (found.weights, None)
    )
    assert calibrator.temperature == weighted.temperature != bare.temperature


def test_the_choice_of_an_earlier_fit_is_kept(data):
    _, before = calibrated(RECIPE, data, "auto", None, 0, tell_nobody)
    assert before.method == "temperature"
    more = encoded(overfitted(240))
    calibrator, record = calibrated(RECIPE, more, "auto", before, 0, tell_nobody)
    alone, record_alone = calibrated(RECIPE, more, "temperature", None, 0, tell_nobody)
    assert calibrator == alone
    assert (record.asked, record.method, record.rows) == ("auto", "temperature", 240)
    assert record.log_loss_after == record_alone.log_loss_after
    assert record.reason == (
        f"{record_alone.reason} Chosen when the rows held out were not trained on, by: "
        f"{before.reason}"
    )


def test_what_is_calibrated_is_left_as_it_is():
    random = np.random.default_rng(0)
    x = random.normal(size=2000)
    labels = np.where(random.random(2000) < 1 / (1 + np.exp(-x)), "b", "a")
    rows = encoded(pa.table({"x": x, "g": x, "w": x, "y": labels}))
    for asked in ("auto", "temperature", "vector"):
        calibrator, record = calibrated(RECIPE, rows, asked, None, 0, tell_nobody)
        assert calibrator is None
        assert (record.asked, record.method) == (asked, "none")
        assert record.reason.startswith("none: ")
    again = calibrated(
        None, None, "auto", msgspec.structs.replace(record, asked="auto"), 0, tell_nobody
    )
    assert again[0] is None
    assert again[1].method == "none"


def test_a_network_is_calibrated_too():
    rows = encoded(overfitted(200))
    found = cross_fitted(NetworkRecipe(0), rows, 0, tell_nobody)
    assert found.scores.shape == (200, 3)
    assert np.isfinite(found.scores).all()


def test_a_trained_model_is_better_for_it():
    data = overfitted(400, noise=30)
    options = {"C": 1e4, "drop": ["g", "w"]}
    plain = luce.train(data, "y", **options)
    better = luce.train(data, "y", calibrate="auto", **options)
    loss, calibrated_loss = (
        model.document.validation.model.log_loss.value for model in (plain, better)
    )
    assert calibrated_loss < loss
    assert plain.document.calibration is None
    assert better.document.calibration.method == "temperature"
    np.testing.assert_array_equal(plain.scorer.coef, better.scorer.coef)
    scores = better.scorer.log_probabilities(encoded(data).features)
    np.testing.assert_allclose(
        better.predict_proba(data), better.calibrator.probabilities(scores), atol=1e-6
    )
