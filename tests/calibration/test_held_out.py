import numpy as np
import pytest

from luce.calibration import Improvement, VectorScaling
from luce.calibration.given import labelled
from luce.calibration.held_out import (
    LEAST_ROWS,
    MOST_ELEMENTS,
    compared,
    folds_of,
    sampled,
    splits,
)


def rows_of(n, k=2, weights=None):
    random = np.random.default_rng(0)
    return labelled(random.normal(size=(n, k)), random.integers(k, size=n), weights)


def test_gain_and_error_are_those_of_the_differences():
    before, after = np.random.default_rng(0).random((2, 100))
    found = compared(before, after, rows_of(100))
    assert found.log_loss_before == pytest.approx(before.mean())
    assert found.log_loss_after == pytest.approx(after.mean())
    assert found.gain == pytest.approx((before - after).mean())
    assert found.standard_error == pytest.approx((before - after).std(ddof=1) / 10)
    assert found.rows == pytest.approx(100)


def test_weights_weigh():
    before, after = np.random.default_rng(0).random((2, 3))
    found = compared(before, after, rows_of(3, weights=[2.0, 1.0, 1.0]))
    assert found.gain == pytest.approx(np.average(before - after, weights=[2, 1, 1]))
    assert found.rows == pytest.approx(16 / 6)


def test_infinite_losses():
    inf = np.inf
    stays = compared(np.array([inf, 1.0, 1.0]), np.array([inf, 0.5, 0.4]), rows_of(3))
    assert stays.gain == pytest.approx(1.1 / 3)
    assert stays.log_loss_after == inf
    assert np.isfinite(stays.standard_error)
    mended = compared(np.array([inf, 1.0]), np.array([5.0, 2.0]), rows_of(2))
    assert mended.is_real
    assert not compared(np.array([5.0, 2.0]), np.array([inf, 1.0]), rows_of(2)).is_real
    both = compared(np.array([inf, 1.0]), np.array([1.0, inf]), rows_of(2))
    assert not both.is_real


@pytest.mark.parametrize(
    ("gain", "error", "rows", "is_real"),
    [
        (0.1, 0.05, 100, True),
        (0.1, 0.11, 100, False),  # may be chance
        (0.1, 0.01, 29, False),  # exp(2.9) to 1
        (0.1, 0.01, 30, True),
        (-0.1, 0.01, 1000, False),
        (0.0, 0.0, 1000, False),
        (np.nan, np.nan, 1000, False),
    ],
)
def test_what_is_real(gain, error, rows, is_real):
    assert Improvement(1.0, 1.0 - gain, gain, error, rows).is_real == is_real


def test_it_is_told():
    assert str(Improvement(0.5, 0.6, -0.1, 0.05, 20.0)) == (
        "log loss 0.5000 -> 0.6000 on 20 held-out rows, worse by 2.0 standard errors"
    )


@pytest.mark.parametrize("n", [2, 3, 5, 103])
def test_every_row_is_held_out_once(n):
    rows = rows_of(n)
    held_out = []
    for others, inside in splits(rows, folds_of(rows)):
        assert np.flatnonzero(others.weights == 0).tolist() == inside.tolist()
        assert others.scores is rows.scores
        held_out += inside.tolist()
    assert sorted(held_out) == list(range(n))


def test_one_row_cannot_be_held_out():
    rows = rows_of(1)
    assert list(splits(rows, folds_of(rows))) == []
    assert not compared(np.ones(1), np.zeros(1), rows).is_real


def test_large_scores_are_sampled():
    few, many = rows_of(LEAST_ROWS, 400), rows_of(MOST_ELEMENTS // 4, 8)
    assert sampled(few) is few
    assert len(sampled(many)) == MOST_ELEMENTS // 8
    assert np.isin(sampled(many).scores[:100], many.scores).all()


def test_rows_of_a_group_are_held_out_together():
    random = np.random.default_rng(0)
    groups = random.integers(40, size=300) * 7
    rows = labelled(random.normal(size=(300, 3)), random.integers(3, size=300), None, groups)
    folds = folds_of(rows)
    assert len(np.unique(folds)) == 5
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1


def test_copies_of_a_row_in_its_group_say_no_more_than_it():
    random = np.random.default_rng(0)
    before, after = random.exponential(size=(2, 60))
    scores, labels = random.normal(size=(60, 3)), random.integers(3, size=60)
    once = compared(before, after, labelled(scores, labels, None))
    copies = labelled(*(np.repeat(each, 4, axis=0) for each in (scores, labels)), None,
                      np.repeat(np.arange(60), 4))  # fmt: skip
    again = compared(np.repeat(before, 4), np.repeat(after, 4), copies)
    np.testing.assert_allclose(
        [again.gain, again.standard_error, again.rows], [once.gain, once.standard_error, once.rows]
    )


def test_calibrated_rows_in_groups_keep_the_identity():
    """Copies of calibrated rows, each by itself, would seem to prove what they repeat."""
    random = np.random.default_rng(0)
    kept, as_rows = 0, 0
    for _ in range(30):
        scores = random.normal(size=(40, 2)) * 2
        labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
        many, theirs = np.repeat(scores, 10, axis=0), np.repeat(labels, 10)
        groups = np.repeat(np.arange(40), 10)
        kept += VectorScaling.fit(many, theirs, groups=groups).is_identity
        as_rows += VectorScaling.fit(many, theirs).is_identity
    assert kept >= 27
    assert as_rows < 27
