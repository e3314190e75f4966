"""No row is trained on and held out, or held out and a rule's; whole groups; honest refusals."""

import numpy as np
import pyarrow as pa
import pytest

from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.errors import DataError
from luce.model.dealing import deal
from luce.model.split import hold_out
from luce.model.understand import understand

SETS = (PredictionSet(0.8),)
COSTS = (MinimumCost(1 - np.eye(3)),)
N = 600


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return pa.table(
        {
            "x": random.normal(size=N),
            "group": [f"g{i}" for i in random.integers(0, 120, N)],
            "weight": random.integers(1, 4, N),
            "even": np.where(np.arange(N) % 5, 2.0, 0.0),
            "y": np.array(["a", "b", "c"])[random.choice(3, N, p=[0.6, 0.3, 0.1])],
        }
    )


def table_of(data, **roles):
    return understand(data, "y", drop=sorted({"group", "weight", "even"} - set(roles.values())),
                      **roles)  # fmt: skip


def parts(dealt):
    return [dealt.first.places, dealt.held_out.places, dealt.for_rules.rows.places]


def test_every_row_has_one_place(data):
    dealt = deal(table_of(data), 0.2, SETS, 0.25, 3)
    places = np.concatenate(parts(dealt))
    assert sorted(places) == list(range(N))
    assert [len(part) for part in parts(dealt)] == [330, 120, 150]
    assert set(dealt.all.places) == set(range(N)) - set(dealt.for_rules.rows.places)
    assert dealt.for_rules.kept == 150
    assert dealt.for_rules.source == (
        "150 of 600 rows, drawn at random by class, that the model is never trained on"
    )
    assert dealt.source == "120 of 600 rows, held out at random by class"


def test_each_part_has_its_share_of_each_class(data):
    table = table_of(data)
    shares = np.bincount(table.rows.labels) / N
    dealt = deal(table, 0.2, SETS, 0.25, 0)
    for part in (dealt.first, dealt.held_out, dealt.for_rules.rows):
        found = np.bincount(part.labels) / len(part.labels)
        np.testing.assert_allclose(found, shares, atol=1.5 / len(part.labels))


@pytest.mark.parametrize("rules", [(), COSTS])
def test_without_a_rule_that_learns_nothing_changes(data, rules):
    table = table_of(data)
    dealt = deal(table, 0.2, rules, 0.9, 5)
    assert dealt.for_rules is None
    held = hold_out(table.rows.labels, None, 0.2, 5)
    np.testing.assert_array_equal(dealt.held_out.places, np.flatnonzero(held))
    assert len(dealt.all.places) == N


def test_the_rows_held_out_are_the_same_with_rules(data):
    table = table_of(data)
    with_rules, without = (deal(table, 0.2, rules, 0.3, 1).held_out.places for rules in (SETS, ()))
    np.testing.assert_array_equal(with_rules, without)


def test_another_seed_draws_others(data):
    drawn = [deal(table_of(data), 0.2, SETS, 0.2, seed).for_rules.rows.places for seed in (0, 1)]
    assert set(drawn[0]) != set(drawn[1])


def test_a_table_of_its_own_leaves_the_rest_to_train_on(data):
    dealt = deal(table_of(data), None, SETS, 0.25, 0)
    assert dealt.held_out is None
    assert dealt.first is dealt.all
    assert (len(dealt.all.places), len(dealt.for_rules.rows.places)) == (450, 150)


class TestGroups:
    def test_they_are_whole_and_a_rule_has_one_row_of_each(self, data):
        table = table_of(data, group="group")
        dealt = deal(table, 0.2, SETS, 0.25, 0)
        groups = [set(part.groups) for part in (dealt.first, dealt.held_out, dealt.for_rules.rows)]
        assert not groups[0] & groups[1]
        assert not groups[2] & set(dealt.all.groups)
        assert len(groups[2]) == len(dealt.for_rules.rows.places)
        count = len(np.unique(table.rows.groups))
        assert len(groups[2]) == round(count / 4)
        kept = np.isin(table.rows.groups, list(groups[2])).sum()
        assert dealt.for_rules.kept == kept == N - len(dealt.all.places)
        assert dealt.for_rules.source == (
            f"one row of each of {len(groups[2])} groups, drawn at random, that the model is never "
            "trained on; the promise is for a row that is drawn so"
        )

    def test_those_of_the_rules_are_drawn_whatever_their_size(self):
        """A rule's promise is for groups drawn alike: dealt by size, the large ones never come."""
        sizes = np.repeat(np.arange(40), [30] * 4 + [1] * 36)
        data = pa.table({"x": np.arange(156.0), "g": sizes, "y": ["a", "b", "c"] * 52})
        table = understand(data, "y", group="g")
        large = table.rows.groups[:120]
        drawn = [
            np.isin(large, deal(table, None, SETS, 0.25, seed).for_rules.rows.groups)[::30].sum()
            for seed in range(200)
        ]
        assert np.mean(drawn) == pytest.approx(1, abs=4 * 0.87 / np.sqrt(200))

    def test_the_row_of_a_group_is_any_of_its_rows(self, data):
        table = table_of(data, group="group")
        seen = set()
        for seed in range(100):
            seen |= set(deal(table, 0.2, SETS, 0.25, seed).for_rules.rows.places)
        assert len(seen) > 0.95 * N

    def test_too_few(self):
        data = pa.table({"x": np.arange(6.0), "g": [0, 0, 0, 1, 1, 1], "y": ["a", "b"] * 3})
        with pytest.raises(DataError, match="of 2 groups, too few to keep a share of"):
            deal(understand(data, "y", group="g"), 0.2, SETS, 0.2, 0)


class TestRefusals:
    def test_weights_that_differ_before_any_work(self, data):
        complaint = "weights in column 'weight' differ, and Abstain counts rows.*MinimumCost works"
        with pytest.raises(DataError, match=complaint):
            deal(table_of(data, weight="weight"), 0.2, (Abstain(0.1),), 0.2, 0)
        assert deal(table_of(data, weight="weight"), 0.2, COSTS, 0.2, 0).for_rules is None

    def test_equal_weights_are_fine_and_rows_without_are_left_out(self, data):
        dealt = deal(table_of(data, weight="even"), 0.2, SETS, 0.25, 0)
        assert (dealt.for_rules.rows.weights == 2).all()
        assert dealt.for_rules.kept == 150 > len(dealt.for_rules.rows.places)

    def test_fewer_rows_than_can_show_the_risk(self, data):
        complaint = r"150 rows \(150 of 600.*cannot show.*0.01.*at least 299 are needed.*rule_rows"
        with pytest.raises(DataError, match=complaint):
            deal(table_of(data), 0.2, (Abstain(0.01),), 0.25, 0)

    @pytest.mark.parametrize("share", [0, 1, -0.1, np.nan, np.inf])
    def test_a_share_that_is_none(self, data, share):
        with pytest.raises(DataError, match="rule_rows is a share between 0 and 1"):
            deal(table_of(data), 0.2, SETS, share, 0)

    def test_shares_that_leave_nothing(self, data):
        with pytest.raises(DataError, match=r"0.5 for the validation and of 0.5 .* leave no row"):
            deal(table_of(data), 0.5, SETS, 0.5, 0)

    def test_too_few_rows(self):
        data = pa.table({"x": np.arange(8.0), "y": ["a", "b", "c", "d"] * 2})
        with pytest.raises(DataError, match=r"rows are too few to keep some .* for rules"):
            deal(understand(data, "y"), 0.2, SETS, 0.05, 0)
