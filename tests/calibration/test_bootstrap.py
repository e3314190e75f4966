import numpy as np
import pytest

from luce.calibration import bootstrap


@pytest.mark.parametrize(("units", "sums"), [(1, 1), (7, 1), (7, 10**9), (2000, 2**20)])
def test_every_resample_draws_as_many_units_as_there_are(units, sums):
    parts = list(bootstrap.resampled(units, 50, np.random.default_rng(0), sums=sums))
    counts = np.concatenate([counts for _, counts in parts], axis=1)
    assert counts.shape == (units, 50)
    np.testing.assert_array_equal(counts.sum(axis=0), units)
    assert [part.stop for part, _ in parts][-1] == 50
    assert all(counts.shape[1] * sums <= 2**22 or counts.shape[1] == 1 for _, counts in parts)
    if units > 1:
        assert counts.var(axis=0).mean() == pytest.approx(1 - 1 / units, rel=0.25)


def test_an_interval_has_ends_that_were_drawn():
    figures = np.stack([np.arange(1000.0), np.r_[np.zeros(500), np.full(500, np.inf)]])
    low, high = bootstrap.interval(np.random.default_rng(0).permuted(figures, axis=1))
    np.testing.assert_array_equal(low, [24, 0])
    np.testing.assert_array_equal(high, [975, np.inf])
