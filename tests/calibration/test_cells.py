import numpy as np

from luce.calibration import cells
from luce.calibration.bins import bins_of_classes, quantile_edges, uniform_edges


def test_every_way_to_cut_is_a_sum_of_the_finest_cells():
    random = np.random.default_rng(0)
    sample = random.dirichlet([0.5, 0.5, 0.5], size=500)
    cut = cells.cells_from(sample)
    confidence = sample.max(axis=1)
    values = random.normal(size=500)
    finest = np.bincount(cut.of_confidence(confidence), values, cut.finest)
    for starts, edges in (
        (cut.uniform, uniform_edges(15)),
        (cut.quantile, quantile_edges(confidence[:, None], 15)[:, 0]),
        (cut.smooth, uniform_edges(1024)),
    ):
        direct = np.bincount(np.searchsorted(edges, confidence), values, len(edges) + 1)
        np.testing.assert_allclose(np.add.reduceat(finest, starts), direct, atol=1e-12)


def test_confidences_that_are_all_equal_make_one_cell_of_quantiles():
    cut = cells.cells_from(np.full((9, 2), 0.5))
    assert len(cut.quantile) == 2  # up to the one confidence, and above
    sums = np.bincount(cut.of_confidence(np.full(9, 0.5)), minlength=cut.finest)
    np.testing.assert_array_equal(np.add.reduceat(sums, cut.quantile), [9, 0])


def test_classes_have_cells_of_their_own_the_most_probable_first():
    sample = np.random.default_rng(0).dirichlet([1, 5, 2], size=200)
    cut = cells.cells_from(sample)
    np.testing.assert_array_equal(cut.class_starts, [30, 0, 15])
    assert cut.of_classes == 45
    places = bins_of_classes(sample, quantile_edges(sample, 15)) + cut.class_starts
    np.testing.assert_array_equal(cut.of_probabilities(sample), places)
    totals = cut.class_totals(np.bincount(places.ravel(), sample.ravel(), 45))
    np.testing.assert_allclose(totals, np.sort(sample.sum(axis=0))[::-1])


def test_rare_classes_share_cells(monkeypatch):
    monkeypatch.setattr(cells, "MOST_CLASSES", 3)
    sample = np.random.default_rng(0).dirichlet([1, 9, 2, 8, 3], size=200)
    cut = cells.cells_from(sample)
    np.testing.assert_array_equal(cut.class_starts, [30, 0, 30, 15, 30])
    assert cut.of_classes == 45
