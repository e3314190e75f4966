import numpy as np
import pytest

from luce.calibration.smooth import CELLS, smooth_error


@pytest.mark.parametrize("size", [1e-3, 0.03, 0.4, 0.9])
def test_what_has_one_sign_is_not_smoothed_away(size):
    excess = np.zeros((CELLS, 2))
    excess[[100, 800], 0] = size / 2
    excess[[0, CELLS - 1], 1] = -size / 2  # the mirrors lose nothing
    np.testing.assert_allclose(smooth_error(excess), size, atol=1e-4)


def test_opposite_signs_nearby_cancel_and_far_away_do_not():
    excess = np.zeros((CELLS, 2))
    excess[[500, 502], 0] = 0.1, -0.1
    excess[[200, 800], 1] = 0.02, -0.02
    near, far = smooth_error(excess)
    assert near < 0.02
    assert far == pytest.approx(0.04, rel=0.01)


def test_nothing_is_nothing():
    assert smooth_error(np.zeros((CELLS, 1)))[0] < 1e-4
