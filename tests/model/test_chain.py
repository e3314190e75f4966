"""Rules are fitted to rows that the model has never seen, and keep their promise on new ones."""

import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.calibration import TemperatureScaling
from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.errors import DataError
from luce.model import chain
from luce.model.dealing import deal
from luce.model.record import CostRecord, RuleFit, decision_record
from luce.model.understand import understand

SETS = PredictionSet(0.8)
COSTS = MinimumCost(np.column_stack([1 - np.eye(3), np.full(3, 0.3)]), ask=3)


def drawn(n, seed=0, noise=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    x = random.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    columns = {"x": x[:, 0], "y": x[:, 1], "z": x[:, 2]}
    columns |= {f"noise_{j}": random.normal(size=n) for j in range(noise)}
    return pa.table({**columns, "label": np.array(["a", "b", "c"])[labels]})


def rows_for(table, rules, seed=0, share=0.2, **roles):
    return deal(understand(table, "label", **roles), 0.2, rules, share, seed)


def some(table, places):
    return table.take(pa.array(places))


def labels_of(table):
    return np.searchsorted(["a", "b", "c"], table["label"].to_numpy(zero_copy_only=False))


@pytest.fixture(scope="module")
def table():
    """Of which a fit is too sure."""
    return drawn(500, noise=50)


@pytest.fixture(scope="module")
def model(table):
    return luce.train(table, "label", C=1e4, rules=[SETS, Abstain(0.45)], calibrate="temperature")


def test_the_rules_are_fitted_to_what_the_saved_model_says_of_their_rows(table, model):
    dealt = rows_for(table, [SETS, Abstain(0.45)])
    rows = some(table, dealt.for_rules.rows.places)
    expected = [rule.fit(model.predict_proba(rows), labels_of(rows)) for rule in model.rules]
    assert model.rules == tuple(expected)
    fit = RuleFit(rows=100, source=dealt.for_rules.source)
    assert model.document.rules == (fit, fit)
    training = model.document.training
    assert (training.rows, training.rule_rows, training.refitted) == (400, 100, True)


def test_the_model_is_that_of_the_other_rows_alone(table, model):
    dealt = rows_for(table, [SETS])
    others = some(table, dealt.all.places)
    alone = luce.train(others, "label", C=1e4)
    np.testing.assert_array_equal(model.scorer.coef, alone.scorer.coef)


def test_values_of_the_rows_of_the_rules_have_no_part_in_the_model(table):
    kept = rows_for(table, [SETS]).for_rules.rows.places
    columns = table.to_pydict()
    for place in kept:
        columns["x"][place] = 1e6
    models = [
        luce.train(data, "label", rules=[SETS], calibrate="temperature")
        for data in (table, pa.table(columns, table.schema))
    ]
    np.testing.assert_array_equal(models[0].scorer.coef, models[1].scorer.coef)
    assert models[0].document.encoder == models[1].document.encoder
    assert models[0].calibrator == models[1].calibrator
    assert models[0].document.validation.model == models[1].document.validation.model
    assert models[0].rules != models[1].rules


def test_the_figures_are_of_rules_that_have_not_seen_the_rows_held_out(table, model):
    """Those of the first fit: of its model, calibrated on its rows, with rules fitted to theirs."""
    dealt = rows_for(table, [SETS])
    first, held = some(table, dealt.first.places), some(table, dealt.held_out.places)
    for_rules = some(table, dealt.for_rules.rows.places)
    measured = luce.train(first, "label", C=1e4, calibrate="temperature", validation=held)
    found = model.document.validation
    assert found.model == measured.document.validation.model
    for rule, decisions in zip(model.rules, found.decisions, strict=True):
        fitted = rule.fit(measured.predict_proba(for_rules), labels_of(for_rules))
        expected = fitted.evaluate(measured.predict_proba(held), labels_of(held))
        assert decisions == decision_record(expected)


def test_a_validation_table_leaves_all_but_the_rule_rows_to_train_on(table):
    others = drawn(200, seed=9, noise=50)
    model = luce.train(table, "label", validation=others, rules=[SETS])
    training = model.document.training
    assert (training.rows, training.rule_rows, training.refitted) == (400, 100, False)
    expected = model.rules[0].evaluate(model.predict_proba(others), labels_of(others))
    assert model.document.validation.decisions == (decision_record(expected),)
    assert model.evaluate(others).decisions == (expected,)


def test_costs_need_no_rows(table):
    model = luce.train(table, "label", rules=[COSTS])
    plain = luce.train(table, "label")
    np.testing.assert_array_equal(model.scorer.coef, plain.scorer.coef)
    assert model.document.training == plain.document.training
    assert model.document.training.rule_rows == 0
    assert model.rules == (COSTS,)
    assert model.document.rules[0].rows == 0
    assert isinstance(model.document.validation.decisions[0], CostRecord)


def test_costs_are_weighed_and_grouped(table):
    random = np.random.default_rng(0)
    columns = {"w": random.integers(0, 4, 500), "g": np.arange(500) // 4}
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    model = luce.train(table, "label", weight="w", group="g", rules=[COSTS])
    weighted = model.evaluate(table).decisions[0]
    expected = COSTS.evaluate(model.predict_proba(table), labels_of(table), *columns.values())
    assert weighted.cost == pytest.approx(expected.cost)
    assert weighted.standard_error == pytest.approx(expected.standard_error)


def test_groups_have_a_row_each(table):
    table = table.append_column("g", pa.array(np.arange(500) // 2))
    model = luce.train(table, "label", group="g", rules=[SETS])
    assert model.document.rules[0].rows == 50 == model.rules[0].rows.sum()
    assert model.document.rules[0].source.startswith("one row of each of 50 groups")
    assert model.document.training.rule_rows == 100
    measured = model.document.validation.decisions[0]
    assert measured.coverage.high - measured.coverage.low > 0.1


def test_a_fitted_rule_is_fitted_anew(table, model):
    other = SETS.fit(np.full((50, 3), 1 / 3), np.zeros(50, int))
    again = luce.train(table, "label", C=1e4, rules=[other], calibrate="temperature")
    assert again.rules == model.rules[:1]
    told = luce.train(table, "label", rules=[Abstain(0.5, cross_fitted=True)]).rules[0]
    assert not told.cross_fitted


def test_a_rule_that_cannot_keep_its_promise(table):
    with pytest.raises(DataError, match=r"no threshold shows .*The rows are 100 of 500.*rule_rows"):
        luce.train(table, "label", drop=["y", "z"], rules=[Abstain(0.05)])


def test_no_more_numbers_than_memory_is_taken_for(table, monkeypatch):
    monkeypatch.setattr(chain, "MOST_NUMBERS", 40 * 3)
    monkeypatch.setattr(chain, "LEAST_ROWS", 1)
    model = luce.train(table, "label", rules=[SETS])
    assert model.rules[0].rows.tolist() == [40]
    assert model.document.rules[0].source.startswith("40 rows, drawn at random of: 100 of 500")


def test_the_promise_holds_for_the_models_that_are_saved():
    """Over draws of the table, new rows are covered at the rate asked: 0.8 to 0.8 + 1 / 41."""
    new = drawn(1000, seed=99)
    covered = [
        luce.train(drawn(200, seed), "label", rules=[SETS], seed=seed).evaluate(new).decisions[0]
        for seed in range(25)
    ]
    shares = [found.coverage.value for found in covered]
    # Given the rows of a fit the coverage is spread as a Beta distribution is: by 0.062.
    assert abs(np.mean(shares) - 0.8 - 0.5 / 41) < 4 * 0.063 / np.sqrt(25)


def test_equal_tables_give_equal_files(table, model, tmp_path):
    again = luce.train(table, "label", C=1e4, rules=[SETS, Abstain(0.45)], calibrate="temperature")
    for name, each in (("a", model), ("b", again)):
        each.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = luce.load(tmp_path / "a")
    assert loaded.rules == model.rules
    assert isinstance(loaded.calibrator, TemperatureScaling)
    assert loaded.calibrator == model.calibrator
    assert loaded.document == model.document
    assert loaded.evaluate(table).trained_on
    np.testing.assert_array_equal(loaded.predict_proba(table), model.predict_proba(table))


class TestParameters:
    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"calibrate": "isotonic"}, "calibrate is one of none, auto, temperature, vector, not"),
            ({"calibrate": None}, "calibrate is one of"),
            ({"rules": [SETS, SETS]}, "2 rules PredictionSet"),
            ({"rules": SETS}, "rules are a list, such as"),
            ({"rules": [MinimumCost(np.ones((2, 2)))]}, "of 2 classes, the rows of 3"),
            ({"rules": [SETS], "rule_rows": 0}, "rule_rows is a share"),
            ({"rules": [SETS], "rule_rows": 0.9}, "leave no row to train on"),
            ({"rules": [MinimumCost(np.full((3, 2), 1e200))]}, "cost is beyond 1e.100"),
            ({"rules": [PredictionSet(0.9, seed=2**64)]}, "seed is 18446744073709551616; a model"),
            ({"rules": [PredictionSet(0.9, penalty=1e200)]}, "penalty is 1e.200; a model can"),
        ],
    )
    def test_refused(self, table, options, complaint):
        with pytest.raises(DataError, match=complaint):
            luce.train(table, "label", **options)
