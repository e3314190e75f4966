import numpy as np
import pytest

from luce.calibration.bins import bins_of_classes, quantile_edges, uniform_edges


def test_uniform_edges():
    np.testing.assert_allclose(uniform_edges(4), [0.25, 0.5, 0.75])
    assert uniform_edges(1).shape == (0,)


@pytest.mark.parametrize("n", [1, 7, 20, 1000])
@pytest.mark.parametrize("bins", [1, 2, 7, 15])
def test_quantiles_cut_as_evenly_as_can_be(n, bins):
    values = np.random.default_rng(n).permutation(n)[:, None] / n
    edges = quantile_edges(values, bins)
    assert edges.shape == (bins - 1, 1)
    counts = np.bincount(np.searchsorted(edges[:, 0], values[:, 0]), minlength=bins)
    assert counts.sum() == n
    if n >= bins:
        assert np.ptp(counts) <= 1


@pytest.mark.parametrize("bins", [2, 15, 300])
def test_every_class_has_its_own_edges(bins):
    values = np.random.default_rng(0).random((400, 3)) * [1, 0.1, 0.5]
    edges = quantile_edges(values, bins)
    expected = np.stack([np.searchsorted(edges[:, c], values[:, c]) for c in range(3)], axis=1)
    np.testing.assert_array_equal(bins_of_classes(values, edges), expected)
    assert bins_of_classes(values, edges).dtype == np.intp
