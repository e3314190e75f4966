"""One registry for all calibrators: one exported without an entry here fails the first test."""

import copy
import dataclasses
import pickle

import ml_dtypes
import numpy as np
import pytest

import luce
from luce import calibration
from luce.calibration import Calibrator, PriorShift, ScoreMap
from luce.errors import CalibrationWarning, DataError

METHODS = [
    calibration.TemperatureScaling,
    calibration.VectorScaling,
    calibration.MatrixScaling,
    calibration.IsotonicScaling,
]

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)


@pytest.fixture
def fitted(calibrated):
    """A calibrator that is not the identity, of 3 classes."""

    def fit(method):
        scores, labels = calibrated(3000, 3)
        calibrator = method.fit(4 * scores + [0.0, 2.0, 0.0], labels)
        assert not calibrator.is_identity
        return calibrator

    return fit


def test_the_registry_is_complete():
    exported = [getattr(calibration, name) for name in calibration.__all__]
    classes = {value for value in exported if isinstance(value, type)}
    calibrators = {c for c in classes if issubclass(c, Calibrator)} - {Calibrator}
    assert calibrators == set(METHODS)
    assert {c for c in classes if issubclass(c, ScoreMap)} == {
        *METHODS, Calibrator, ScoreMap, PriorShift,
    }  # fmt: skip


@every_method
def test_it_is_frozen(method):
    calibrator = method._identity(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        calibrator.improvement = None


@every_method
def test_it_is_equal_by_what_is_in_it(method, fitted):
    calibrator = fitted(method)
    again = pickle.loads(pickle.dumps(calibrator))
    assert calibrator == again == copy.deepcopy(calibrator)
    assert hash(calibrator) == hash(again)
    assert calibrator != method._identity(3)
    assert len(repr(calibrator)) < 800
    arrays = [value for value in vars(again).values() if isinstance(value, np.ndarray)]
    for array in (*arrays, *vars(PriorShift([1, 2], [2, 1])).values()):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = array
    assert PriorShift([1, 2], [2, 1]) == PriorShift([2, 4], [2, 1]) != PriorShift([1, 2], [1, 1])


@every_method
def test_entry_points_agree(method, calibrated, fitted):
    calibrator = fitted(method)
    scores, _ = calibrated(100, 3, seed=1)
    p = calibrator.probabilities(scores)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(calibrator.log_probabilities(scores)), p)
    np.testing.assert_allclose(calibrator.from_probabilities(luce.softmax(scores)), p, rtol=1e-6)


@every_method
def test_fits_agree(method, calibrated):
    scores, labels = calibrated(1000, 3)
    of_scores = method.fit(3 * scores, labels)
    of_probabilities = method.fit_from_probabilities(luce.softmax(3 * scores), labels)
    fresh, _ = calibrated(100, 3, seed=1)
    np.testing.assert_allclose(
        of_scores.probabilities(fresh), of_probabilities.probabilities(fresh), rtol=1e-5
    )
    assert of_scores.log_loss_after == pytest.approx(of_probabilities.log_loss_after)


@every_method
def test_the_wrong_kind_is_told(method, calibrated, fitted):
    scores, labels = calibrated(50, 3)
    p = luce.softmax(scores)
    calibrator = fitted(method)
    with pytest.warns(CalibrationWarning, match="look like probabilities") as caught:
        method.fit(p, labels)
    assert caught[0].filename == __file__
    for apply in (calibrator.probabilities, calibrator.log_probabilities):
        with pytest.warns(CalibrationWarning, match="look like probabilities") as caught:
            apply(p)
        assert caught[0].filename == __file__
    for refused in (
        lambda: method.fit_from_probabilities(scores, labels),
        lambda: calibrator.from_probabilities(scores),
    ):
        with pytest.raises(DataError, match="row 0: the probabilit"):
            refused()


