"""Calibrated probabilities of encoded rows, and the scorer's to the bit without calibrator."""

import numpy as np
import pytest

from luce.calibration import TemperatureScaling, VectorScaling
from luce.model.calibrating import log_probabilities, probabilities
from luce.model.linear import LinearScorer

VECTOR = VectorScaling(1.5, np.array([1.0, 0.5, 2.0]), np.array([0.0, 1.0, -1.0]))


@pytest.fixture(scope="module")
def scored():
    random = np.random.default_rng(0)
    scorer = LinearScorer(random.normal(size=(3, 4)), random.normal(size=3))
    return scorer, random.normal(size=(50, 4)).astype(np.float32)


def test_without_a_calibrator_they_are_the_scorers_to_the_bit(scored):
    scorer, features = scored
    assert (
        probabilities(scorer, None, features).tobytes() == scorer.probabilities(features).tobytes()
    )
    assert (
        log_probabilities(scorer, None, features).tobytes()
        == scorer.log_probabilities(features).tobytes()
    )


@pytest.mark.parametrize("calibrator", [TemperatureScaling(2.0), VECTOR])
def test_they_are_the_calibrators_in_float32(calibrator, scored):
    scorer, features = scored
    scores = features.astype(float) @ scorer.coef.T + scorer.intercept
    expected = calibrator.probabilities(scores)
    found = probabilities(scorer, calibrator, features)
    logs = log_probabilities(scorer, calibrator, features)
    assert found.dtype == logs.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(np.exp(logs), expected, rtol=1e-5)
    assert abs(found - scorer.probabilities(features)).max() > 0.01


def test_no_warning_where_scores_are_probabilities():
    """A row of equal log-probabilities of one class is a row of zeros, which looks like some."""
    scorer = LinearScorer(np.zeros((2, 1)), np.array([0.0, -1e6]))
    found = probabilities(scorer, TemperatureScaling(2.0), np.zeros((3, 1), np.float32))
    np.testing.assert_array_equal(found, [[1, 0]] * 3)
