import numpy as np
import pytest

from luce.calibration.labelled import labelled
from luce.errors import DataError

RANDOM = np.random.default_rng(0)
PROBABILITIES = RANDOM.dirichlet([1, 1, 1], size=40)
LABELS = RANDOM.integers(3, size=40)
WEIGHTS = RANDOM.integers(3, size=40)
GROUPS = np.arange(40) // 4


def given(**options):
    return labelled(PROBABILITIES, LABELS, WEIGHTS, GROUPS, logarithmic=False, **options)


@pytest.mark.parametrize("elements", [2**20, 3 * 18])
def test_blocks_have_all_rows_of_weight(elements, monkeypatch):
    monkeypatch.setattr("luce.calibration.rows._BLOCK_ELEMENTS", elements)
    blocks = list(given().blocks())
    assert len(blocks) > 1 or elements == 2**20
    places = np.concatenate([block.rows for block in blocks])
    np.testing.assert_array_equal(places, np.flatnonzero(WEIGHTS))
    found = np.concatenate([block.probabilities for block in blocks])
    np.testing.assert_array_equal(found, PROBABILITIES[WEIGHTS > 0])


def test_some_rows_of_some_rows():
    some = given().of(np.array([3, 5, 30, 31])).of(np.array([1, 2, 3]))
    assert len(some) == 3
    np.testing.assert_array_equal(some.groups, [1, 7, 7])
    np.testing.assert_array_equal(some.sample(np.random.default_rng(0)), PROBABILITIES[[5, 30, 31]])
    kept = WEIGHTS[[5, 30, 31]] > 0
    (block,) = some.blocks()
    np.testing.assert_array_equal(block.rows, np.flatnonzero(kept))
    np.testing.assert_array_equal(block.labels, LABELS[[5, 30, 31]][kept])


def test_a_sample_of_many_rows_has_no_row_twice(monkeypatch):
    monkeypatch.setattr("luce.calibration.labelled._LEAST_SAMPLE", 10)
    monkeypatch.setattr("luce.calibration.labelled._SAMPLE_ELEMENTS", 36)
    places = given().some(np.random.default_rng(0))
    assert len(places) == 12
    assert (np.diff(places) > 0).all()


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_weights_of_any_scale_have_squares(scale):
    rows = labelled(PROBABILITIES, LABELS, WEIGHTS * scale, None, logarithmic=False)
    weights = np.concatenate([block.weights for block in rows.blocks()])
    assert 0.25 <= weights.max() <= 1
    np.testing.assert_allclose(weights / weights.max(), WEIGHTS[WEIGHTS > 0] / 2, rtol=1e-12)


def test_a_row_that_is_no_distribution_is_named_by_its_place():
    wrong = PROBABILITIES.copy()
    wrong[17] *= 2
    with pytest.raises(DataError, match="row 17: the probabilities sum to 2"):
        list(labelled(wrong, LABELS, None, None, logarithmic=False).blocks())
