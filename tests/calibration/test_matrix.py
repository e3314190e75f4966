import numpy as np
import pytest

import luce
from luce.calibration import MatrixScaling, VectorScaling, affine
from luce.calibration.given import labelled
from luce.calibration.matrix import _directions
from luce.errors import DataError


def loss_of(calibrator, scores, labels):
    return -calibrator.log_probabilities(scores)[np.arange(len(labels)), labels].mean()


def mixing(k):
    return np.eye(k) + 0.4 * np.random.default_rng(5).normal(size=(k, k)) / np.sqrt(k)


def test_it_is_its_formula(calibrated):
    scores, _ = calibrated(50, 3)
    random = np.random.default_rng(0)
    calibrator = MatrixScaling(
        2.0, [1.5, 0.5, 1.0], [0.0, 1.0, -1.0], random.normal(size=(3, 2)), np.eye(3)[:, :2]
    )
    expected = luce.softmax(luce.log_softmax(scores / 2) @ calibrator.matrix.T + calibrator.bias)
    np.testing.assert_allclose(calibrator.probabilities(scores), expected, rtol=1e-12)


@pytest.mark.parametrize(("k", "most"), [(3, 0.7), (10, 0.3)])
def test_what_classes_take_from_each_other_is_found(calibrated, k, most):
    scores, labels = calibrated(5000, k)
    fresh, truth = calibrated(20_000, k, seed=1)
    best = luce.cross_entropy(fresh, truth)
    vector, matrix = (
        loss_of(method.fit(scores @ mixing(k), labels), fresh @ mixing(k), truth) - best
        for method in (VectorScaling, MatrixScaling)
    )
    assert matrix < most * vector


def test_many_classes_have_a_matrix_of_low_rank(calibrated, monkeypatch):
    monkeypatch.setattr(affine, "STRENGTHS", (10.0, 1.0))
    random = np.random.default_rng(0)
    directions = np.linalg.qr(random.normal(size=(66, 3)))[0]
    wide = calibrated(2000, 66)[0] + 4 * random.normal(size=(2000, 3)) @ directions.T
    labels = (wide + random.gumbel(size=wide.shape)).argmax(axis=1)
    spoilt = wide + 0.5 * wide @ directions @ random.normal(size=(3, 66))
    train, test = slice(1200), slice(1200, None)
    calibrator = MatrixScaling.fit(spoilt[train], labels[train])
    assert calibrator.mixing.shape == calibrator.directions.shape == (66, 32)
    np.testing.assert_allclose(
        calibrator.directions.T @ calibrator.directions, np.eye(32), atol=1e-9
    )
    vector = VectorScaling.fit(spoilt[train], labels[train])
    after = loss_of(calibrator, spoilt[test], labels[test])
    assert after < loss_of(vector, spoilt[test], labels[test]) - 0.05


def test_directions_are_those_of_most_variance(calibrated):
    scores, labels = calibrated(1000, 80)
    found = _directions(labelled(scores, labels, None), 1.5)
    x = luce.log_softmax(scores / 1.5)
    most = np.sort(np.linalg.eigvalsh(np.cov(x.T)))[::-1][:32]
    np.testing.assert_allclose((x @ found).var(axis=0, ddof=1), most)


def test_the_identity_changes_nothing(calibrated):
    calibrator = MatrixScaling.fit(*calibrated(100, 3))
    assert calibrator.is_identity
    np.testing.assert_array_equal(calibrator.matrix, np.eye(3))
    scores, _ = calibrated(10, 3, seed=1)
    np.testing.assert_array_equal(calibrator.probabilities(scores), luce.softmax(scores))


def test_impossible_classes_stay_impossible(calibrated):
    scores, labels = calibrated(2000, 3)
    scores[:500, 2], labels[:500] = -np.inf, labels[:500] % 2
    p = MatrixScaling.fit(np.array([2.0, 0.0, 0.0]) + scores, labels).probabilities(scores)
    assert (p[:500, 2] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)


@pytest.mark.parametrize(
    "parameters",
    [
        (1.0, [1, 1], [0, 0], np.zeros((2, 1)), np.zeros((2, 2))),
        (1.0, [1, 1], [0, 0], np.zeros((3, 1)), np.zeros((3, 1))),
        (1.0, [1, 1], [0, 0], 0.0, 0.0),
        (-1.0, [1], [0], [[0]], [[1]]),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters):
    with pytest.raises(DataError, match="expected"):
        MatrixScaling(*parameters)
