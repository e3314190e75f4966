"""`luce evaluate` and `luce inspect`: what a model is worth, and what is in it."""

import json
import re
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

import luce
from luce.tables import ColumnKind


@pytest.fixture
def others(workplace, table):
    """Labelled rows that are not the training rows, two of them without a label."""
    labels = [None, None, *table["species"].to_pylist()[2:100], *["Gentoo"] * 5]
    rows = pa.concat_tables([table[:100], table[150:155]])
    pa_csv.write_csv(rows.set_column(0, "species", pa.array(labels)), workplace / "others.csv")
    return "others.csv"


class TestEvaluate:
    def test_prints_figures_beside_the_guess(self, run, others, model):
        said = run("evaluate", "penguins.luce", others).stdout
        comparison = model.evaluate(others)
        assert "103 rows" in said
        assert re.search(r"\b2 without a label", said)
        for name in ("accuracy", "log_loss", "brier_score", "expected_calibration_error"):
            line = next(
                line
                for line in said.lower().splitlines()
                if line.startswith(name.replace("_", " "))
            )
            for evaluation in (comparison.model, comparison.baseline):
                figure = getattr(evaluation, name)
                for value in (figure.value, figure.low, figure.high):
                    assert f"{value:.3f}" in line
        assert re.search(r"Adelie +98 +0 +0 +100%\n", said)

    def test_json_is_one_document_and_nothing_else(self, run, others, model):
        result = run("evaluate", "penguins.luce", others, "--json")
        found = json.loads(result.stdout)
        assert result.stderr == ""
        assert (found["rows"], found["unlabelled"], found["trained_on"]) == (103, 2, False)
        assert found["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
        comparison = model.evaluate(others)
        assert found["confusion"] == comparison.model.confusion.tolist()
        assert found["model"]["log_loss"]["value"] == comparison.model.log_loss.value
        assert found["baseline"]["accuracy"]["low"] == comparison.baseline.accuracy.low

    def test_the_training_rows_are_called_that(self, run, others):
        assert "trained on" in run("evaluate", "penguins.luce", "penguins.csv").stdout
        assert "trained on" not in run("evaluate", "penguins.luce", others).stdout
        found = json.loads(run("evaluate", "penguins.luce", "penguins.csv", "--json").stdout)
        assert found["trained_on"] is True

    def test_what_is_not_finite_is_null(self, run, workplace, table):
        pa_csv.write_csv(table[:1], workplace / "one.csv")
        found = json.loads(run("evaluate", "penguins.luce", "one.csv", "--json").stdout)
        assert found["model"]["accuracy"] == {"value": 1.0, "low": None, "high": None}
        assert "nan" not in run("evaluate", "penguins.luce", "one.csv").stdout


class TestInspect:
    def test_prints_what_is_in_the_model(self, run, model):
        said = run("inspect", "penguins.luce").stdout
        training = model.document.training
        for part in (
            "3 classes",
            "15 features",
            "344 rows",
            training.fingerprint,
            "Torgersen",
            "44.45",  # the median of bill_length_mm, where it is missing
            f"{training.fit.optimality_gap:.1e}",
            f"{model.document.validation.model.log_loss.value:.3f}",
            luce.__version__,
        ):
            assert part in said
        for column in model.document.encoder.columns:
            assert column.name in said
        for pushes in model.pushes():
            for push in pushes:
                assert re.search(rf"{push.feature.column} +\{push.coefficient:+.2f} ", said)

    def test_json_is_one_document_and_nothing_else(self, run, model):
        result = run("inspect", "penguins.luce", "--json")
        found = json.loads(result.stdout)
        assert result.stderr == ""
        expected = json.loads(msgspec.json.encode(model.document))
        del expected["encoder"]
        assert {name: found[name] for name in expected} == expected
        assert found["confusion"] == model.confusion.tolist()
        first = model.pushes()[0][0]
        assert found["pushes"]["Adelie"][0]["column"] == first.feature.column
        assert found["pushes"]["Adelie"][0]["push"] == first.coefficient

    def test_json_says_the_kind_of_every_column_and_all_of_its_fields(self, run):
        path = Path(__file__).parents[1] / "model" / "formats" / "3" / "every-kind.luce"
        model = luce.load(path)
        found = json.loads(run("inspect", str(path), "--json").stdout)["encoder"]["columns"]
        assert {column["kind"] for column in found} == set(get_args(ColumnKind))
        for shown, column in zip(found, model.document.encoder.columns, strict=True):
            assert shown.pop("kind") == column.kind
            fields = json.loads(msgspec.json.encode(column, enc_hook=lambda _: None))
            assert shown.keys() == fields.keys() - {"kind"}
            assert shown["name"] == column.name

    def test_many_classes_and_columns_are_cut_short(self, run, workplace):
        rows = [",".join(str((i * j) % 97 + i % 104) for j in range(1, 71)) for i in range(416)]
        names = ",".join(f"x{j}" for j in range(70))
        lines = [f"{row},{i % 104}" for i, row in enumerate(rows)]
        (workplace / "wide.csv").write_text("\n".join([f"{names},y", *lines]))
        said = run("train", "wide.csv", "--target", "y", "--validation", "0.25").stdout
        assert re.search("and 10 (more columns|columns more)", said)
        assert "104 classes" in said
        assert "confusion" in said
        said = run("inspect", "wide.luce").stdout
        assert re.search("and 92 (more classes|classes more)", said)
        assert json.loads(run("inspect", "wide.luce", "--json").stdout)["confusion"] is None


def test_a_confusion_too_wide_for_the_screen_says_what_matters_most(run, workplace):
    labels = np.arange(1200) % 10
    shown = np.where((labels == 3) & (np.arange(1200) % 3 == 0), 7, labels)
    names = np.array([f"a long name, the {number}th" for number in range(10)])
    table = pa.table({"x": names[shown], "y": names[labels]})
    luce.train(table, "y", kinds={"x": "category"}).save(workplace / "names.luce")
    pa_parquet.write_table(table, workplace / "names.parquet")
    said = run("evaluate", "names.luce", "names.parquet").stdout
    row = next(line for line in said.splitlines() if line.startswith("a long name, the 3th"))
    assert re.search(r"120 +67% +a long name, the 7th \(33%\)", row)
    assert max(map(len, said.splitlines())) <= 80
