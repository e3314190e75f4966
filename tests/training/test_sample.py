"""Samples of rows."""

from dataclasses import replace

import numpy as np
import pytest

from luce.training.sample import every_so_many


@pytest.mark.parametrize("weighted", [False, True])
def test_every_so_many_rows_have_the_mean_of_all(make, weighted):
    n = 40_000
    features = np.linspace(1.0, 2.0, n)[:, None]
    weights = np.repeat([0.0, 4 / 3], [n // 4, 3 * n // 4]) if weighted else None
    plain = replace(make(), centre=None, labels=np.zeros(n, np.int64))
    objective = replace(plain, features=features, weights=weights)
    sample = every_so_many(objective, 500)
    assert len(sample) == 500
    taken, of_rows = sample.take(slice(0, len(sample)))
    expected = np.average(features, axis=0, weights=weights)
    np.testing.assert_allclose(of_rows @ taken / n, expected, rtol=1e-3)
    assert every_so_many(objective, 30_000).rows is None
    nothing = replace(objective, weights=np.arange(n) == 0.0)
    assert every_so_many(nothing, 500).rows is None
