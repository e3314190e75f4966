"""A model at work: predictions in the labels' own type, figures on other rows, what pushes."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import luce
from luce.decisions import Argmax, MinimumCost, PredictionSet, TopK
from luce.errors import DataError
from luce.tables import encode

N = 60
LABELS = {
    "text": pa.array(["a", "b"] * (N // 2)),
    "dictionary": pa.array(["a", "b"] * (N // 2)).dictionary_encode(),
    "integers": pa.array([10, 9] * (N // 2), pa.int16()),
    "truths": pa.array([True, False] * (N // 2)),
    "floats": pa.array([1.0, 2.0] * (N // 2)),
    "short floats": pa.array([1.0, 2.0] * (N // 2), pa.float32()),
}


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=N) + 2 * (np.arange(N) % 2)


class TestPredict:
    @pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
    def test_labels_come_in_their_type(self, labels, x):
        table = pa.table({"x": x, "y": labels})
        model = luce.train(table, "y")
        predicted = model.predict(table)
        plain = labels.dictionary_decode() if pa.types.is_dictionary(labels.type) else labels
        expected = plain.to_numpy(zero_copy_only=False)
        assert predicted.dtype == expected.dtype
        assert (predicted == expected).mean() > 0.7
        assert [type(label) for label in model.classes] == [type(expected[0])] * 2

    def test_pandas_categories_come_as_their_text(self, x):
        frame = pd.DataFrame({"x": x, "y": pd.Categorical(["a", "b"] * 30)})
        assert set(luce.train(frame, "y").predict(frame)) == {"a", "b"}

    def test_probabilities_are_the_softmax_of_the_scores(self, model, table):
        features = encode(model.document.encoder, table).features.astype(float)
        scores = features @ model.scorer.coef.T + model.scorer.intercept
        expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        found = model.predict_proba(table)
        assert (found.shape, found.dtype) == ((344, 3), np.float32)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)

    def test_the_likeliest_class_wins(self, model, table):
        likeliest = model.predict_proba(table).argmax(axis=1)
        assert list(model.predict(table)) == list(model.classes[likeliest])
        np.testing.assert_array_equal(model.decide(table).labels, likeliest)
        np.testing.assert_array_equal(model.decide(table, Argmax()).labels, likeliest)

    def test_a_path_and_dataframes_agree(self, model, penguins, table):
        expected = model.predict_proba(penguins)
        for data in (
            str(penguins),
            table,
            table.to_pandas(),
            table.select(table.column_names[::-1]),
        ):
            np.testing.assert_array_equal(model.predict_proba(data), expected)

    def test_the_target_is_not_needed(self, model, table):
        without = table.drop_columns(["species"])
        np.testing.assert_array_equal(model.predict_proba(without), model.predict_proba(table))

    def test_rows_are_independent(self, model, table):
        rows = [300, 3, 3, 271]
        np.testing.assert_allclose(
            model.predict_proba(table.take(rows)), model.predict_proba(table)[rows], atol=1e-6
        )

    def test_an_absent_column_is_named(self, model, table):
        with pytest.raises(DataError, match="'sex'"):
            model.predict(table.drop_columns(["sex"]))

    def test_a_value_that_is_no_number_names_its_row(self, model, table):
        heavy = ["3750", "heavy"]
        bad = table[:2].set_column(5, "body_mass_g", pa.array(heavy))
        with pytest.raises(DataError, match=r"'body_mass_g', row 2 .*'heavy'"):
            model.predict(bad)


class TestEvaluate:
    def test_the_rows_of_the_training_are_recognised(self, model, penguins, table):
        for data in (penguins, table, table.to_pandas()):
            assert model.evaluate(data).trained_on
        assert not model.evaluate(table[1:]).trained_on
        assert not model.evaluate(table.take(list(range(343, -1, -1)))).trained_on

    def test_a_change_of_what_was_learnt_from_is_noticed(self, patients):
        model = luce.train(patients, "outcome", weight="area", group="patient", drop=["ward"])

        def with_first(name, value):
            values = [value, *patients[name].to_pylist()[1:]]
            place = patients.column_names.index(name)
            return model.evaluate(patients.set_column(place, name, pa.array(values))).trained_on

        assert with_first("ward", "east")  # was dropped
        for name, value in [("pulse", 9.0), ("outcome", "worse"), ("area", 9), ("patient", 99)]:
            assert not with_first(name, value)

    def test_also_when_rows_without_a_label_were_passed_over(self, patients):
        labels = patients["outcome"].to_pylist()
        labels[::7] = [None] * len(labels[::7])
        some = patients.set_column(4, "outcome", pa.array(labels))
        model = luce.train(some, "outcome", weight="area", group="patient")
        comparison = model.evaluate(some)
        assert comparison.trained_on
        assert (comparison.model.rows, comparison.unlabelled) == (77, 13)

    def test_nothing_is_asked_of_rows_without_a_label(self, patients):
        unlabelled = pa.table(
            {"pulse": [0.0], "ward": ["the moon"], "patient": [None], "area": [None],
             "outcome": [None]},
            patients.schema,
        )  # fmt: skip
        rows = pa.concat_tables([patients.slice(0, 40), unlabelled, patients.slice(40)])
        model = luce.train(rows, "outcome", weight="area", group="patient")
        comparison = model.evaluate(rows)
        assert (comparison.unlabelled, comparison.unseen) == (1, {})
        wrong = rows.set_column(0, "pulse", rows["pulse"].cast(pa.string()))
        values = wrong["pulse"].to_pylist()
        model.evaluate(wrong.set_column(0, "pulse", pa.array([*values[:40], "?", *values[41:]])))
        with pytest.raises(DataError, match="'pulse', row 90 "):
            model.evaluate(wrong.set_column(0, "pulse", pa.array([*values[:89], "?", values[90]])))

    def test_weights_and_groups_are_used_where_there_are_any(self, patients):
        model = luce.train(patients, "outcome", weight="area", group="patient")
        right = model.predict(patients) == np.array(patients["outcome"].to_pylist())
        with_both = model.evaluate(patients).model.accuracy
        weights = patients["area"].to_numpy()
        assert with_both.value == pytest.approx(np.average(right, weights=weights))
        bare = model.evaluate(patients.drop_columns(["area", "patient"])).model.accuracy
        assert bare.value == pytest.approx(right.mean())
        ungrouped = model.evaluate(patients.drop_columns(["patient"])).model.accuracy
        assert (ungrouped.low, ungrouped.high) != (with_both.low, with_both.high)

    def test_the_guess_is_of_the_training_rows(self, model, table):
        gentoos = table.filter(pa.array([s == "Gentoo" for s in table["species"].to_pylist()]))
        baseline = model.evaluate(gentoos).baseline
        assert baseline.log_loss.value == pytest.approx(-np.log(124 / 344))
        assert baseline.accuracy.value == 0

    def test_labels_of_another_type_are_understood(self, x):
        table = pa.table({"x": x, "y": LABELS["integers"]})
        as_text = table.set_column(1, "y", LABELS["integers"].cast(pa.string()))
        model = luce.train(table, "y")
        found, expected = (model.evaluate(data).model for data in (as_text, table))
        assert (found.accuracy, found.log_loss) == (expected.accuracy, expected.log_loss)

    @pytest.mark.parametrize(
        ("labels", "fewer"),
        [
            (["01", "02", "x"], ["01", "02"]),
            (["True", "False", "maybe"], ["True", "False"]),
            (["2020-01-01", "2021-01-01", "never"], ["2020-01-01", "2021-01-01"]),
        ],
    )
    def test_labels_of_a_file_are_spelt_as_in_training(self, labels, fewer, x, tmp_path):
        for name, some in (("all", labels), ("fewer", fewer)):
            lines = [f"{value},{some[i % len(some)]}" for i, value in enumerate(x)]
            (tmp_path / f"{name}.csv").write_text("\n".join(["x,y", *lines]) + "\n")
        model = luce.train(tmp_path / "all.csv", "y")
        assert model.evaluate(tmp_path / "fewer.csv").model.rows == N

    def test_large_integers_of_a_file_are_recognised(self, x, tmp_path):
        lines = [f"{10**18 + int(1e15 * value)},{'ab'[i % 2]}" for i, value in enumerate(x)]
        (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]) + "\n")
        assert luce.train(tmp_path / "t.csv", "y").evaluate(tmp_path / "t.csv").trained_on

    def test_an_unknown_class_names_its_row(self, model, table):
        labels = ["Adelie", None, "Emperor"]
        with pytest.raises(DataError, match=r"'species', row 3 .*'Emperor'"):
            model.evaluate(table[:3].set_column(0, "species", pa.array(labels)))

    def test_no_label_at_all(self, model, table):
        with pytest.raises(DataError, match="'species'"):
            model.evaluate(table[:3].set_column(0, "species", pa.nulls(3, pa.string())))
        with pytest.raises(DataError, match="'species'"):
            model.evaluate(table.drop_columns(["species"]))

    def test_a_bad_weight_names_its_row(self, patients):
        model = luce.train(patients, "outcome", weight="area")
        bad = patients[:3].set_column(3, "area", pa.array([1, 1, -1]))
        with pytest.raises(DataError, match=r"'area', row 3 .*-1"):
            model.evaluate(bad)

    def test_rows_without_a_label_count_in_a_complaint(self, patients):
        model = luce.train(patients, "outcome", weight="area")
        bad = patients[:3].set_column(3, "area", pa.array([1, 1, -1]))
        bad = bad.set_column(4, "outcome", pa.array([None, "same", "same"]))
        with pytest.raises(DataError, match=r"'area', row 3 .*-1"):
            model.evaluate(bad)


class TestPushes:
    def test_strongest_first_less_the_mean(self, model):
        centred = model.scorer.coef - model.scorer.coef.mean(axis=0)
        for row, pushes in zip(centred, model.pushes(4), strict=True):
            strongest = sorted(row, key=abs, reverse=True)[:4]
            assert [push.coefficient for push in pushes] == pytest.approx(strongest)

    def test_a_network_has_none(self, patients):
        network = luce.train(patients, "outcome", model="network")
        with pytest.raises(DataError, match=r"a network has no coefficients.*model=\"linear\""):
            network.pushes()

    def test_they_name_their_column(self, model):
        of_adelie = model.pushes()[0]
        assert len(of_adelie) == 5
        assert of_adelie[0].feature.column == "bill_length_mm"
        assert of_adelie[0].coefficient < 0  # Adelie penguins have the shortest bills
        assert len(model.pushes(1000)[0]) == model.scorer.coef.shape[1]


@pytest.fixture(scope="module")
def deciding(patients):
    costs = MinimumCost(
        np.column_stack([1 - np.eye(3), np.full(3, 0.4)]),
        ["rest", "stay", "cure", "ask"],
        ask="ask",
    )
    return luce.train(patients, "outcome", rules=[costs, PredictionSet(0.7)], rule_rows=0.3)


class TestDecisions:
    def test_the_models_own_rules(self, deciding, patients):
        probabilities = deciding.predict_proba(patients)
        costs, sets = deciding.rules
        for found in (deciding.decide(patients), deciding.decision(probabilities)):
            np.testing.assert_array_equal(found.labels, costs.decide(probabilities).labels)
            np.testing.assert_array_equal(found.answered, costs.decide(probabilities).answered)
            np.testing.assert_array_equal(found.sets, sets.decide(probabilities).sets)
        assert not found.answered.all()
        assert deciding.actions.tolist() == ["rest", "stay", "cure", "ask"]

    def test_another_rule(self, deciding, patients):
        found = deciding.decide(patients, TopK(2))
        np.testing.assert_array_equal(found.labels, deciding.predict_proba(patients).argmax(axis=1))
        assert (found.sets.sum(axis=1) == 2).all()

    def test_predictions_stay_the_most_probable_class(self, deciding, patients):
        likeliest = deciding.predict_proba(patients).argmax(axis=1)
        np.testing.assert_array_equal(deciding.predict(patients), deciding.classes[likeliest])

    def test_without_rules(self, model, table):
        decision = model.decide(table)
        np.testing.assert_array_equal(model.actions[decision.labels], model.predict(table))
        assert decision.answered.all()
        assert decision.sets is None
        assert model.evaluate(table).decisions == ()

    def test_actions_without_names_are_the_classes_or_numbers(self, model):
        errors = MinimumCost(1 - np.eye(3))
        assert dataclasses.replace(model, rules=(errors,)).actions.tolist() == list(model.classes)
        two = MinimumCost(np.ones((3, 2)))
        assert dataclasses.replace(model, rules=(two,)).actions.tolist() == [0, 1]

    def test_evaluation_says_what_the_rules_do(self, deciding, patients, monkeypatch):
        probabilities = deciding.predict_proba(patients)
        labels = np.searchsorted(deciding.classes, patients["outcome"].to_numpy())
        expected = tuple(rule.evaluate(probabilities, labels) for rule in deciding.rules)
        assert deciding.evaluate(patients).decisions == expected
        monkeypatch.setattr("luce.model.rows.MOST_ROWS", 7)
        monkeypatch.setattr("luce.model.rows.LEAST_ROWS", 7)
        in_blocks = deciding.evaluate(patients).decisions
        assert in_blocks[1] == expected[1]
        assert in_blocks[0].cost == pytest.approx(expected[0].cost)

    def test_a_network_is_calibrated_and_decides(self, patients, tmp_path):
        network = luce.train(
            patients, "outcome", model="network", calibrate="vector", rules=[PredictionSet(0.6)]
        )
        network.save(tmp_path / "network.luce")
        loaded = luce.load(tmp_path / "network.luce")
        assert loaded.rules == network.rules
        assert loaded.document.calibration.asked == "vector"
        np.testing.assert_array_equal(loaded.decide(patients).sets, network.decide(patients).sets)
