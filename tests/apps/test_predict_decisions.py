"""`luce predict` with a model that has rules: what is decided, whether at all, and the sets."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

import luce
from luce.apps.predictions import predictions
from luce.decisions import Abstain, MinimumCost, PredictionSet

COSTS = [[0, 5, 1], [5, 0, 1], [9, 9, 1]]
HOSTILE = ['"q"', "a,b", "two\nlines", "[x]", "\x1b[31m", "🐧", "\\", "]", "null me"]


@pytest.fixture(scope="session")
def trained(mixed):
    """A model with such rules: each is trained once."""
    made = {}

    def train(*rules):
        if rules not in made:
            made[rules] = luce.train(mixed, "y", rules=rules)
        return made[rules]

    return train


@pytest.fixture
def predicted(run, workplace, mixed, trained):
    """What is written for the rows by a model with such rules, as a table."""
    pa_parquet.write_table(mixed, workplace / "mixed.parquet")

    def predict(*rules, arguments=(), ending="parquet"):
        trained(*rules).save(workplace / "m.luce")
        run("predict", "m.luce", "mixed.parquet", "--out", f"out.{ending}", *arguments)
        path = workplace / f"out.{ending}"
        if ending == "csv":
            return pa_csv.read_csv(path)
        if ending == "jsonl":
            lines = path.read_text("utf-8").splitlines()
            return pa.Table.from_pylist([json.loads(line) for line in lines])
        return pa_parquet.read_table(path)

    return predict


ENDINGS = ["parquet", "csv", "jsonl"]


class TestColumns:
    def test_no_rules_no_columns(self, predicted):
        assert predicted().column_names == ["y", "confidence"]

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_of_a_rule_that_abstains(self, ending, predicted, trained, mixed):
        found = predicted(Abstain(0.1), ending=ending)
        assert found.column_names == ["y", "confidence", "decision", "answered"]
        model = trained(Abstain(0.1))
        decision = model.decide(mixed)
        assert 0.1 < decision.answered.mean() < 0.9
        assert found["answered"].to_pylist() == decision.answered.tolist()
        expected = np.where(decision.answered, model.classes[decision.labels], None)
        decided = found["decision"].to_pylist()
        assert [each or None for each in decided] == expected.tolist()  # CSV reads null as ""
        assert found["y"].to_pylist() == list(model.predict(mixed))

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_of_sets(self, ending, predicted, trained, mixed):
        found = predicted(PredictionSet(0.9), ending=ending)
        assert found.column_names == ["y", "confidence", "decision", "answered", "set"]
        model = trained(PredictionSet(0.9))
        sets = found["set"].to_pylist()
        if ending == "csv":
            sets = [json.loads(text) for text in sets]
        expected = model.decide(mixed).sets
        assert sets == [model.classes[row].tolist() for row in expected]
        assert len({len(row) for row in sets}) > 1
        assert found["decision"].to_pylist() == found["y"].to_pylist()
        assert set(found["answered"].to_pylist()) == {True}

    def test_of_costs(self, predicted, trained, mixed):
        rule = MinimumCost(COSTS, ["go", "stay", "look"], ask="look")
        found = predicted(rule)
        assert found.column_names == ["y", "confidence", "decision", "answered"]
        decision = trained(rule).decide(mixed)
        names = np.array(["go", "stay", "look"])
        expected = np.where(decision.answered, names[decision.labels], "look")
        assert found["decision"].to_pylist() == expected.tolist()
        assert found["answered"].to_pylist() == decision.answered.tolist()
        assert set(expected) == {"go", "stay", "look"}

    def test_of_costs_and_sets(self, predicted, trained, mixed):
        rules = (MinimumCost(COSTS, ["go", "stay", "look"]), PredictionSet(0.9))
        found = predicted(*rules)
        assert found.column_names == ["y", "confidence", "decision", "answered", "set"]
        assert set(found["decision"].to_pylist()) == {"go", "stay", "look"}
        assert set(found["answered"].to_pylist()) == {True}
        sets = trained(*rules).decide(mixed).sets
        assert [len(row) for row in found["set"].to_pylist()] == sets.sum(axis=1).tolist()

    def test_where_the_actions_are_the_classes_asking_has_no_name(self, predicted, trained, mixed):
        costs = np.column_stack([1 - np.eye(3), np.full(3, 0.3)])
        rule = MinimumCost(costs, ask=3)
        found = predicted(rule)
        decision = trained(rule).decide(mixed)
        classes = np.array(["a", "b", "c"], dtype=object)
        expected = np.where(decision.answered, classes[decision.labels], None)
        assert found["decision"].to_pylist() == expected.tolist()
        assert 0 < found["decision"].null_count < 1500

    def test_come_before_those_that_are_asked_for(self, predicted):
        found = predicted(PredictionSet(0.9), arguments=("--probabilities", "--top", "1"))
        assert found.column_names == [
            *("y", "confidence", "decision", "answered", "set"),
            *("probability_a", "probability_b", "probability_c", "top_1", "top_1_probability"),
        ]


class TestRows:
    def test_blocks_do_not_show(self, predicted, trained, mixed, monkeypatch):
        rule = PredictionSet(0.8, "aps", randomised=True)
        sets = predicted(rule)["set"].to_pylist()
        monkeypatch.setattr("luce.model.rows.MOST_ROWS", 100)
        assert predicted(rule)["set"].to_pylist() == sets
        model = trained(rule)
        assert sets == [model.classes[row].tolist() for row in model.decide(mixed).sets]

    def test_sets_may_be_empty(self, predicted):
        rule = PredictionSet(0.3, allow_empty=True)
        for ending in ENDINGS:
            sets = predicted(rule, ending=ending)["set"].to_pylist()
            sets = [json.loads(each) if ending == "csv" else each for each in sets]
            assert [] in sets

    def test_standard_output_is_csv(self, run, predicted):
        predicted(Abstain(0.1), PredictionSet(0.9), ending="csv")
        said = run("predict", "m.luce", "mixed.parquet").stdout
        header, first, *_ = said.splitlines()
        assert header == '"y","confidence","decision","answered","set"'
        assert first.count('"[""') == 1


@pytest.mark.parametrize(
    ("labels", "type"),
    [
        ([7, -3], pa.int16()),
        ([True, False], pa.bool_()),
        ([1.0, 2.0], pa.float32()),
        ([1.0, 2.0], pa.float16()),
        (["x", "y"], pa.large_string()),
    ],
    ids=str,
)
def test_labels_keep_their_type(labels, type, run, workplace):
    random = np.random.default_rng(0)
    x = random.normal(size=1000)
    y = pa.array([labels[int(each)] for each in 3 * x + random.normal(size=1000) > 0], type)
    table = pa.table({"x": x, "y": y})
    pa_parquet.write_table(table, workplace / "t.parquet")
    luce.train(table, "y", rules=[Abstain(0.08), PredictionSet(0.9)]).save(workplace / "t.luce")
    run("predict", "t.luce", "t.parquet", "--out", "out.parquet")
    found = pa_parquet.read_table("out.parquet")
    assert found["decision"].type == found["y"].type == type
    assert found["set"].type.value_type == type
    assert set(found["decision"].to_pylist()) == {*labels, None}
    run("predict", "t.luce", "t.parquet", "--out", "out.csv")
    sets = pa_csv.read_csv("out.csv")["set"].to_pylist()
    assert [json.loads(each) for each in sets] == found["set"].to_pylist()


def test_hostile_labels_survive(run, workplace):
    random = np.random.default_rng(0)
    labels = np.array(HOSTILE)[random.integers(len(HOSTILE), size=600)]
    table = pa.table({"x": random.normal(size=600), "y": labels})
    pa_parquet.write_table(table, workplace / "h.parquet")
    luce.train(table, "y", rules=[PredictionSet(0.9)]).save(workplace / "h.luce")
    for ending in ("csv", "jsonl", "parquet"):
        run("predict", "h.luce", "h.parquet", "--out", f"out.{ending}")
    found = pa_parquet.read_table("out.parquet")["set"].to_pylist()
    assert {label for row in found for label in row} == set(HOSTILE)
    options = pa_csv.ParseOptions(newlines_in_values=True)
    cells = pa_csv.read_csv("out.csv", parse_options=options)["set"].to_pylist()
    assert [json.loads(cell) for cell in cells] == found
    lines = (workplace / "out.jsonl").read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["set"] for line in lines] == found


@pytest.mark.parametrize("target", ["decision", "answered", "set"])
def test_a_target_of_one_of_their_names(target, run, workplace, mixed):
    table = mixed.rename_columns(["x0", "x1", "x2", "x3", target])
    pa_parquet.write_table(table, workplace / "t.parquet")
    luce.train(table, target, rules=[PredictionSet(0.9)]).save(workplace / "t.luce")
    run("predict", "t.luce", "t.parquet", "--out", "out.parquet")
    found = pa_parquet.read_table("out.parquet")
    assert found.num_columns == 5
    assert set(found[target].to_pylist()) == {"a", "b", "c"}
    assert f"{target}_" in found.column_names


def test_no_rows_are_no_rows(trained):
    model = trained(Abstain(0.1), PredictionSet(0.9))
    none = np.empty((0, 3), np.float32)
    found = predictions(model, none, probabilities=False, top=None)
    assert found.num_rows == 0
    assert found["set"].type == pa.list_(pa.string())
