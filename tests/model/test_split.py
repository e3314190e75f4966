"""Which rows are held out: a share of every class, groups whole, a row of each class kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.model.split import TRAINED_ON, fold_of_rows, hold_out, set_aside

labels_of_rows = st.lists(st.integers(0, 4), min_size=8, max_size=60).map(
    lambda labels: np.unique(labels, return_inverse=True)[1]
)
seeds = st.integers(0, 1000)


def grouped(rows, groups, seed):
    """Labels and groups of so many rows, every group with a row."""
    random = np.random.default_rng(seed)
    names = np.concatenate([np.arange(groups), random.integers(groups, size=rows - groups)])
    return random.permutation(rows) % 3, names


class TestHoldOut:
    @given(labels_of_rows, st.floats(0.15, 0.85), seeds)
    def test_a_share_of_every_class(self, labels, share, seed):
        counts = np.bincount(labels)
        try:
            held = hold_out(labels, None, share, seed)
        except DataError as error:
            assert "too few" in str(error)  # noqa: PT017
            assert share * len(labels) < 1 + (counts == 1).sum()
            return
        assert held.dtype == np.bool_
        found = np.bincount(labels[held], minlength=len(counts))
        assert (np.abs(found - share * counts) <= 1).all()
        assert (found < counts).all()

    @given(labels_of_rows, seeds)
    def test_every_class_keeps_a_row_to_train_on(self, labels, seed):
        held = hold_out(labels, None, 0.999, seed) if (np.bincount(labels) > 1).any() else None
        if held is not None:
            assert np.bincount(labels[~held], minlength=labels.max() + 1).min() == 1

    @given(st.integers(60, 200), st.integers(20, 50), st.sampled_from([0.1, 0.2, 0.25, 0.5]), seeds)
    def test_groups_are_not_split(self, rows, groups, share, seed):
        labels, names = grouped(rows, groups, seed)
        held = hold_out(labels, names, share, seed)
        assert not set(names[held]) & set(names[~held])
        assert abs(held.mean() - share) < 0.12

    @pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
    def test_any_share_of_the_groups(self, share):
        labels, names = np.arange(1000) % 2, np.arange(1000) // 4
        assert abs(hold_out(labels, names, share, 0).mean() - share) < 0.05

    @pytest.mark.parametrize("groups", [None, np.arange(60) // 2])
    def test_a_seed_decides(self, groups):
        labels = np.arange(60) % 2
        first, again, other = (hold_out(labels, groups, 0.2, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()

    def test_too_few_groups(self):
        with pytest.raises(DataError, match="1 group, too few to deal into 2"):
            hold_out(np.array([0, 1, 0]), np.array([0, 0, 0]), 0.2, 0)

    def test_two_groups_are_enough(self):
        held = hold_out(np.array([0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 1]), 0.01, 0)
        np.testing.assert_array_equal(held, [True, True, False, False, False])

    def test_classes_with_fewer_rows_than_parts(self):
        try:
            held = hold_out(np.arange(6) % 2, np.arange(6), 0.2, 0)
        except DataError:
            return
        assert 0 < held.sum() < 6


class TestSetAside:
    @given(labels_of_rows, st.floats(0.15, 0.85), seeds)
    def test_all_rows_are_as_if_held_out(self, labels, share, seed):
        try:
            expected = hold_out(labels, None, share, seed)
        except DataError:
            with pytest.raises(DataError, match=r"these \d+ of \d classes are too few: .* linear"):
                set_aside(labels, None, np.ones(len(labels)), share, seed)
            return
        found = set_aside(labels, None, np.full(len(labels), 0.1), share, seed)
        np.testing.assert_array_equal(found, expected)

    @given(labels_of_rows, seeds)
    def test_rows_of_weight_0_are_as_if_they_were_not_there(self, labels, seed):
        random = np.random.default_rng(seed)
        places = np.sort(random.permutation(2 * len(labels))[: len(labels)])
        all_labels = random.integers(labels.max() + 1, size=2 * len(labels))
        all_labels[places], weights = labels, np.zeros(2 * len(labels))
        weights[places] = random.uniform(0.1, 2, size=len(labels))
        try:
            expected = set_aside(labels, None, np.ones(len(labels)), 0.4, seed)
        except DataError:
            return
        found = set_aside(all_labels, None, weights, 0.4, seed)
        np.testing.assert_array_equal(np.flatnonzero(found), places[expected])

    @given(st.integers(60, 200), st.integers(20, 50), seeds)
    def test_groups_are_not_split_and_classes_not_lost(self, rows, groups, seed):
        labels, names = grouped(rows, groups, seed)
        labels[names == names[0]] = 3  # a class of one group
        aside = set_aside(labels, names, np.ones(rows), 0.3, seed)
        assert not set(names[aside]) & set(names[~aside])
        assert set(labels[~aside]) == set(labels)
        assert 0 < aside.mean() < 0.45

    def test_groups_of_one_class_each(self):
        with pytest.raises(DataError, match="these 4 of 2 classes and 2 groups are too few"):
            set_aside(np.array([0, 0, 1, 1]), np.array([5, 5, 6, 6]), np.ones(4), 0.5, 0)


class TestFolds:
    @given(labels_of_rows, st.integers(2, 6), seeds)
    def test_every_class_is_dealt_evenly(self, labels, folds, seed):
        fold = fold_of_rows(labels, None, folds, seed)
        for label, count in enumerate(np.bincount(labels)):
            dealt = fold[labels == label]
            if count == 1:
                assert dealt == TRAINED_ON
            else:
                assert dealt.min() == 0
                assert np.ptp(np.bincount(dealt, minlength=folds)) <= 1

    @given(st.integers(60, 200), st.integers(20, 50), seeds)
    def test_groups_have_one_fold(self, rows, groups, seed):
        labels, names = grouped(rows, groups, seed)
        fold = fold_of_rows(labels, names, 5, seed)
        assert set(fold) == set(range(5))
        assert all(len(set(fold[names == name])) == 1 for name in range(groups))

    @pytest.mark.parametrize("groups", [None, np.arange(60) // 2])
    def test_a_seed_decides(self, groups):
        labels = np.arange(60) % 2
        first, again, other = (fold_of_rows(labels, groups, 3, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()

    def test_too_few_groups(self):
        with pytest.raises(DataError, match="2 groups, too few to deal into 3"):
            fold_of_rows(np.array([0, 1, 0]), np.array([0, 1, 1]), 3, 0)