@every_method
def test_those_who_mean_it_are_not_told(method, calibrated, fitted):
    scores, labels = calibrated(50, 3)
    p = luce.softmax(scores)
    calibrator = fitted(method)
    method.fit(p, labels, as_is=True)
    calibrator.probabilities(p, as_is=True)
    calibrator.log_probabilities(p, as_is=True)
    method.fit_from_probabilities(3 * p, labels, as_is=True)
    np.testing.assert_allclose(
        calibrator.from_probabilities(3 * p, as_is=True), calibrator.from_probabilities(p)
    )


@every_method
@pytest.mark.parametrize(
    "dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int64]
)
def test_the_dtype_is_kept(method, dtype, calibrated, fitted):
    calibrator = fitted(method)
    scores = calibrated(20, 3)[0].astype(dtype)
    found = calibrator.probabilities(scores)
    assert found.dtype == (np.float64 if dtype == np.int64 else dtype)
    exact = calibrator.probabilities(scores.astype(np.float64))
    precision = 0.01 if np.dtype(dtype).itemsize == 2 else 1e-6
    np.testing.assert_allclose(found.astype(np.float64), exact, atol=precision)


@every_method
def test_any_strides_and_no_rows(method, calibrated, fitted):
    calibrator = fitted(method)
    scores = calibrated(20, 3)[0]
    expected = calibrator.probabilities(scores)
    fortran = np.asfortranarray(scores)
    fortran.flags.writeable = False
    np.testing.assert_array_equal(calibrator.probabilities(fortran), expected)
    np.testing.assert_array_equal(calibrator.probabilities(scores[::-2]), expected[::-2])
    assert calibrator.probabilities(np.empty((0, 3))).shape == (0, 3)


@every_method
def test_blocks_do_not_show(method, calibrated, fitted, monkeypatch):
    calibrator = fitted(method)
    scores = calibrated(100, 3)[0]
    whole = calibrator.probabilities(scores)
    monkeypatch.setattr(calibration.calibrator, "BLOCK_ELEMENTS", 21)
    np.testing.assert_allclose(calibrator.probabilities(scores), whole, rtol=1e-13)


@every_method
def test_a_row_without_a_possible_class_stays_one(method, fitted):
    row = np.full((1, 3), -np.inf)
    if method is not calibration.IsotonicScaling:
        assert not fitted(method).probabilities(row).any()
    assert not method._identity(3).probabilities(row).any()


@every_method
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_handful_of_rows_can_be_given(method, n, k, calibrated):
    scores, labels = calibrated(n, k)
    calibrator = method.fit(scores, labels)
    p = calibrator.probabilities(scores)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    if n == 1:
        assert calibrator.is_identity


@every_method
def test_labels_of_one_class(method, calibrated):
    scores, _ = calibrated(100, 3)
    calibrator = method.fit(scores, np.full(100, 2))
    assert np.isfinite(calibrator.log_probabilities(scores)).all()


@every_method
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scores_of_any_size(method, scale, calibrated):
    scores, labels = calibrated(200, 3)
    p = method.fit(scale * scores, labels).probabilities(scale * scores)
    np.testing.assert_allclose(p.sum(axis=1), 1)


@every_method
def test_other_classes_are_refused(method, fitted):
    if method is calibration.TemperatureScaling:
        assert fitted(method).probabilities([[0.0, 2.0]]).shape == (1, 2)
    else:
        with pytest.raises(DataError, match="there are 2 classes; expected 3"):
            fitted(method).probabilities([[0.0, 2.0]])


@every_method
def test_the_input_is_left_alone(method, calibrated):
    scores, labels = calibrated(300, 3)
    given = 4 * scores
    kept = given.copy()
    method.fit(given, labels).probabilities(given)
    np.testing.assert_array_equal(given, kept)


@every_method
def test_the_same_rows_give_the_same_bits(method, calibrated):
    scores, labels = calibrated(500, 3)
    once, again = (method.fit(4 * scores, labels) for _ in range(2))
    assert once.improvement == again.improvement
    np.testing.assert_array_equal(once.probabilities(scores), again.probabilities(scores))


def test_without_a_fit_there_is_no_figure():
    calibrator = calibration.TemperatureScaling(2.0)
    assert calibrator.improvement is None
    assert np.isnan([calibrator.log_loss_before, calibrator.log_loss_after]).all()
